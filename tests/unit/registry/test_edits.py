from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.edits import Edit, Offsets, OverlapError, disjoint, splice

BREAKS = st.sampled_from(["\n", "\r", "\r\n", "\x85", "\u2028"])
TEXTS = st.lists(st.text(max_size=3) | BREAKS, max_size=12).map("".join)


def edit(start: int, end: int, new: str = "", *, line: int = 1, file: str = "a") -> Edit:
    return Edit(file, (line, start), (line, end), new)


def test_an_edit_changes_what_it_names_and_nothing_else() -> None:
    assert splice("one two three", [edit(5, 8, "2")]) == "one 2 three"
    assert splice("one", [edit(4, 4, "!")]) == "one!"
    assert splice("one", [edit(1, 2)]) == "ne"


def test_every_position_is_that_of_the_text_as_it_was() -> None:
    edits = [edit(5, 8, "zwei"), edit(1, 4, "eins")]
    assert splice("one two", edits) == splice("one two", edits[::-1]) == "eins zwei"


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x85", "\u2029"])
def test_lines_end_where_yaml_ends_them(line_break: str) -> None:
    assert splice(f"a{line_break}b", [edit(1, 2, "c", line=2)]) == f"a{line_break}c"


def test_an_edit_may_reach_over_lines() -> None:
    assert splice("a\nb\nc", [Edit("a", (1, 2), (3, 1), "-")]) == "a-c"


@pytest.mark.parametrize(
    "pair",
    [
        (edit(1, 4), edit(3, 5)),
        (edit(1, 9), edit(3, 5)),
        (edit(2, 2, "x"), edit(2, 2, "y")),
        (edit(2, 2, "x"), edit(2, 3)),
    ],
)
def test_edits_that_overlap_are_refused(pair: tuple[Edit, Edit]) -> None:
    with pytest.raises(OverlapError):
        splice("one two three", pair)
    assert disjoint(pair) == [min(pair)]


def test_edits_side_by_side_or_in_two_files_do_not_overlap() -> None:
    apart = [edit(1, 3), edit(3, 5), edit(2, 4, file="b")]
    assert disjoint([*apart, *apart]) == apart


@pytest.mark.parametrize(
    "outside", [edit(1, 9), edit(0, 1), edit(1, 2, line=3), edit(3, 2), edit(1, 1, line=0)]
)
def test_an_edit_outside_the_text_is_refused(outside: Edit) -> None:
    with pytest.raises(ValueError, match=r"edit|line"):
        splice("abc\n", [outside])


@given(TEXTS)
def test_a_position_and_its_offset_are_one(text: str) -> None:
    offsets = Offsets(text)
    for offset in range(len(text) + 1):
        assert offsets.offset(offsets.position(offset)) == offset


@given(text=TEXTS, data=st.data())
def test_splicing_is_slicing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    new = data.draw(st.text(max_size=4))
    position = Offsets(text).position
    made = splice(text, [Edit("a", position(cuts[0]), position(cuts[1]), new)])
    assert made == text[: cuts[0]] + new + text[cuts[1] :]
