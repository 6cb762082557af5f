"""The report on disk: every format beside the evidence, and ``latest`` pointing at it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.claims import read_claims
from harness.report.html import page
from harness.report.junit import junit
from harness.report.markdown import markdown
from harness.report.view import headline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.evidence import Evidence, GateReport, Row, RunContext

LATEST = "latest"


class ReportError(Exception):
    """A report that could not be written: says where, why, and what to do."""


def write_all(
    directory: Path, run: RunContext, evidence: Sequence[Evidence], report: GateReport
) -> list[Path]:
    """Write ``index.html``, ``junit.xml``, ``summary.md`` and ``verdict.json``; return their paths.

    Each file is written whole or not at all. Then ``latest`` beside ``directory`` is made
    to point at it: a relative symbolic link, or a copy where the file system has none.

    Raises:
        ReportError: something could not be written. The evidence is untouched.
    """
    texts = {
        "index.html": page(run, evidence, report, claims=read_claims(directory)),
        "junit.xml": junit(run, evidence, report),
        "summary.md": markdown(run, evidence, report),
        "verdict.json": json.dumps(verdict(run, report), indent=2, ensure_ascii=False) + "\n",
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = [put(directory / name, text) for name, text in texts.items()]
        point(directory)
    except OSError as error:
        raise ReportError(
            f"{error.filename or directory}: the report could not be written "
            f"({error.strerror or error}). Free some space or choose another --out, then draw it "
            f"again with `harness report {directory}`; the evidence is kept."
        ) from error
    return written


def verdict(run: RunContext, report: GateReport) -> dict[str, Any]:
    """The verdict for machines: plain data, ready for JSON."""
    return {
        "verdict": str(report.verdict),
        "exit_code": report.exit_code,
        "headline": headline(report),
        "run": run.model_dump(mode="json"),
        "rows": [_row(row) for row in report.rows],
    }


def point(directory: Path, link: Callable[[str, Path], None] = os.symlink) -> Path:
    """Make ``latest`` beside ``directory`` lead to it, and return that path.

    ``link`` makes a symbolic link; where it raises ``OSError``, the files are copied.
    """
    latest = directory.parent / LATEST
    if latest.name == directory.name:
        return directory
    # A link is made aside and renamed over the old one, so that there is no moment without.
    aside = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{LATEST}-"))
    try:
        try:
            link(directory.name, aside / LATEST)
        except OSError:
            shutil.copytree(directory, aside / LATEST)
        if latest.is_dir() and not latest.is_symlink():
            shutil.rmtree(latest)
        elif latest.is_symlink() and not (aside / LATEST).is_symlink():
            latest.unlink()  # a directory cannot be renamed over a link
        (aside / LATEST).replace(latest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return latest


def put(path: Path, text: str) -> Path:
    """Write ``text`` to ``path``, whole or not at all; its path. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _row(row: Row) -> dict[str, Any]:
    counts = row.counts
    return {
        "id": row.id,
        "title": row.title,
        "owner": row.owner,
        "verdict": str(row.verdict),
        "counts": {
            "pass": counts.passed,
            "fail": counts.failed,
            "known": counts.known,
            "inconclusive": counts.inconclusive,
            "not_run": counts.not_run,
        },
        "reasons": [
            {
                "cause": str(reason.cause),
                "effect": str(reason.effect),
                "text": reason.text,
                "check": reason.evidence.check if reason.evidence else None,
                "subject": reason.evidence.subject if reason.evidence else None,
            }
            for reason in row.reasons
        ],
    }
