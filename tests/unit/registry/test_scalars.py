from __future__ import annotations

import math

import pytest

from harness.registry.scalars import resolve


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "y", "N", "On", "tRUE", "nUll"])
def test_words_that_only_look_like_booleans_stay_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("8001", 8001),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("012", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2e3", 2000.0),
        ("-.inf", -math.inf),
    ],
)
def test_values_of_the_core_schema(text: str, value: object) -> None:
    resolved = resolve(text)
    assert (type(resolved), resolved) == (type(value), value)


@pytest.mark.parametrize(
    "text",
    ["2025-10-26", "12:30:00", "1_000", "0b1", "1.2.3", "llama3.1:8b", "0x", "+", ".", "\u0661"],
)
def test_dates_sexagesimals_and_versions_stay_text(text: str) -> None:
    assert resolve(text) == text


def test_not_a_number_is_a_number() -> None:
    value = resolve(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_a_number_of_absurd_length_is_read_without_complaint() -> None:
    assert resolve("9" * 5000) == math.inf
