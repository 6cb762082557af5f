from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.litellm_lint.json_places import position, texts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def below(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(path, value)]
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    return [found for key, each in pairs for found in below(each, (*path, key))]


@given(VALUES, st.sampled_from([None, 2]))
def test_every_text_is_found_with_what_leads_to_it(value: Any, indent: int | None) -> None:
    source = json.dumps(value, indent=indent)
    assert [(each.path, each.value) for each in texts(source)] == below(value)
    assert all(source[each.offset] == '"' for each in texts(source))


def test_a_place_counts_lines_and_columns_from_one() -> None:
    source = '{\n  "a": "b"\n}'
    (text,) = texts(source)
    assert position(source, text.offset) == (2, 8)
    assert position(source, 0) == (1, 1)
