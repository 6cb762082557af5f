from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.progress import Progress
from harness.evidence import Evidence, Verdict
from harness.session.events import Found, PhaseStarted, Trouble, Written

if TYPE_CHECKING:
    import pytest


def found(verdict: Verdict, deviation: str | None = None) -> Found:
    return Found(
        Evidence(
            check="a", subject="s", asked="x", verdict=verdict, deviation=deviation, reason="r"
        )
    )


def told(capsys: pytest.CaptureFixture[str], *events: object, quiet: bool = False) -> list[str]:
    with Progress(quiet=quiet) as progress:
        for event in events:
            progress(event)  # type: ignore[arg-type]
    return capsys.readouterr().err.splitlines()


def test_a_phase_is_one_line_with_what_it_found_known_deviations_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = told(
        capsys,
        PhaseStarted("contract", "engines directly"),
        found(Verdict.PASS),
        found(Verdict.PASS),
        found(Verdict.FAIL, "known-one"),
        found(Verdict.FAIL),
    )
    assert line.startswith("contract  engines directly  2 pass  1 known  1 fail")


def test_trouble_and_the_place_of_the_report_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, PhaseStarted("start", "x"), Trouble("it [died]"), Written(Path("out/r")))
    assert lines[1:] == ["stopped early: it [died]", "written: out/r"]


def test_quiet_tells_trouble_only(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(
        capsys, PhaseStarted("start", "x"), Trouble("it died"), Written(Path("r")), quiet=True
    )
    assert lines == ["stopped early: it died"]
