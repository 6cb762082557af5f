"""The help of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from harness.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS = 80


def _commands(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from _commands(child, (*words, name))


_ALL = dict(_commands(main))


def _help(root: click.Command, words: tuple[str, ...]) -> list[str]:
    shown = CliRunner().invoke(
        root, [*words, "--help"], prog_name="harness", terminal_width=_COLUMNS
    )
    assert shown.exit_code == 0, shown.output
    return shown.output.splitlines()


def _cut(lines: list[str]) -> list[str]:
    """The lines whose end was left out; ``ARGS...`` is no cut but says that more may follow."""
    return [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")]


def test_the_tree_has_groups_and_commands() -> None:
    assert {(), ("load",), ("load", "find"), ("backup", "restore")} <= set(_ALL)


@pytest.mark.parametrize("words", _ALL, ids=" ".join)
def test_no_line_of_help_is_cut_short(words: tuple[str, ...]) -> None:
    lines = _help(main, words)
    assert not _cut(lines)
    assert max(map(len, lines)) <= _COLUMNS


@pytest.mark.parametrize("words", [words for words in _ALL if words], ids=" ".join)
def test_a_summary_is_one_sentence(words: tuple[str, ...]) -> None:
    summary = (_ALL[words].help or "").strip().partition("\n\n")[0]
    assert summary.endswith(".")
    assert summary[0].isupper()


def test_ctrl_c_ends_any_command_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_: click.Context) -> None:
        raise KeyboardInterrupt

    for command in (main.commands["plan"], _ALL["load", "report"]):
        monkeypatch.setattr(command, "invoke", pressed)
    for words in (["plan"], ["load", "report", "."]):
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, result.output) == (130, "interrupted.\n")


def test_a_summary_that_is_too_long_is_seen() -> None:
    @click.group()
    def root() -> None:
        """Hold one command."""

    @root.command()
    def wordy() -> None:
        """Say at a length that no terminal of eighty columns has room for what this is about."""

    assert _cut(_help(root, ()))
