from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console

from harness.registry import Finding, Severity
from harness.report.findings import draw

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def finding(file: str = "a.yaml", line: int = 1, column: int = 1) -> Finding:
    return Finding(
        rule="GW101",
        severity=Severity.ERROR,
        file=file,
        line=line,
        column=column,
        message="There is no provider 'lokal'.",
        remedy="Did you mean 'local'?",
    )


def console(*, terminal: bool, width: int = 100) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, color_system="standard"
    )


def test_a_finding_is_its_place_its_line_and_its_remedy() -> None:
    drawn = draw([finding(line=2, column=9)], sources=lambda _: "routes:\n  tiny: lokal\n")
    assert drawn.splitlines() == [
        "a.yaml:2:9  GW101  error: There is no provider 'lokal'.",
        " 2 |   tiny: lokal",
        "   |         ^^^^^",
        "   = help: Did you mean 'local'?",
        "",
        "1 error in 1 file. `harness explain GW101` says why it matters.",
    ]


def test_without_the_file_there_is_no_excerpt() -> None:
    drawn = draw([finding()], sources=lambda _: None)
    assert drawn.splitlines()[1] == " = help: Did you mean 'local'?"


def test_without_the_line_there_is_no_excerpt() -> None:
    for line in (0, -1, 3):
        drawn = draw([finding(line=line)], sources=lambda _: "a: b\n")
        assert "|" not in drawn


def test_a_file_is_read_once() -> None:
    asked: list[str] = []
    draw([finding(), finding(column=2)], sources=asked.append)  # type: ignore[arg-type]
    assert asked == ["a.yaml"]


def test_a_byte_order_mark_is_no_column() -> None:
    drawn = draw([finding(column=7)], sources=lambda _: "\ufeffhost: x\n")
    assert drawn.splitlines()[1:3] == [" 1 | host: x", "   |       ^"]


def test_lines_end_where_yaml_ends_them() -> None:
    drawn = draw([finding(line=3)], sources=lambda _: "a: 1\rb: 2\r\nc: 3\n")
    assert " 3 | c: 3" in drawn


def test_there_is_colour_on_a_terminal_only() -> None:
    assert "\x1b[" in draw([finding()], console=console(terminal=True))
    assert "\x1b" not in draw([finding()], console=console(terminal=False))
    assert "\x1b" not in draw([finding()])


def test_no_colour_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31" not in draw([finding()], console=console(terminal=True))


def test_colour_changes_no_text() -> None:
    coloured = draw([finding()], sources=lambda _: "a: [b]\n", console=console(terminal=True))
    plain = draw([finding()], sources=lambda _: "a: [b]\n")
    lines = re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()
    assert [line.rstrip() for line in lines] == plain.splitlines()


def test_nothing_in_a_finding_is_markup() -> None:
    one = Finding(
        rule="GW1",
        severity=Severity.ERROR,
        file="[red]a[/red]",
        line=1,
        column=1,
        message="[bold]m[/bold] :smile:",
        remedy="[/]",
    )
    drawn = draw([one], console=console(terminal=True))
    for part in ("[red]a[/red]:1:1", "[bold]m[/bold] :smile:", "[/]"):
        assert part in drawn


def test_an_excerpt_fits_the_terminal() -> None:
    long = "key: [" + "value, " * 100 + "]"
    drawn = draw(
        [finding(column=300)], sources=lambda _: long, console=console(terminal=True, width=60)
    )
    plain = [line for line in drawn.splitlines() if "value" in line]
    assert plain
    assert all(
        cell_len(line.replace("\x1b[90m", "").replace("\x1b[0m", "")) <= 70 for line in plain
    )


def test_a_file_is_read_from_disk_and_anything_else_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"one: \xff\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "| one: \ufffd" in draw([finding(str(path))])
    for file in (pipe, tmp_path, tmp_path / "none", "nul\0"):
        assert "|" not in draw([finding(str(file))])


def test_a_finding_cannot_forge_a_line() -> None:
    one = Finding(
        rule="GW1",
        severity=Severity.ERROR,
        file="a\nb",
        line=1,
        column=1,
        message="m\n::error::x",
        remedy="r\rx",
    )
    drawn = draw([one], sources=lambda _: None)
    assert len(drawn.splitlines()) == 4
    assert not any(line.startswith("::") for line in drawn.splitlines())
