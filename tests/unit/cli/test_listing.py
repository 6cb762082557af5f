from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from harness.cli import listing, main
from harness.cli.listing import BEGIN, END
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
    assert "| vLLM | real | 0.32.0 | 39.00 s (38.00 to 40.00) | 1,024 MiB | - |" in text
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
