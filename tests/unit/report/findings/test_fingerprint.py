from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.findings.fingerprint import LineHashes

# What github/codeql-action computes for the same text, from its own tests.
KNOWN = [
    ("", ["c129715d7a2bc9a3:1"]),
    (
        " a\nb\n  \t\tc\n d",
        ["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"],
    ),
]


@pytest.mark.parametrize(("text", "hashes"), KNOWN)
def test_a_line_has_the_hash_github_gives_it(text: str, hashes: list[str]) -> None:
    made = LineHashes(text)
    assert [made[number] for number in range(1, len(hashes) + 1)] == hashes


def test_the_hundred_characters_after_a_line_count() -> None:
    made = LineHashes("Lorem ipsum dolor sit amet.\n" * 10)
    assert [made[number] for number in (1, 2, 6, 7, 11)] == [
        "a7f2ff13bc495cf2:1",
        "a7f2ff13bc495cf2:2",
        "a7f2ff13bc495cf2:6",
        "a7f2ff1481e87703:1",
        "c129715d7a2bc9a3:1",
    ]


@given(st.text(st.sampled_from("ab \t\n"), max_size=200))
def test_line_breaks_and_indentation_do_not_count(text: str) -> None:
    unix, indented = LineHashes(text), LineHashes(text.replace("\n", "\r\n \t"))
    for number in range(1, text.count("\n") + 2):
        assert unix[number] == indented[number]


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_line_that_is_not_there_has_no_hash(number: int) -> None:
    with pytest.raises(IndexError):
        LineHashes("a\nb")[number]
