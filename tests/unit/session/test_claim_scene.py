from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.claims import Fact, Reading
from harness.load.capacity.filling import Filling
from harness.session.claim_scene import Scene, emulated, filled_fact

if TYPE_CHECKING:
    from pathlib import Path

FITS = Filling(
    requests=33,
    prompt=4049,
    answer=47,
    whole=33,
    together=33,
    preemptions=0,
    most_running=33,
    waited=0,
    fullest=0.98,
    seconds=5.0,
)
WAITS = replace(FITS, requests=34, whole=34, together=33)


def facts(folder: Path, **measure: object) -> list[Fact]:
    reading = Reading.model_validate(
        {"id": "r", "means": "m", "expect": {"at_most": 1.0, "unit": "x"}, **measure}
    )

    async def main() -> list[Fact]:
        async with Scene(folder) as scene:
            return [each async for each in scene.facts(reading)]

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("exact", "more", "value"),
    [
        (FITS, WAITS, 33),
        (FITS, replace(FITS, requests=34, whole=34, together=34), 34),
        (FITS, replace(WAITS, together=34, preemptions=2), 33),
        (FITS, replace(WAITS, together=34, waited=1), 33),
        (replace(FITS, preemptions=1), WAITS, 32),
        (replace(FITS, together=9), WAITS, 9),
        (replace(FITS, whole=0), WAITS, 32),
    ],
)
def test_how_many_fit_follows_from_so_many_and_one_more(
    exact: Filling, more: Filling, value: int
) -> None:
    found = filled_fact(exact, more, subject="s", kind="emulated")
    assert found.value == value
    assert not found.doubt
    assert str(exact) in found.said


def test_a_fill_that_says_nothing_is_doubt() -> None:
    broken = replace(WAITS, trouble="the counter could not be read")
    assert filled_fact(FITS, broken, subject="s", kind="real").doubt == broken.trouble


def test_the_emulated_engine_is_the_preset_at_any_pace() -> None:
    slow, fast = (emulated(step_tokens=8192, haste=haste, seed=1) for haste in (1.0, 12.0))
    assert slow.batching is not None
    assert fast.batching is not None
    assert slow.batching.scheduler == fast.batching.scheduler
    assert slow.batching.scheduler.num_blocks == 8609


def test_without_vllm_its_readings_are_not_run_and_say_how(tmp_path: Path) -> None:
    emulator, vllm = facts(tmp_path, pinged={"times": 5})
    assert emulator.engine == "emulated"
    assert emulator.value is not None
    assert emulator.n == 5
    assert (vllm.engine, vllm.value) == ("real", None)
    assert "--engines full" in vllm.why


def test_the_emulated_engine_declares_what_the_claim_says(tmp_path: Path) -> None:
    (line,) = facts(tmp_path, declared={"by": "start-line"}, engines=["emulated"])
    (metrics,) = facts(tmp_path, declared={"by": "metrics"}, engines=["emulated"])
    assert line.value == 33.63
    assert metrics.value == pytest.approx(8609 / 256)


def test_what_fails_on_the_way_is_doubt_not_silence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be here")
    (found,) = facts(
        blocked, filled={"requests": 1, "prompt": 8, "answer": 2}, engines=["emulated"]
    )
    assert found.value is None
    assert "could not be measured" in found.doubt


def test_ctrl_c_gives_up_what_is_under_way_and_stops_the_engine(tmp_path: Path) -> None:
    """Two answers of 4,000 tokens would take many seconds; they are cancelled as they begin."""
    reading = Reading.model_validate(
        {
            "id": "r",
            "means": "m",
            "expect": {"at_most": 1.0, "unit": "x"},
            "filled": {"requests": 2, "prompt": 8, "answer": 4000},
            "engines": ["emulated"],
        }
    )
    tasks: list[asyncio.Future[list[Fact]]] = []

    def give_up(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(tasks[0].cancel)

    async def measured(scene: Scene) -> list[Fact]:
        async with scene:
            return [each async for each in scene.facts(reading)]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        scene = Scene(tmp_path, say=lambda _: give_up(loop))
        tasks.append(asyncio.ensure_future(measured(scene)))
        await tasks[0]

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert tasks[0].cancelled()
