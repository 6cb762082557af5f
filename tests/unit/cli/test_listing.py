from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from harness.cli import listing, main
from harness.cli.listing import BEGIN, END
from harness.load.calibrate.calibration import JUDGED
from harness.session.inventory import Line

if TYPE_CHECKING:
    from pathlib import Path

REAL = Line(
    name="vLLM", kind="real", version="0.32.0", starts_s=(40.0, 38.0, 39.0), memory_bytes=1 << 30
)


def twin(*unexplained: str) -> Line:
    return Line(
        name="vLLM",
        kind="emulated",
        version="0.32.0",
        starts_s=(0.1,),
        memory_bytes=24 << 20,
        probes=106,
        explained=7,
        unexplained=unexplained,
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """What the measurement is to find."""
    found = [REAL, twin()]

    async def collect(_: int) -> list[Line]:
        return found

    monkeypatch.setattr(listing, "_collect", collect)
    return found


@pytest.mark.usefixtures("measured")
def test_the_table_goes_between_its_marks_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "engines.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    result = CliRunner().invoke(main, ["engines", "--out", str(page)])
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("# Before\n\n")
    assert text.endswith("\n\nAfter.\n")
    assert "old" not in text
    assert "| vLLM | real | 0.32.0 | 39.00 s (38.00 to 40.00) | 1,024 MiB | - | - |" in text
    assert "106 questions: 7 explained, 0 unexplained" in text


def test_a_difference_without_a_reason_is_shown_and_fails(measured: list[Line]) -> None:
    measured[1] = twin("chat: body.id: real 1, emulated 2")
    result = CliRunner().invoke(main, ["engines"])
    assert result.exit_code == 1
    assert "unexplained, vLLM: chat: body.id" in result.stderr


@pytest.mark.usefixtures("measured")
def test_programs_get_json() -> None:
    told = json.loads(CliRunner().invoke(main, ["engines", "--json"]).stdout)
    assert [line["kind"] for line in told] == ["real", "emulated"]


@pytest.mark.parametrize("text", ["no marks\n", None])
def test_a_file_without_a_place_for_the_table_is_refused_before_anything_is_started(
    tmp_path: Path, text: str | None
) -> None:
    page = tmp_path / "engines.md"
    if text is not None:
        page.write_text(text)
    result = CliRunner().invoke(main, ["engines", "--out", str(page)])
    assert result.exit_code == 2
    assert str(page) in result.stderr


def load(name: str, held_out: bool, **errors: float | None) -> dict[str, Any]:
    measured = {"throughput": 2000.0, "ttft_s": 0.05, "e2e_s": 1.5, "waiting": 0, "preemptions": 0}
    return {
        "name": name,
        "held_out": held_out,
        "measured": {**measured, "waiting": 2.5 if "waiting" in errors else 0},
        "predicted": {**measured, "throughput": 2020.0, "waiting": 2.25, "preemptions": 3},
        "error": errors,
    }


CALIBRATION = {
    "repetitions": 3,
    "loads": [
        load("1 at a time", True, throughput=0.01, ttft_s=0.2, e2e_s=0.03, waiting=0.1),
        load("4 at a time", True, throughput=0.02, ttft_s=0.04, e2e_s=None),
        load("16 at a time", True, throughput=0.06, ttft_s=0.08, e2e_s=0.05),
        load("64 at a time", False, throughput=0.9, ttft_s=0.9, e2e_s=0.9),
    ],
}


def test_the_figures_shown_are_those_a_calibration_is_judged_by() -> None:
    assert tuple(listing._SHOWN)[: len(JUDGED)] == JUDGED
    assert tuple(listing._COLUMNS) == tuple(listing._SHOWN)


@pytest.mark.usefixtures("measured")
def test_errors_of_a_calibration_are_told_on_loads_it_has_not_seen(tmp_path: Path) -> None:
    saved = tmp_path / "vllm.json"
    saved.write_text(json.dumps(CALIBRATION))
    shown = CliRunner().invoke(main, ["engines", "--calibration", str(saved)]).stdout
    said = (
        "throughput 2% (1% to 6%), TTFT p50 8% (4% to 20%), E2E p50 4% (3% to 5%), "
        "waiting 10%, preemptions not measured; 3 held-out loads, 3 repetitions"
    )
    assert f"0 unexplained | {said} |" in shown
    assert said not in shown.splitlines()[2]
    rows = shown.splitlines()
    assert rows[-5] == (
        "| Load, predicted for measured | Tokens/s | TTFT p50, ms | E2E p50, ms | Waiting "
        "| Preemptions |"
    )
    assert rows[-3] == (
        "| 1 at a time | 2,020 for 2,000 (1%) | 50 for 50 (20%) | 1,500 for 1,500 (3%) "
        "| 2.25 for 2.50 (10%) | 3 for 0 |"
    )
    assert len(rows) == 4 + 1 + 5  # the held-out loads alone


def test_what_was_not_measured_is_called_so_with_the_command_that_does(
    measured: list[Line],
) -> None:
    measured.append(replace(twin(), name="llama-server"))
    measured.append(replace(REAL, name="Ollama facade", kind="emulated"))
    rows = CliRunner().invoke(main, ["engines"]).stdout.splitlines()
    ends = [row.split(" | ")[-1] for row in rows[2:]]
    assert ends == [
        "- |",
        "not measured: `harness calibrate URL --out FILE` |",
        "not measured: no step times are fitted to it |",
        "- |",
    ]


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"loads": [{}]}'])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, text: str | None) -> None:
    saved = tmp_path / "vllm.json"
    if text is not None:
        saved.write_text(text)
    result = CliRunner().invoke(main, ["engines", "--calibration", str(saved)])
    assert result.exit_code == 2
    assert "is no calibration" in result.stderr
    assert "harness calibrate URL --out FILE" in result.stderr
