from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.claims.expect import Expect, met
from harness.evidence import Verdict

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def expect(**words: object) -> Expect:
    return Expect.model_validate({"unit": "x", **words})


@pytest.mark.parametrize(
    ("words", "value", "interval", "verdict"),
    [
        ({"at_least": 2.0}, 2.0, None, PASS),
        ({"at_least": 2.0}, 1.9, None, FAIL),
        ({"at_most": 2.0}, 2.1, None, FAIL),
        ({"at_least": 1.0, "at_most": 2.0}, 1.5, None, PASS),
        ({"at_least": 1.0, "at_most": 2.0}, 0.5, None, FAIL),
        ({"equals": 33.63, "within": 0.005}, 33.62890625, None, PASS),
        ({"equals": 33.63, "within": 0.005}, 33.62, None, FAIL),
        ({"equals": 33.0}, 33.0, None, PASS),
        ({"at_least": 2.0}, 2.5, (2.1, 2.9), PASS),
        ({"at_least": 2.0}, 2.5, (1.9, 2.9), UNSURE),
        ({"at_least": 2.0}, 1.5, (1.1, 1.9), FAIL),
        ({"at_most": 2.0}, 2.5, (1.9, float("inf")), UNSURE),
        ({"at_most": 2.0}, 1.0, (0.5, float("inf")), UNSURE),
        ({"equals": 5.0}, 5.0, (4.0, 6.0), UNSURE),
    ],
)
def test_an_expectation_and_what_came(
    words: dict[str, float],
    value: float,
    interval: tuple[float, float] | None,
    verdict: Verdict,
) -> None:
    found, reason = met(expect(**words), value, interval)
    assert found is verdict
    assert bool(reason) is (verdict is not PASS)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"equals": 33.63, "within": 0.005}, "33.63 x within 0.005"),
        ({"at_least": 12.0, "at_most": 13.0}, "12 to 13 x"),
        ({"at_most": 150000.0}, "at most 150,000 x"),
    ],
)
def test_it_reads_as_people_say_it(words: dict[str, float], text: str) -> None:
    assert str(expect(**words)) == text


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"equals": 1.0, "at_least": 1.0},
        {"at_least": 2.0, "at_most": 1.0},
        {"at_least": 2.0, "within": 0.1},
        {"equals": 1.0, "within": -1.0},
    ],
)
def test_one_that_nothing_or_everything_meets_is_refused(words: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        expect(**words)
