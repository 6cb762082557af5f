"""Filling a small emulated engine to its last request: 40 blocks hold ten of four."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.metrics import Quantity
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel
from harness.load.capacity import climbing
from harness.load.capacity.climbing import climb
from harness.load.capacity.filling import Filling, Place, fill, look
from harness.load.capacity.racing import RaceError, race
from harness.load.driving import Drive, closed
from harness.load.sampling.sampling import Sample, Sampled
from harness.load.workload.prompts import ANY
from harness.wire import End, Request
from harness.wire.engine import LoadEngine
from harness.wire.engine.recorded import UNSTAMPED, Recorded, Tape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import TypeVar

    Result = TypeVar("Result")

SMALL = SchedulerConfig(
    num_blocks=41,
    block_size=16,
    max_model_len=64,
    max_num_seqs=32,
    max_num_batched_tokens=2048,
)
"""10.25 requests of 64 tokens, and one block is the null block."""
STEP = Fitted(constant_s=0.015)


@asynccontextmanager
async def running(folder: Path, scheduler: SchedulerConfig = SMALL) -> AsyncIterator[Place]:
    spec = EmulatorSpec(
        id="small",
        dialect="vllm",
        models=(ServedModel("small", scheduler.max_model_len),),
        batching=BatchingSpec(scheduler=scheduler, step_time=STEP),
    )
    async with EmulatedEngine(spec) as engine:
        await engine.ready()
        yield Place(url=engine.endpoint, model="small", ids=ANY, folder=folder)


def on_engine(
    folder: Path,
    play: Callable[[LoadEngine, Place], Result],
    scheduler: SchedulerConfig = SMALL,
) -> Result:
    async def main() -> Result:
        async with running(folder, scheduler) as place:
            with LoadEngine() as engine:
                return await asyncio.to_thread(play, engine, place)

    return asyncio.run(main())


def filled(folder: Path, requests: int, prompt: int, answer: int) -> Filling:
    return on_engine(
        folder,
        lambda engine, place: fill(engine, place, requests=requests, prompt=prompt, answer=answer),
    )


@pytest.mark.parametrize(("prompt", "answer"), [(52, 12), (12, 52)])
def test_as_many_as_the_blocks_hold_run_together(tmp_path: Path, prompt: int, answer: int) -> None:
    found = filled(tmp_path, 10, prompt, answer)
    assert found.fits, str(found)
    assert (found.together, found.preemptions, found.whole) == (10, 0, 10)


def test_one_more_with_long_prompts_waits_for_its_place(tmp_path: Path) -> None:
    found = filled(tmp_path, 11, 52, 12)
    assert not found.fits
    assert (found.together, found.preemptions) == (10, 0)
    assert "10 of 11 ran together" in str(found)


def test_one_more_with_long_answers_has_somebody_preempted(tmp_path: Path) -> None:
    found = filled(tmp_path, 11, 12, 52)
    assert not found.fits
    assert found.preemptions is not None
    assert found.preemptions >= 1


@pytest.mark.parametrize(
    ("asked_ms", "at_ms", "waited"),
    [
        (5, 45, None),  # asked while one had no token yet, answered late
        (32, 35, None),  # the gauge still tells of the step that gave it its first
        (45, 50, 1),
        (75, 95, None),  # one had ended when it was answered, and another could have begun
    ],
)
def test_what_waits_counts_where_the_gauge_tells_of_a_moment_when_all_ran(
    asked_ms: int, at_ms: int, waited: int | None
) -> None:
    ms = 1_000_000

    def answered(*token_ms: int) -> Recorded:
        said = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
        told = {"prompt_tokens": 4, "completion_tokens": len(token_ms), "total_tokens": 9}
        last = json.dumps({"choices": [], "usage": told}).encode()
        stop = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        end = stop + b"data: " + last + b"\n\ndata: [DONE]\n\n"
        kept: list[bytes | int] = [b"HTTP/1.1 200 OK\r\n", 1, UNSTAMPED]
        kept += b"content-type: text/event-stream\r\n\r\n", 1, UNSTAMPED
        for moment in token_ms:
            kept += said, moment * ms, UNSTAMPED
        kept += end, 90 * ms, UNSTAMPED
        return Recorded(
            id="x", request=Request(method="POST", url="http://e/v1/completions"), labels={},
            scheduled_ns=None, submitted_ns=0, started_ns=0, connected_ns=0, sent_ns=0,
            ended_ns=90 * ms, end=End.EOF, tape=Tape(kept),
        )  # fmt: skip

    with LoadEngine() as engine:
        vitals = engine.vitals()
    drive = Drive(
        recorded=(answered(10, 20, 30), answered(30, 40, 50)),
        begun_ns=0, ended_ns=90 * ms, before=vitals, after=vitals, complete=True,
    )  # fmt: skip
    beats = [
        Sample(
            asked_unix_ns=asked * ms,
            at_unix_ns=at * ms,
            every_s=0.1,
            said={Quantity.PREEMPTIONS: 0.0, Quantity.WAITING: waiting},
        )
        for asked, at, waiting in ((0, 1, 0.0), (asked_ms, at_ms, 1.0), (98, 99, 0.0))
    ]
    said = [Sampled(name="e", url="", samples=tuple(beats))]
    found = look(drive, said, requests=2, prompt=4, answer=3)
    assert (found.trouble, found.together) == ("", 2)
    assert found.waited == waited
    assert found.fits is (waited is None)


def test_a_length_that_the_server_counts_otherwise_is_trouble(tmp_path: Path) -> None:
    """A prompt of words where ids were meant would measure something else."""

    class Halved(type(ANY)):  # type: ignore[misc]
        def draw(self, count: int, seed: str) -> list[int]:
            drawn: list[int] = super().draw(count // 2, seed)
            return drawn

    def play(engine: LoadEngine, place: Place) -> Filling:
        other = replace(place, ids=Halved(1, 2000))
        return fill(engine, other, requests=2, prompt=40, answer=4)

    found = on_engine(tmp_path, play)
    assert not found.fits
    assert found.trouble == "an answer has 20+4 tokens, not 40+4"


def test_an_engine_without_the_counter_says_nothing(tmp_path: Path) -> None:
    def play(engine: LoadEngine, place: Place) -> Filling:
        other = replace(place, metrics="/health")
        return fill(engine, other, requests=2, prompt=40, answer=4)

    found = on_engine(tmp_path, play)
    assert not found.fits
    assert "preemptions could not be read" in found.trouble


def test_refused_requests_are_trouble(tmp_path: Path) -> None:
    found = filled(tmp_path, 2, 60, 30)
    assert not found.fits
    assert found.trouble


def test_many_decode_as_fast_as_one_where_a_step_costs_the_same(tmp_path: Path) -> None:
    """Every step takes as long, whatever is in it: eight streams are eight times one at best."""
    roomy = replace(SMALL, num_blocks=200)
    found = on_engine(
        tmp_path,
        lambda engine, place: race(engine, place, users=8, prompt=33, answer=24, blocks=3),
        roomy,
    )
    assert found.interval is not None
    assert found.runs == 12
    assert 1 < found.ratio < 10
    assert found.together > found.alone


def test_answers_too_short_to_run_together_are_no_race(tmp_path: Path) -> None:
    with pytest.raises(RaceError):
        on_engine(
            tmp_path,
            lambda engine, place: race(engine, place, users=4, prompt=33, answer=1, blocks=1),
        )


def test_the_users_of_a_level_have_all_begun_when_it_counts_as_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A level counts from an answer's time on: who begins later would make it look slow."""
    played: list[tuple[float, Drive]] = []

    def noting(*args: Any, stagger_s: float, **more: Any) -> Drive:
        drive = closed(*args, stagger_s=stagger_s, **more)
        played.append((stagger_s, drive))
        return drive

    monkeypatch.setattr(climbing, "closed", noting)
    on_engine(
        tmp_path,
        lambda engine, place: climb(
            engine,
            place,
            levels=(1, 2),
            claimed=2,
            prompt=16,
            answer=8,
            seconds=1.0,
            kind="emulated",
        ),
    )
    (alone_s, alone), (pair_s, _) = played
    took = sorted((one.ended_ns - one.due_ns) / 1e9 for one in alone.recorded)
    assert alone_s == 0
    assert took[0] <= pair_s <= took[-1]


def test_a_staircase_leaves_a_journal_and_says_what_the_level_brought(tmp_path: Path) -> None:
    found = on_engine(
        tmp_path,
        lambda engine, place: climb(
            engine,
            place,
            levels=(1, 4),
            claimed=4,
            prompt=16,
            answer=16,
            seconds=0.6,
            kind="emulated",
        ),
    )
    assert found.requests == found.whole > 4
    assert [step.load for step in found.overview.staircase.steps] == [1, 4]
    assert found.ratio is not None
    assert found.overview.engines[0].capacity == pytest.approx(10.25)
