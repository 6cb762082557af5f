"""Three files in, one registry out, or everything that is wrong with them at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry.finding import Finding, Place, RegistryError, Severity
from harness.registry.models import Mappings, Ports, Providers
from harness.registry.registry import Registry
from harness.registry.rule import RULES
from harness.registry.rules import reading
from harness.registry.schema import Shape, validate
from harness.registry.source import MAX_BYTES, Document, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PROVIDERS = "providers.yaml"
MAPPINGS = "model-mappings.yaml"
PORTS = "ports.yaml"
SOURCES = (PROVIDERS, MAPPINGS, PORTS)
"""The source files, by name."""


def load(directory: Path) -> Registry:
    """The registry in ``directory``.

    Raises:
        RegistryError: with every finding of all three files, if any of them is an error.
    """
    registry, findings = _examine(_documents(directory))
    if registry is None or _errors(findings):
        raise RegistryError(findings)
    return registry


def check(directory: Path) -> list[Finding]:
    """Every finding of the sources in ``directory``, warnings included, sorted by place."""
    return _examine(_documents(directory))[1]


def examine(
    sources: Mapping[str, bytes], directory: Path = Path()
) -> tuple[Registry | None, list[Finding]]:
    """As :func:`load`, for file contents in memory, by file name; nothing is raised.

    The registry is None if any finding is an error. ``directory`` only names the places.
    """
    documents = {
        name: read(str(directory / name), sources[name])
        if name in sources
        else _unreadable(directory / name, "There is no such file.")
        for name in SOURCES
    }
    registry, findings = _examine(documents)
    return (None if _errors(findings) else registry), findings


def load_one(
    path: Path, model: type[Shape], further: Callable[[Shape, Document], Iterable[Finding]]
) -> tuple[Shape | None, list[Finding]]:
    """The YAML file at ``path`` as a ``model``, or None and all that is wrong with it.

    ``further`` looks at a document whose shape is right.
    """
    document = _document(path)
    if document.value is None:
        return None, list(document.findings)
    found, findings = validate(model, document)
    if found is not None:
        findings = list(further(found, document))
    findings = [*document.findings, *findings]
    return (None if findings else found), findings


def _documents(directory: Path) -> dict[str, Document]:
    return {name: _document(directory / name) for name in SOURCES}


def _document(path: Path) -> Document:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            return _unreadable(path, "This is not a regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _unreadable(path, f"The file cannot be read: {error.strerror}.")
    return read(str(path), data)


def _unreadable(path: Path, message: str) -> Document:
    finding = reading.MISSING.at(Place(str(path), 1, 1), message)
    return Document(str(path), findings=(finding,))


def _examine(documents: Mapping[str, Document]) -> tuple[Registry | None, list[Finding]]:
    findings = [finding for document in documents.values() for finding in document.findings]
    providers = _shape(Providers, documents[PROVIDERS], findings)
    mappings = _shape(Mappings, documents[MAPPINGS], findings)
    ports = _shape(Ports, documents[PORTS], findings)
    if providers is None or mappings is None or ports is None or _errors(findings):
        return None, sorted(findings)
    registry = Registry(
        providers_source=providers,
        mappings_source=mappings,
        ports=ports,
        documents=documents,
    )
    for severity in (Severity.ERROR, Severity.WARNING):
        for rule in RULES.values():
            if rule.severity is severity:
                findings.extend(rule.run(registry))
        if _errors(findings):  # a broken reference makes half the file look unused
            break
    return registry, sorted(findings)


def _shape(model: type[Shape], document: Document, findings: list[Finding]) -> Shape | None:
    if document.value is None:
        return None
    value, found = validate(model, document)
    findings.extend(found)
    return value


def _errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)
