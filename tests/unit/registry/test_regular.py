from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry.regular import MAX_OUTLINES, Language, RegexError, language

LETTERS = "abc-"


def regexes() -> st.SearchStrategy[str]:
    """Regular expressions that both Python and we can read."""
    atoms = st.sampled_from(["a", "b", "c", "-", r"\-", ".", "[ab]", "[^a]", "[a-c]", "x{0}"])
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=1, max_size=3).map(lambda some: f"({'|'.join(some)})"),
            st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}"])).map(
                lambda pair: f"({pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=6,
    )


@settings(deadline=None)
@given(text=regexes(), names=st.lists(st.text(LETTERS, max_size=6), max_size=10))
def test_it_matches_what_python_matches_from_end_to_end(text: str, names: list[str]) -> None:
    theirs = re.compile(text, re.DOTALL)
    for name in names:
        assert language(text).matches(name) is bool(theirs.fullmatch(name)), (text, name)


@settings(deadline=None)
@given(text=regexes(), names=st.lists(st.text(LETTERS, max_size=6), max_size=20))
def test_outlines_stand_for_the_same_names(text: str, names: list[str]) -> None:
    outlines = language(text).outlines()
    if outlines is None:
        return
    ends = [name for name, is_open in outlines if not is_open]
    assert all(language(text).matches(name) for name in ends)
    for name in names:
        spelt = any(
            name.startswith(outline) if is_open else name == outline
            for outline, is_open in outlines
        )
        assert spelt is language(text).matches(name), (text, outlines, name)


@pytest.mark.parametrize(
    ("text", "outlines"),
    [
        ("a(b|c)?", (("a", False), ("ab", False), ("ac", False))),
        (r"gpt-3\.5.*", (("gpt-3.5", True),)),
        ("a|b.*|bc", (("a", False), ("b", True))),
        ("a.*.*b?", (("a", True),)),
        ("[0-2]", (("0", False), ("1", False), ("2", False))),
        (".*", (("", True),)),
        ("a.*b", None),
        ("a.+", None),
        ("a+", None),
        ("[^a]", None),
        (f"a{{0,{MAX_OUTLINES + 1}}}", None),
    ],
)
def test_names_and_prefixes_are_written_out_where_there_are_such(
    text: str, outlines: tuple[tuple[str, bool], ...] | None
) -> None:
    assert language(text).outlines() == outlines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a(b", "not closed"),
        ("a)", "nothing it would close"),
        ("[a", "class is not closed"),
        ("[]", "class is empty"),
        ("[b-a]", "backwards"),
        ("*a", "a letter is expected"),
        ("a**", "cannot be repeated"),
        ("a*?", "cannot be repeated"),
        ("^a", "no anchor is needed"),
        ("(?=a)", "only plain groups"),
        (r"\bx", "this escape is not known"),
        ("a{x}", "with numbers"),
        ("a{3,1}", "bounds run backwards"),
        ("(" * 30 + "a" + ")" * 30, "nested too deep"),
        ("((a{999}){999}){999}", "repeats too much"),
        ("((){999}){999}", "repeats too much"),
    ],
)
def test_what_cannot_stand_for_names_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(RegexError, match=words):
        Language(text)


def test_no_name_keeps_it_busy() -> None:
    assert not language("(a+)+b").matches("a" * 50_000)


@given(text=st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RegexError):
        assert Language(text).text == text
