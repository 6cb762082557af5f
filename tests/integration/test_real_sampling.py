"""Real engines sampled along a load: what they say of themselves, beside what the client saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.answer import ask
from harness.engines.metrics import Quantity
from harness.engines.models import TinyModel, ensure
from harness.engines.real.llama_server import LlamaServer
from harness.engines.real.vllm import Vllm
from harness.load.driving import Call, closed
from harness.load.sampling.aligned import growth, middle_ns, rates
from harness.load.sampling.sampling import Sampler, Watch, sampled
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from harness.load.driving import Drive

Program = Callable[[str, str], Path]
KEY = "sk-canary-of-the-engine"
USERS, TOKENS, SECONDS, BEAT_S = 6, 48, 1.5, 0.05
TOLD = {Quantity.RUNNING, Quantity.WAITING, Quantity.PROMPT_TOKENS, Quantity.GENERATED}
ALL = set(Quantity)


def llama(program: Program, directory: Path) -> LlamaServer:
    return LlamaServer(
        "llama",
        executable=program("llama-cpp", "llama-server"),
        model=ensure(TinyModel(engine="llama", seed=1)).gguf,
        served_as=["tiny"],
        api_key=KEY,
        directory=directory,
    )


def vllm(program: Program, directory: Path) -> Vllm:
    return Vllm(
        "vllm",
        python=program("vllm", "python"),
        model=ensure(TinyModel(engine="vllm", seed=1)).folder,
        served_as=["tiny"],
        api_key=KEY,
        directory=directory,
    )


def play(server: LlamaServer | Vllm, folder: Path) -> tuple[Drive, int, int]:
    """A closed loop sampled along; with when it began and ended, on the samples' clock."""

    def make(number: int) -> Call:
        request = ask.chat(
            f"{server.endpoint}/v1",
            model="tiny",
            content=f"{number} counts",
            key=KEY,
            stream=True,
            max_tokens=TOKENS,
        )
        return Call(request)

    # llama-server closes a connection after a stream, though it promises to keep it: none of
    # these requests may be lost by that.
    watch = Watch.of(server, key=KEY)
    with (
        Sampler(folder, [watch], every_s=BEAT_S, within_s=5.0),
        LoadEngine() as engine,
    ):
        begun_ns = time.time_ns()
        drive = closed(engine, make, users=USERS, seconds=SECONDS)
        return drive, begun_ns, time.time_ns()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(llama, TOLD, marks=pytest.mark.engine("llama-cpp")),
        pytest.param(vllm, ALL, marks=pytest.mark.engine("vllm")),
    ],
)
def test_a_real_engine_is_sampled_from_before_a_load_to_after_it(
    make: Callable[[Program, Path], LlamaServer | Vllm],
    told: set[Quantity],
    program: Program,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "journal"

    async def story() -> tuple[Drive, int, int]:
        async with make(program, tmp_path) as server:
            return await asyncio.to_thread(play, server, folder)

    drive, begun_ns, ended_ns = asyncio.run(story())
    (found,) = sampled(folder)

    assert found.absent == ""
    assert not found.cut
    spoken = [sample for sample in found.samples if sample.said]
    assert all(told <= sample.said.keys() for sample in spoken)
    moments = [middle_ns(sample) for sample in spoken]
    assert all(sooner < later for sooner, later in pairwise(moments))
    assert moments[0] <= begun_ns
    assert moments[-1] >= ended_ns
    running = [sample.said[Quantity.RUNNING] for sample in spoken]
    under_way = [r + s.said[Quantity.WAITING] for r, s in zip(running, spoken, strict=True)]
    assert 0 < max(running) <= max(under_way) <= USERS
    read = [answers.read(recorded.exchange) for recorded in drive.recorded]
    assert [answer.wholeness.why for answer in read if not answer.wholeness] == []
    received = sum(answer.usage["completion_tokens"] for answer in read if answer.usage)
    assert growth(found, Quantity.GENERATED, begun_ns, ended_ns).value == received
    assert sum(map(len, rates(found, Quantity.GENERATED))) > 1
    assert KEY not in next(folder.iterdir()).read_text()
