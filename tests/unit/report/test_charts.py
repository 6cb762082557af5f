from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Evidence
from harness.report.charts import Scale, charts
from harness.report.view import items

if TYPE_CHECKING:
    Example = Any


def latency(
    check: str = "ttft.p50", value: float | str | None = 100.0, **facts: object
) -> Evidence:
    known = {"check": f"latency.{check}", "subject": "s", "asked": "?", "verdict": "pass"}
    return Evidence.model_validate({**known, "value": value, "unit": "ms", **facts})


def test_there_is_a_chart_for_each_metric_and_unit(green: Example) -> None:
    drawn = charts(items(green.evidence))

    assert [chart.title.split(" (")[0] for chart in drawn] == [
        "Time to first token",
        "Gap between tokens",
        "Whole answer, request to last byte",
        "What the gateway adds",
    ]
    assert [track.subject for track in drawn[0].tracks][:2] == [
        "gateway:qwen-coder-vllm",
        "gateway:llama3.1:latest",
    ]
    assert [mark.stat for mark in drawn[0].tracks[0].marks] == ["p50", "p95"]


def test_units_are_never_mixed_on_one_scale() -> None:
    assert len(charts(items([latency(), latency(unit="s")]))) == 2


def test_a_dot_is_where_its_value_is() -> None:
    (chart,) = charts(items([latency(value=50.0, bound=100), latency("ttft.p95", 100.0)]))
    low, high = chart.tracks[0].marks

    zero = chart.scale.at(0)
    assert low.x - zero == pytest.approx((high.x - zero) / 2, abs=0.02)
    assert low.limit == high.x


def test_an_open_interval_ends_at_the_edge() -> None:
    (chart,) = charts(items([latency(interval=(90.0, math.inf))]))
    (mark,) = chart.tracks[0].marks

    assert mark.interval is not None
    assert mark.interval[1] == chart.scale.at(chart.scale.high)


def test_a_limit_far_beyond_the_data_does_not_squash_it() -> None:
    (chart,) = charts(items([latency(bound=10_000)]))
    (mark,) = chart.tracks[0].marks

    assert mark.limit_is_far
    assert mark.x > 90


def test_a_measurement_without_a_number_is_listed_not_drawn() -> None:
    (chart,) = charts(items([latency(value=None, verdict="inconclusive")]))

    assert chart.tracks == ()
    assert len(chart.unmeasured) == 1


def test_without_latency_there_is_no_chart() -> None:
    assert charts([]) == ()


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0, 520), (0, 100, 200, 300, 400, 500)),
        (Scale(0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (Scale(-5, 25), (-5, 0, 5, 10, 15, 20, 25)),
    ],
)
def test_ticks_are_round(scale: Scale, ticks: tuple[float, ...]) -> None:
    assert scale.ticks() == ticks


values = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@given(st.lists(st.tuples(values, st.none() | st.floats(0, 1e9)), min_size=1, max_size=8))
def test_everything_is_drawn_inside_the_track(found: list[tuple[float, float | None]]) -> None:
    records = [latency(value=value, bound=bound) for value, bound in found]
    (chart,) = charts(items(records))

    marks = [mark for track in chart.tracks for mark in track.marks]
    assert len(marks) == len(found)
    assert all(0 <= mark.x <= 100 for mark in marks)
    assert 1 <= len(chart.ticks) <= 15
    assert all(0 <= x <= 100 for _, x in chart.ticks)
