"""What can be judged without traffic: the sources, the generated files, what a run left."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from harness.behaviour import access
from harness.evidence import Evidence, Verdict
from harness.gateway import files
from harness.gateway.kinds import kind
from harness.registry import Finding, Registry, check
from harness.registry.load import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


EXPLAINED = {
    "config.schema": """A source file is valid and agrees with the others

The sources are read, checked against their schema and against each other, before anything starts.

Remedy: `harness validate` names every line, and `--fix` mends what is certain.""",
    "config.drift": """A generated file equals what its sources generate, to the byte

A hand edit of a generated file is lost with the next generation, and until then the sources lie.

Remedy: move the edit into the sources, then `harness generate`.""",
}
"""What ``harness explain`` says of each check."""


def judge_sources(config: Path, registry: Registry) -> Iterator[Evidence]:
    """One record a source file, one a generated file; ``registry`` is what ``config`` holds."""
    warnings = check(config)
    for name in SOURCES:
        yield Evidence(
            check="config.schema",
            subject=name,
            asked="valid, and consistent with the other source files",
            verdict=Verdict.PASS,
            value=sum(finding.file.endswith(name) for finding in warnings),
            unit="warnings",
        )
    generated = kind(registry).files(registry)
    differing = {finding.file: finding for finding in files.drift(config, generated)}
    for name in generated:
        yield _drift(name, differing.get(str(config / name)))


def judge_leaks(directories: Mapping[str, Path], secrets: Mapping[str, str]) -> Evidence:
    """Whether a secret of the run stands in any file below ``directories``."""
    found = {
        f"{label}/{path.relative_to(directory)}": _content(path)
        for label, directory in directories.items()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    return access.leaks(found, secrets)


def _drift(name: str, finding: Finding | None) -> Evidence:
    return Evidence(
        check="config.drift",
        subject=name,
        asked="equals what the sources generate, to the byte",
        verdict=Verdict.PASS if finding is None else Verdict.FAIL,
        reason="" if finding is None else str(finding),
    )


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
