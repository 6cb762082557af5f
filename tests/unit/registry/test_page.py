from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.edits import splice
from harness.registry.page import Page, is_plain, same


def after_drop(text: str, line: int, column: int) -> str | None:
    page = Page("a", text)
    site = page.site(line, column)
    assert site is not None
    listed = (up for up in site.up() if up.parent and _is_list(up.parent.node))
    item = next(listed, site)
    edit = page.drop(item)
    return None if edit is None else splice(text, [edit])


def _is_list(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode)


@pytest.mark.parametrize(
    ("text", "at", "after"),
    [
        ("- a\n- b\n- c\n", (2, 3), "- a\n- c\n"),
        ("- a\n- b", (2, 3), "- a"),
        ("- a\r\n- b\r\n", (2, 3), "- a\r\n"),
        ("- a\r\n- b", (2, 3), "- a"),
        (
            "x:\n  - a: 1\n    b: 2\n  - c: 1\n    d: [1,\n     2]\n# end\n",
            (4, 5),
            "x:\n  - a: 1\n    b: 2\n# end\n",
        ),
        ("- a\n- b: 1\n  c: 2\n- d\n", (2, 3), "- a\n- d\n"),
        ("- a\n- b: [1,\n  2]\n# kept\n", (2, 3), "- a\n# kept\n"),
        ("[a, b, c]", (1, 5), "[a, c]"),
        ("[a,b]", (1, 4), "[a]"),
        ("[a,\n b, # of b\n c]", (2, 2), "[a, # of b\n c]"),
        ("a: 1\nb: 2\n", (2, 1), "a: 1\n"),
        ("{a: 1, b: 2}", (1, 8), "{a: 1}"),
    ],
)
def test_an_entry_goes_with_its_lines(text: str, at: tuple[int, int], after: str) -> None:
    assert after_drop(text, *at) == after


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("- a\n- b # why\n", (2, 3)),
        ("- a\n- b: 1 # why\n  c: 2\n", (2, 3)),
        ("- - a\n- - b\n  - c\n", (2, 5)),
        ("- a\n- |\n  b\n", (2, 3)),
        ("[a, # of a\n b]", (2, 2)),
        ("- &x a\n- b\n- *x\n", (1, 3)),
        ("- a\n- b\n", (1, 3)),
    ],
)
def test_an_entry_that_shares_its_place_stays(text: str, at: tuple[int, int]) -> None:
    assert after_drop(text, *at) is None


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ("a: one # c", "two", "a: two # c"),
        ("a: 'one' # c", "two", "a: 'two' # c"),
        ('a: "one" # c', 'say "x"\\', 'a: "say \\"x\\"\\\\" # c'),
        ("a: 'one'", "it's", "a: 'it''s'"),
        ("a: one", "yes", "a: 'yes'"),
        ("a: one", "12", "a: '12'"),
        ("a: one", "a: b", "a: 'a: b'"),
        ("a: one", "b:7b", "a: b:7b"),
        ("a: one", "# b", "a: '# b'"),
    ],
)
def test_a_value_keeps_its_quotes_or_gets_those_it_needs(text: str, value: str, after: str) -> None:
    page = Page("a", text)
    site = page.scalar(1, 4)
    assert site is not None
    edit = page.replace(site, value)
    assert edit is not None
    assert splice(text, [edit]) == after
    assert yaml.safe_load(after) == {"a": value}


@pytest.mark.parametrize(
    "text",
    ["a: !!str one", "a: &x one", "a: |\n  one\n", "a: one\n  two", "a: 'one\n  two'", "a: &x 'b'"],
)
def test_a_value_that_is_more_than_one_word_stays(text: str) -> None:
    page = Page("a", text)
    site = page.scalar(1, 4)
    assert site is not None
    assert page.replace(site, "b") is None


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("x: {}\n", "x: {mode: chat}\n"),
        ("x: {a: 1}\n", "x: {a: 1, mode: chat}\n"),
        ("x:\n  a: 1\ny: 2\n", "x:\n  a: 1\n  mode: chat\ny: 2\n"),
        ("x:\n  a: 1  # one\n  # two\n", "x:\n  a: 1  # one\n  mode: chat\n  # two\n"),
        ("x:\n  a: 1", "x:\n  a: 1\n  mode: chat"),
        ("x:\r\n  a: 1\r\ny: 2", "x:\r\n  a: 1\r\n  mode: chat\r\ny: 2"),
        ("x:\n  a: [1,\n   2]\n", "x:\n  a: [1,\n   2]\n  mode: chat\n"),
        ("x:\n  a:\n    b: 1\n", "x:\n  a:\n    b: 1\n  mode: chat\n"),
    ],
)
def test_a_key_is_added_at_the_end_of_its_mapping(text: str, after: str) -> None:
    page = Page("a", text)
    site = page.value("x")
    assert site is not None
    edit = page.add(site, "mode: chat")
    assert edit is not None
    assert splice(text, [edit]) == after


@pytest.mark.parametrize("text", ["x:\n  a: |\n    b\n", "x: [a]\n", "y: &y 1\nx:\n  a: *y\n"])
def test_nothing_is_added_where_the_end_is_not_clear(text: str) -> None:
    page = Page("a", text)
    site = page.value("x")
    assert site is not None
    assert page.add(site, "mode: chat") is None


@pytest.mark.parametrize("text", ["a: [", "\t- x", "a: \x00", "[" * 5000, "a: 1\n---\nb: 2\n", ""])
def test_a_text_that_does_not_parse_has_no_nodes(text: str) -> None:
    page = Page("a", text)
    assert page.root is None
    assert page.site(1, 1) is None
    assert page.value("a") is None


def test_a_byte_order_mark_is_an_offset_but_no_column() -> None:
    text = "\ufeffhost: lokal\n"
    page = Page("a", text)
    site = page.scalar(1, 7)
    assert site is not None
    edit = page.replace(site, "local")
    assert edit is not None
    assert splice(text, [edit]) == "\ufeffhost: local\n"


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
)


def test_aliases_of_aliases_cost_nothing() -> None:
    page = Page("a", LAUGHS)
    last = page.value("u")
    assert last is not None
    assert page.add(last, "x") is None
    assert not same(last.node, yaml.compose(LAUGHS).value[-1][1])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("{a: 1, b: [x]}", "a: 1 # c\nb:\n- 'x'", True),
        ("[b, a]", "[a, b]", False),
        ("{b: 1, a: 2}", "{a: 2, b: 1}", True),
        ("a: 1", "a: '1'", False),
        ("[a]", "[a, a]", False),
        ("a", "[a]", False),
    ],
)
def test_what_says_the_same_is_the_same(one: str, other: str, equal: bool) -> None:
    nodes = (yaml.compose(text, Loader=yaml.SafeLoader) for text in (one, other))
    assert same(*nodes) is equal


@given(st.text(max_size=12))
def test_plain_text_is_the_same_to_every_reader(value: str) -> None:
    if is_plain(value):
        assert yaml.safe_load(f"[{value}]") == [value]
        assert yaml.safe_load(f"a: {value} # c") == {"a": value}


@given(st.text(st.sampled_from("ab:-[]{},#&*'\" \n\t\r|>"), max_size=40))
def test_any_text_makes_a_page(text: str) -> None:
    page = Page("a", text)
    for line in range(1, 6):
        for column in range(1, 20):
            for site in page.site(line, column).up() if page.site(line, column) else ():
                page.drop(site)
                page.add(site, "k: v")
