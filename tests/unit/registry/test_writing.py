from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.source import read
from harness.registry.writing import WIDTH, Noted, document, scalar

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30).filter(
    lambda text: not set(text) & set("\u2028\u2029\ufeff\ufffe\uffff\x85")
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.sampled_from(["no", "12:30", "1_000", "0x1f", "1e3", "null", "~", "a: b", "- x", "#", "*"])
)
KEYS = TEXTS.filter(lambda text: len(text) < 20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
ROOTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def noted(value: Any) -> Any:
    """Every value in it with a note above and one behind."""
    if isinstance(value, dict):
        value = {key: noted(inner) for key, inner in value.items()}
    elif isinstance(value, list):
        value = [noted(inner) for inner in value]
    return Noted(value, note="why: this", behind="ask [somebody]")


def loaded(text: str) -> Any:
    found = read("written.yaml", text.encode())
    assert not found.findings, (text, found.findings)
    return found.value


@given(ROOTS)
def test_what_is_written_reads_back_as_it_was(root: dict[str, Any]) -> None:
    assert loaded(document(root, header="One.\n\nTwo.")) == root


@given(ROOTS)
def test_notes_change_nothing_that_is_read(root: dict[str, Any]) -> None:
    text = document({key: noted(value) for key, value in root.items()})
    assert loaded(text) == root


@pytest.mark.parametrize("text", ["yes", "no", "on", "12:30", "1_000", "2025-10-26", "1.0", "~"])
def test_text_that_yaml_1_1_takes_for_something_else_is_text_to_it_too(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text


def test_numbers_keep_their_value() -> None:
    assert (scalar(30.0), scalar(0.5), scalar(math.inf)) == ("30", "0.5", ".inf")


def test_a_short_mapping_is_one_line_and_a_note_stands_behind_it() -> None:
    text = document({"health": Noted({"path": "/health", "timeout_s": 2}, behind="a guess")})
    assert text == "health: {path: /health, timeout_s: 2}  # a guess\n"


def test_a_long_note_goes_above_and_is_wrapped() -> None:
    text = document({"port": Noted(1, behind="why " * 60)})
    assert text.splitlines()[-1] == "port: 1"
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_note_cannot_leave_its_comment() -> None:
    text = document({"port": Noted(1, note="said: \x00\nhost: evil\x85x\u2028y\x1b")})
    assert loaded(text) == {"port": 1}
