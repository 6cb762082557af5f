from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.evidence import Evidence
from harness.gate import Policy, judge
from harness.report import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    Example = Any


def drawn(example: Example, *, width: int = 100, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    draw(console, example.run, example.evidence, example.report)
    return stream.getvalue()


@pytest.mark.parametrize("mood", ["red", "green", "interrupted", "empty"])
def test_the_output_is_as_it_was(
    mood: str, request: pytest.FixtureRequest, snapshot: Callable[[str, str], None]
) -> None:
    snapshot(f"terminal-{mood}.txt", drawn(request.getfixturevalue(mood)))


def test_the_output_of_a_terminal_is_as_it_was(
    red: Example, snapshot: Callable[[str, str], None]
) -> None:
    snapshot("terminal-red-tty.txt", drawn(red, terminal=True))


def test_a_narrow_terminal_still_shows_every_promise(
    red: Example, snapshot: Callable[[str, str], None]
) -> None:
    snapshot("terminal-red-80.txt", drawn(red, width=80))


def test_there_is_no_escape_sequence_where_there_is_no_terminal(red: Example) -> None:
    stream = io.StringIO()
    draw(Console(file=stream, width=100), red.run, red.evidence, red.report)

    assert "\x1b" not in stream.getvalue()


def test_a_stream_that_can_only_write_ascii_gets_ascii(red: Example) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    draw(Console(file=stream, width=100), red.run, red.evidence, red.report)

    assert b"x FAIL  3 of 13 promises failed" in raw.getvalue()


def test_evidence_is_never_read_as_markup_or_control_sequence(green: Example) -> None:
    hostile = Evidence(
        check="a.b",
        subject="m [down: vllm] [bold red]",
        asked="?",
        verdict="fail",
        reason="\x1b]0;title\x07 [link=http://evil.example]here[/link]",
    )
    policy = Policy.model_validate(
        {"gates": [{"id": "a", "title": "A", "owner": "o", "evidence": [{"check": "a.b"}]}]}
    )
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system="truecolor")
    draw(console, green.run, [hostile], judge([hostile], policy))

    text = stream.getvalue()
    assert "[down: vllm] [bold red]" in text
    assert "[link=http://evil.example]here[/link]" in text
    assert "\x1b]" not in text
