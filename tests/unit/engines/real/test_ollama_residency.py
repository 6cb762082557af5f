from __future__ import annotations

import asyncio
import math

import pytest

from harness.engines.real.ollama.residency import DEFAULT_KEEP_ALIVE_S, Refusal, Residency, duration


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        (-1, math.inf),
        ("-1s", math.inf),
    ],
)
def test_a_keep_alive_is_seconds_or_a_go_duration(value: object, seconds: float) -> None:
    assert duration(value) == seconds


@pytest.mark.parametrize("value", ["", "5", "5 m", "m", True, [], "1h x"])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(Refusal, match="invalid duration"):
        duration(value)


def test_names_without_a_tag_mean_the_latest() -> None:
    here = Residency(["a", "b:latest", "c:7b"], parallel=1, queue=0)
    assert [here.find(name) for name in ("a", "a:latest", "b", "c:7b")] == [
        "a",
        "a",
        "b:latest",
        "c:7b",
    ]
    for name, status in (("c", 404), ("x", 404), ("", 400), (None, 400), (1, 400)):
        with pytest.raises(Refusal) as caught:
            here.find(name)
        assert caught.value.status == status


def test_a_model_stays_as_long_as_it_is_told() -> None:
    clock = Clock()
    here = Residency(["a"], parallel=1, queue=0, clock=clock)

    async def use(keep: object) -> list[tuple[str, float]]:
        async with here.turn("a", keep):
            assert here.loaded() == [("a", math.inf)]
        return here.loaded()

    assert asyncio.run(use(None)) == [("a", clock.now + DEFAULT_KEEP_ALIVE_S)]
    assert asyncio.run(use("10s")) == [("a", clock.now + 10)]
    clock.now += 11
    assert here.loaded() == []
    assert asyncio.run(use(-1)) == [("a", math.inf)]
    assert asyncio.run(use(0)) == []


def test_only_a_first_use_takes_time_to_load() -> None:
    async def loads() -> list[int]:
        here = Residency(["a"], parallel=1, queue=0, load_s=0.05)
        took = []
        for _ in range(2):
            async with here.turn("a") as load_ns:
                took.append(load_ns)
        return took

    first, second = asyncio.run(loads())
    assert first >= 50_000_000 > second


def test_the_queue_has_an_end() -> None:
    async def crowd() -> list[int]:
        here, gate = Residency(["a"], parallel=1, queue=1), asyncio.Event()

        async def one() -> int:
            try:
                async with here.turn("a"):
                    await gate.wait()
            except Refusal as refusal:
                return refusal.status
            return 200

        tasks = [asyncio.create_task(one()) for _ in range(3)]
        refused = await tasks[2]
        gate.set()
        return [*await asyncio.gather(*tasks[:2]), refused, await one()]

    assert asyncio.run(crowd()) == [200, 200, 503, 200]
