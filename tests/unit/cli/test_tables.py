"""Tables as terminals of several widths show them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import pytest

from harness.cli.tables import show_table

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("users", "verdict", "figure, ms")
ROWS = [("4", "pass", "41.3 [40.9, 43]"), ("5", "fail, cut short", "98.6 [66.1, ?]")]


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[int | None], str]:
    def at(width: int | None) -> str:
        monkeypatch.setenv("COLUMNS", str(width or 40))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: width is not None)
        show_table(COLUMNS, ROWS, left=("verdict",), title="seats")
        return click.unstyle(capsys.readouterr().out)

    return at


@pytest.mark.parametrize("width", [20, 30, 60, 80, 200, None])
def test_no_cell_is_ever_cut(shown: Callable[[int | None], str], width: int | None) -> None:
    text = shown(width)
    assert "…" not in text
    for cell in (*COLUMNS, *(cell for row in ROWS for cell in row)):
        assert cell in text


def test_a_table_is_as_wide_as_its_cells_and_no_wider(
    shown: Callable[[int | None], str],
) -> None:
    for width in (80, 200, None):
        lines = shown(width).splitlines()[1:]
        assert {len(line) for line in lines} == {len(lines[0])}
        assert len(lines[0]) < 60


def test_without_room_each_row_is_told_line_by_line(shown: Callable[[int | None], str]) -> None:
    assert shown(40).splitlines() == [
        "seats",
        "users: 4",
        "  verdict     pass",
        "  figure, ms  41.3 [40.9, 43]",
        "users: 5",
        "  verdict     fail, cut short",
        "  figure, ms  98.6 [66.1, ?]",
    ]
