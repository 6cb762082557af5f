"""Any file in, its kind recognised, everything that is wrong with it out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.check import SIGNS, bytes_of, judge, recognises
from harness.gateway.litellm_lint.metrics import judge_dashboard, judge_rules
from harness.gateway.litellm_lint.reader import read_yaml
from harness.gateway.litellm_lint.rule import declare
from harness.registry import check as check_sources
from harness.registry.finding import Place, Severity
from harness.registry.load import SOURCES
from harness.registry.rule import Rule
from harness.registry.source import MAX_BYTES, Document

if TYPE_CHECKING:
    from pathlib import Path

    from harness.registry.finding import Finding

UNKNOWN = declare(
    Rule(
        id="GW299",
        severity=Severity.ERROR,
        title="Nobody knows what this file is",
        why="A file that is not recognised is not checked, and must not pass as clean.",
        remedy=f"Name a LiteLLM config.yaml (with {', '.join(SIGNS)}), a file of Prometheus or "
        "Grafana rules (with groups), a Grafana dashboard in JSON, one of "
        f"{', '.join(SOURCES)}, or the folder that holds these three.",
        failing="services: {gateway: 4000}  # <--",
        passing="",
    )
)
_DASHBOARD = ("panels", "dashboard", "rows", "templating")


def lint_file(path: Path) -> list[Finding]:
    """Every finding of the file or folder at ``path``, whatever of ours, LiteLLM's or its kind.

    Never raises: what cannot be read or is not recognised is a finding itself.
    """
    if path.name in SOURCES and not path.is_dir():
        return check_sources(path.parent)
    if path.is_dir():
        if any((path / name).is_file() for name in SOURCES):
            return check_sources(path)
        return [UNKNOWN.at(Place(str(path), 1, 1), "The folder holds none of our sources.")]
    data = bytes_of(path)
    return list(data.findings) if isinstance(data, Document) else lint_bytes(path, data)


def lint_bytes(path: Path, data: bytes) -> list[Finding]:
    """As :func:`lint_file`, for the content of a file that is none of our sources."""
    value = _json(data)
    if _is_dashboard(value) or (path.suffix.lower() == ".json" and value is None):
        return judge_dashboard(str(path), data)
    document = read_yaml(str(path), data)
    if document.value is None:
        return list(document.findings)
    if recognises(document.value):
        return judge(document)
    if _is_rules(document.value):
        return judge_rules(document, data)
    return [UNKNOWN.at(Place(str(path), 1, 1), "The file is none that this tool knows.")]


def _json(data: bytes) -> Any:
    """The value of a JSON file, or None; a file that cannot be JSON is not parsed."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return None
    try:
        return json.loads(data) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        return None


def _is_dashboard(value: Any) -> bool:
    return isinstance(value, dict) and any(sign in value for sign in _DASHBOARD)


def _is_rules(value: Any) -> bool:
    spec = value.get("spec")
    return "groups" in value or (isinstance(spec, dict) and "groups" in spec)
