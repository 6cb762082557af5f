"""Fixes for the findings of a LiteLLM file whose remedy is certain.

Fixers shared with the sources stand in :mod:`harness.registry.fixers`; among them is the one for
slips of the pen, which serves every rule that proposes a single near name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from harness.gateway.litellm_lint.check import judge, recognises
from harness.gateway.litellm_lint.reader import read_yaml
from harness.registry.fixers import fixer, near_name, one_of_equal_items
from harness.registry.fixes import Mended, as_bytes, mend, mend_sources, read_texts
from harness.registry.load import SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.registry.edits import Edit
    from harness.registry.finding import Finding
    from harness.registry.page import Page

_VARIABLE = re.compile(
    r"""(?x)
      \$\{ (\w+) \} | \$ ([A-Z_][A-Z0-9_]*) | \$env: (\w+) | % ([A-Z_]\w*) %
    | os\.environ (?: \.get )? [\[(] ["']? (\w+) ["']? [\])] | os\.getenv \( ["']? (\w+) ["']? \)
    | os\.environ [.:] (?!get\b) (\w+) | (?:env|ENV) [:/.] (\w+)
    """
)
"""A whole value that names one variable in the manner of a shell, of Python or of others."""
_MODES = (
    (re.compile(r"rerank"), "rerank"),
    (re.compile(r"embed"), "embedding"),
    (re.compile(r"whisper"), "audio_transcription"),
    (re.compile(r"\btts\b"), "audio_speech"),
)
"""What the name of a model says beyond doubt, the more special word first."""
_NUMBER_OR_SWITCH = re.compile(r"0|[1-9][0-9]{0,15}|[0-9]{1,15}\.[0-9]{1,15}|true|false")

fixer("GW235")(one_of_equal_items)


def mend_litellm(path: Path) -> Mended:
    """The LiteLLM file at ``path`` with every certain fix made; nothing is written.

    A file that cannot be read, or is none of LiteLLM's, is left as it is.
    """
    return mend(read_texts([path]), check_litellm)


def mend_file(path: Path) -> Mended:
    """What ``harness lint`` takes, mended: a LiteLLM file, a source file or the folder of these.

    A source file is mended together with the other sources in its folder, as it is checked.
    """
    if path.is_dir():
        return mend_sources(path)
    return mend_sources(path.parent) if path.name in SOURCES else mend_litellm(path)


def check_litellm(texts: Mapping[str, str]) -> list[Finding]:
    """Every finding of LiteLLM files in memory, by file name; none for other files."""
    findings: list[Finding] = []
    for file, text in texts.items():
        document = read_yaml(file, as_bytes(text))
        if document.value is None:
            findings.extend(document.findings)
        elif recognises(document.value):
            findings.extend(judge(document))
    return findings


@fixer("GW212")
def without_quotes(finding: Finding, page: Page) -> Edit | None:
    """Take the quotes off a number or a switch."""
    site = page.scalar(finding.line, finding.column)
    if site is None or site.is_key or page.style(site) not in {"'", '"'}:
        return None
    value = site.node.value
    return page.write(site, value) if _NUMBER_OR_SWITCH.fullmatch(value) else None


@fixer("GW224")
def mode_of_the_name(finding: Finding, page: Page) -> Edit | None:
    """Add the mode that the model's name tells."""
    site = page.scalar(finding.line, finding.column)
    entry = site.parent if site is not None and site.is_key else None
    params = entry.value("litellm_params") if entry is not None else None
    model = params.value("model") if params is not None else None
    if entry is None or model is None or not isinstance(model.node, yaml.ScalarNode):
        return None
    name = model.node.value.lower()
    mode = next((mode for word, mode in _MODES if word.search(name)), None)
    if mode is None:
        return None
    info = entry.value("model_info")
    if info is None:
        return page.add(entry, f"model_info: {{mode: {mode}}}")
    return None if info.value("mode") is not None else page.add(info, f"mode: {mode}")


@fixer("GW236")
def one_step(finding: Finding, page: Page) -> Edit | None:
    """Point an alias of an alias at what that one means; else correct a slip."""
    site = page.scalar(finding.line, finding.column)
    if site is None or site.is_key or not finding.remedy.startswith("Write "):
        return near_name(finding, page)
    aliases = page.value("router_settings", "model_group_alias")
    target = aliases.value(site.node.value) if aliases is not None else None
    if target is None or not isinstance(target.node, yaml.ScalarNode):
        return None
    return page.replace(site, target.node.value)


@fixer("GW263")
def from_the_environment(finding: Finding, page: Page) -> Edit | None:
    """Write a reference to a variable as LiteLLM reads it."""
    site = page.scalar(finding.line, finding.column)
    found = None if site is None or site.is_key else _VARIABLE.fullmatch(site.node.value)
    if site is None or found is None:
        return None
    name = next(group for group in found.groups() if group)
    return page.replace(site, f"os.environ/{name}")
