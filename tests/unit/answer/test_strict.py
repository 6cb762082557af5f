from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.answer import strict


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_a_value_or_a_reason(data: bytes) -> None:
    value, fault = strict.loads(data)
    assert value is None or not fault


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON: Extra data"),
        (b'{"logprob": NaN}', "NaN is not a JSON number"),
        (b'{"logprob": -Infinity}', "-Infinity is not a JSON number"),
        (b'"\xff"', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 5_000, "not JSON"),
    ],
)
def test_what_rfc_8259_forbids_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    value, fault = strict.loads(data)
    assert value is None
    assert reason in fault


def test_a_boolean_is_no_index() -> None:
    assert [i for i, _ in strict.choices({"choices": [{"index": True}, {"index": 3}]})] == [0, 3]


@pytest.mark.parametrize("value", [None, 1, "x", [], {"choices": 7}, {"choices": [None, "x"]}])
def test_a_value_without_choices_has_none(value: object) -> None:
    assert list(strict.choices(value)) == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "no"}}, {"message": "no"}),
        ({"error": "no"}, {"message": "no"}),
        ({"object": "error", "message": "no"}, {"object": "error", "message": "no"}),
        ({"error": None, "choices": []}, None),
        ({"detail": "no"}, None),
        ([], None),
    ],
)
def test_an_error_object_is_found_in_its_three_spellings(body: object, error: object) -> None:
    assert strict.error_in(body) == error
