from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from harness.report.findings.excerpt import GAP, excerpt


def under(line: str, column: int, width: int = 80) -> str:
    """What stands over the carets."""
    drawn, carets = excerpt(line, column, width=width)
    start, end = len(carets) - len(carets.lstrip()), len(carets)
    at, word = 0, ""
    for char in drawn:
        if start <= at < end:
            word += char
        at += cell_len(char)
    return word


@pytest.mark.parametrize(
    ("line", "column", "word"),
    [
        ("route: tiny", 8, "tiny"),
        ("route: tiny", 1, "route"),
        ("{provider: lokal, model: x}", 12, "lokal"),
        ("a: 'two words', b: 1", 4, "'two words'"),
        ('a: "say \\"x\\"" # b', 4, '"say \\"x\\""'),
        ("\t\troute:\ttiny", 10, "tiny"),
        ("模型: 名前", 5, "名前"),
        ("🙂🙂: x", 5, "x"),
        ("e\u0301t\u00e9: x", 7, "x"),
        ("models: [llama3.1:latest]", 10, "llama3.1:latest"),
        ("a: [", 4, "["),
    ],
)
def test_the_carets_stand_under_the_word(line: str, column: int, word: str) -> None:
    assert under(line, column) == word


def test_a_character_that_does_not_show_is_spelt_out_and_the_caret_moves_with_it() -> None:
    assert excerpt("a\u202eb: x", 6, width=80) == (r"a\u202eb: x", "          ^")
    assert excerpt("a: \x00", 4, width=80) == (r"a: \x00", "   ^^^^")


@pytest.mark.parametrize("column", [5, 6, 1000])
def test_a_place_past_the_end_is_the_end(column: int) -> None:
    assert excerpt("abcd", column, width=80) == ("abcd", "    ^")


def test_a_place_before_the_line_is_its_start() -> None:
    assert excerpt("abcd", 0, width=80) == ("abcd", "^^^^")


@pytest.mark.parametrize("column", [1, 2_000_000, 4_000_000])
def test_a_line_of_megabytes_is_cut_round_the_place(column: int) -> None:
    drawn, carets = excerpt("- abc, " * 600_000, column, width=80)
    assert cell_len(drawn) <= 80 + 2 * len(GAP)
    assert drawn.count(GAP) == (1 if column == 1 else 2)
    assert 0 < len(carets) <= len(drawn)


def test_what_is_left_of_the_end_of_a_long_line_is_shown() -> None:
    drawn, carets = excerpt("x" * 100 + " tail", 102, width=40)
    assert drawn == GAP + "x" * 35 + " tail"
    assert carets.strip() == "^^^^"
    assert len(carets) == len(drawn)


@given(
    line=st.text(max_size=300),
    column=st.integers(-5, 400),
    width=st.integers(0, 120),
)
def test_every_line_has_an_excerpt_of_one_line_that_fits(
    line: str, column: int, width: int
) -> None:
    drawn, carets = excerpt(line, column, width=width)
    assert drawn.isprintable() or set(map(str.isspace, drawn)) == {True, False} or drawn.isspace()
    assert len(drawn.splitlines()) <= 1
    assert carets.strip(" ").strip("^") == ""
    assert "^" in carets
    assert cell_len(drawn) <= max(width, 20) + 2 * len(GAP) + 10
    assert len(carets) <= cell_len(drawn) + 1


@given(
    before=st.text(st.sampled_from("a é\t模🙂,\u00a0"), max_size=60),
    after=st.text(st.sampled_from("b é\t模🙂,"), max_size=60),
)
def test_the_carets_stand_under_the_place_whatever_is_before_it(before: str, after: str) -> None:
    assert under(f"{before} MARK {after}", len(before) + 2) == "MARK"
