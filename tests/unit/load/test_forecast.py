from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.scheduler.presets import preset
from harness.load.forecast import Workload, forecast

CARD = preset("rtx-5000")


def light(**changes: float) -> Workload:
    settings = {
        "rate_per_s": 0.5,
        "duration_s": 900.0,
        "prompt_tokens": 500,
        "answer_tokens": 100,
        **changes,
    }
    return Workload(**settings)  # type: ignore[arg-type]


def test_the_same_seed_makes_the_same_requests_and_another_others() -> None:
    assert [*light().arrivals()] == [*light().arrivals()]
    assert [*light().arrivals()] != [*light(seed=2).arrivals()]


@given(st.integers(0, 1000), st.floats(0, 3), st.integers(1, 2000), st.integers(1, 2000))
def test_every_request_fits_the_model_and_comes_in_time(
    seed: int, spread: float, prompt: int, answer: int
) -> None:
    load = light(seed=seed, spread=spread, prompt_tokens=prompt, answer_tokens=answer)
    times = [arrival.at_s for arrival in load.arrivals()]
    assert times == sorted(times)
    assert all(0 < at_s < load.duration_s for at_s in times)
    for arrival in load.arrivals():
        assert arrival.prompt >= 1
        assert arrival.length >= 1
        assert arrival.prompt + arrival.length <= load.limit


def test_a_light_load_is_kept_up_with_and_every_request_answered() -> None:
    found = forecast(light(), CARD.scheduler, CARD.step_time)
    assert found.keeps_up
    assert found.requests == len([*light().arrivals()])
    assert found.preemptions == 0
    assert found.ttft_s[0.5] <= found.ttft_s[0.95] <= found.ttft_s[0.99]


def test_a_load_beyond_what_the_card_can_do_is_told() -> None:
    heavy = light(rate_per_s=20.0, duration_s=300.0)
    alone = forecast(heavy, CARD.scheduler, CARD.step_time)
    assert not alone.keeps_up
    assert alone.utilisation > 0.99


def test_more_engines_shorten_the_wait() -> None:
    busy = light(rate_per_s=4.0)
    one = forecast(busy, CARD.scheduler, CARD.step_time)
    four = forecast(busy, CARD.scheduler, CARD.step_time, replicas=4)
    assert four.keeps_up
    assert four.e2e_s[0.5] < one.e2e_s[0.5]
    assert four.utilisation < one.utilisation


def test_equal_lengths_without_spread() -> None:
    assert {(a.prompt, a.length) for a in light(spread=0).arrivals()} == {(500, 100)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"duration_s": float("inf")}, "duration_s"),
        ({"spread": -1}, "spread"),
        ({"prompt_tokens": 4000}, "do not fit"),
    ],
)
def test_a_load_that_cannot_be_says_what_is_wrong(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        light(**changes)


def test_a_time_too_short_for_any_request_says_so() -> None:
    with pytest.raises(ValueError, match="simulate longer"):
        forecast(light(rate_per_s=0.001, duration_s=1), CARD.scheduler, CARD.step_time)
