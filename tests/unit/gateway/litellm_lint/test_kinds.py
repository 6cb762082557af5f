from __future__ import annotations

import datetime as dt

import pytest

from harness.gateway.litellm_lint.kinds import allowed, misfit

CHOICES = {"Strategy": ["fast", "cheap"]}


def fits(annotation: str, value: object, *, lenient: bool = False) -> bool:
    return not misfit(value, allowed(annotation, CHOICES), lenient=lenient)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int | None", 3),
        ("int | None", None),
        ("int", 3.0),
        ("float", 3),
        ("Optional[float]", 0.5),
        ("Union[str, bool]", True),
        ("bool", False),
        ("list[str]", ["a"]),
        ("Optional[Dict[str, Any]]", {}),
        ("Literal['a', 'b']", "a"),
        ("Strategy", "fast"),
        ("list[Strategy]", ["fast"]),
        ("'Forward'", 1),
        ("Callable[..., object]", 1),
        ("not an annotation (", 1),
        ("", 1),
    ],
)
def test_a_value_fits(annotation: str, value: object) -> None:
    assert fits(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int | None", "three"),
        ("int", 3.5),
        ("int", True),
        ("float", "1m"),
        ("bool", "false"),
        ("str | None", 2024),
        ("str | None", dt.date(2024, 10, 21)),
        ("list[str]", "word"),
        ("dict", []),
        ("Strategy", 5),
    ],
)
def test_a_value_does_not_fit(annotation: str, value: object) -> None:
    assert not fits(annotation, value)


def test_text_is_converted_where_litellm_converts_it() -> None:
    assert fits("int | None", "30", lenient=True)
    assert fits("bool", "true", lenient=True)
    assert not fits("int | None", "30")
    assert not fits("int | None", "150k", lenient=True)


def test_the_words_behind_a_name_are_known() -> None:
    assert allowed("Strategy | None", CHOICES).words == ("fast", "cheap")
    assert allowed("list[Strategy]", CHOICES).words == ("fast", "cheap")


def test_a_misfit_says_both_kinds() -> None:
    assert misfit("three", allowed("int | None", {}), lenient=False) == "text, not a whole number"
