"""A LiteLLM file in, everything that is wrong with it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import harness.gateway.litellm_lint.rules as _rules
from harness.gateway.litellm_lint.config import Config
from harness.gateway.litellm_lint.reader import read_yaml
from harness.gateway.litellm_lint.rule import LITELLM_RULES
from harness.registry.finding import Place
from harness.registry.rules import reading
from harness.registry.source import MAX_BYTES, Document

if TYPE_CHECKING:
    from pathlib import Path

    from harness.registry.finding import Finding

assert _rules  # noqa: S101  importing it fills the table

SIGNS = ("model_list", "litellm_settings", "router_settings", "general_settings")
"""A file with one of these at its root is LiteLLM's."""


def recognises(document: Any) -> bool:
    """Whether ``document``, the value of a YAML file, looks like LiteLLM's config.yaml."""
    return isinstance(document, dict) and any(sign in document for sign in SIGNS)


def lint(path: Path) -> list[Finding]:
    """Every finding of the LiteLLM file at ``path``, sorted by place; nothing is raised."""
    document = open_document(path)
    return list(document.findings) if document.value is None else judge(document)


def judge(document: Document) -> list[Finding]:
    """Every finding of a LiteLLM file that has been read."""
    findings = list(document.findings)
    config = Config(document)
    for rule in LITELLM_RULES.values():
        findings.extend(rule.run(config))
    return sorted(findings)


def open_document(path: Path) -> Document:
    """The YAML file at ``path``; what stands in the way of reading it is in its findings."""
    data = bytes_of(path)
    return data if isinstance(data, Document) else read_yaml(str(path), data)


def bytes_of(path: Path) -> bytes | Document:
    """The content of ``path``, at most one byte more than is read; or why there is none."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            return _unreadable(path, "This is not a regular file.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        return _unreadable(path, f"The file cannot be read: {error.strerror}.")


def _unreadable(path: Path, message: str) -> Document:
    remedy = "Name a file that exists and that you may read."
    finding = reading.MISSING.at(Place(str(path), 1, 1), message, remedy)
    return Document(str(path), findings=(finding,))
