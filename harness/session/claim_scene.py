"""Facts that need an engine: the ones that batch, started when a claim first needs them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from harness.claims import Fact
from harness.claims.claim import Climbed, Declared, Filled, Pinged, Raced
from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import EngineError
from harness.engines.installs import KNOWN
from harness.engines.metrics import FACTS, labels_of, read_metrics
from harness.engines.models.model import TinyModel, ensure
from harness.engines.real.vllm import Vllm, capacity
from harness.engines.scheduler.presets import preset
from harness.engines.scheduler.steptime import Roofline
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel
from harness.load.capacity.climbing import climb
from harness.load.capacity.filling import Place, fill
from harness.load.capacity.racing import RaceError, race
from harness.load.journal.journal import JournalError
from harness.load.sampling.sampling import SamplingError
from harness.load.workload.prompts import ANY, PromptError, tiny_ids
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.report.load import write_load_page
from harness.statistics import quantile
from harness.wire import Request, WireError, parse
from harness.wire.blocking import exchange
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Literal

    from harness.claims import Reading
    from harness.load.capacity.climbing import Climb
    from harness.load.capacity.filling import Filling
    from harness.load.capacity.racing import Race

    Kind = Literal["emulated", "real"]

PRESET = "rtx-5000"
"""The preset that the emulated engine follows."""
LENGTH = 4096
BLOCKS, BLOCK_SIZE = 4305, 32
"""vLLM on a CPU takes blocks of 32 tokens: this budget is the nearest that prints 33.63x."""
STEP_TOKENS = 8192
HASTE = 12.0
"""How much faster than the card its clock runs where only the room in its cache is asked for."""
_NAMES = {"emulated": f"emulated {PRESET}", "real": "vllm"}
_FAILURES = (
    EngineError,
    ProcessError,
    PortTaken,
    RaceError,
    PromptError,
    SamplingError,
    JournalError,
    WireError,
    OSError,
)
Result = TypeVar("Result")


class Scene:
    """The engines of a session over claims, as an async context; all are stopped on leaving.

    ``real`` is the Python that runs vLLM, None if vLLM was not asked for. Leaving while something
    is measured, as Ctrl-C does, gives up what is under way.
    """

    def __init__(
        self,
        folder: Path,
        *,
        real: Path | None = None,
        seed: int = 1,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder, self._real, self._seed, self._say = folder.absolute(), real, seed, say
        self._stack = AsyncExitStack()
        self._vllm: Vllm | None = None
        self._stop = threading.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        await self._stack.aclose()

    async def facts(self, reading: Reading) -> AsyncIterator[Fact]:
        """What the measure of ``reading`` finds, on each engine it names that there is."""
        for kind in reading.engines:
            if kind == "real" and self._real is None:
                why = "real vLLM was not asked for; add `--engines full`"
                yield Fact(subject=_NAMES[kind], engine=kind, why=why)
                continue
            try:
                yield await self._fact(reading, kind)
            except _FAILURES as error:
                doubt = f"it could not be measured: {error}"
                yield Fact(subject=_NAMES[kind], engine=kind, doubt=doubt)

    async def _fact(self, reading: Reading, kind: Kind) -> Fact:
        match reading.measure:
            case Filled() as measure:
                return await self._filled(measure, kind, reading.within_s)
            case Raced() as measure:
                return await self._raced(measure, kind, reading.within_s)
            case Climbed() as measure:
                return await self._climbed(measure, kind, reading.within_s)
            case Declared() as measure:
                return await self._declared(measure, kind)
            case Pinged() as measure:
                return await self._pinged(measure, kind)
            case other:
                raise TypeError(f"{type(other).__name__} needs no engine")

    async def _filled(self, measure: Filled, kind: Kind, within_s: float) -> Fact:
        async with self._place(kind, step_tokens=measure.step_tokens, haste=HASTE) as place:

            def play(requests: int) -> Filling:
                with LoadEngine(timeout_s=within_s) as engine:
                    return fill(
                        engine,
                        place,
                        requests=requests,
                        prompt=measure.prompt,
                        answer=measure.answer,
                        seed=self._seed,
                        stop=self._stop,
                    )

            self._say(f"{measure.requests} at once on {_NAMES[kind]}")
            exact = await self._in_thread(lambda: play(measure.requests))
            self._say(f"{measure.requests + 1} at once on {_NAMES[kind]}")
            more = await self._in_thread(lambda: play(measure.requests + 1))
        return filled_fact(exact, more, subject=self._subject(kind), kind=kind)

    async def _raced(self, measure: Raced, kind: Kind, within_s: float) -> Fact:
        async with self._place(kind) as place:

            def play() -> Race:
                with LoadEngine(timeout_s=within_s) as engine:
                    return race(
                        engine,
                        place,
                        users=measure.users,
                        prompt=measure.prompt,
                        answer=measure.answer,
                        blocks=measure.blocks,
                        seed=self._seed,
                        stop=self._stop,
                        say=self._say,
                    )

            found = await self._in_thread(play)
        return Fact(
            subject=self._subject(kind),
            value=found.ratio,
            interval=found.interval,
            n=found.runs,
            engine=kind,
            doubt=found.doubt or ("" if found.interval else "too few runs for an interval"),
            said=str(found),
        )

    async def _climbed(self, measure: Climbed, kind: Kind, within_s: float) -> Fact:
        async with self._place(kind, haste=HASTE) as place:

            def play() -> Climb:
                with LoadEngine(timeout_s=within_s) as engine:
                    return climb(
                        engine,
                        place,
                        levels=measure.levels,
                        claimed=measure.claimed,
                        prompt=measure.prompt,
                        answer=measure.answer,
                        seconds=measure.seconds,
                        kind=kind,
                        seed=self._seed,
                        stop=self._stop,
                        say=self._say,
                    )

            found = await self._in_thread(play)
        steps = found.overview.staircase.steps
        page = write_load_page(found.folder, found.overview, capacity=self.printed)
        return Fact(
            subject=self._subject(kind),
            value=found.ratio,
            interval=found.interval,
            n=found.requests,
            engine=kind,
            doubt=found.doubt or ("" if found.ratio is not None else "no level was reached"),
            said=", ".join(
                f"{step.load:g} users {step.tokens_per_s.value:,.0f} tokens/s" for step in steps
            )
            + (f", played {HASTE:g} times as fast as the card" if kind == "emulated" else ""),
            page=str(page.relative_to(self._folder.parent)),
        )

    @property
    def printed(self) -> float:
        """The capacity that the emulated engine prints, for the line in a staircase."""
        return preset(PRESET).scheduler.max_concurrency

    async def _declared(self, measure: Declared, kind: Kind) -> Fact:
        if measure.by == "start-line":
            line = preset(PRESET).scheduler.capacity_line
            found = (await self._started()).capacity if kind == "real" else capacity(line)
            if found is None:
                return Fact(
                    subject=self._subject(kind), engine=kind, doubt="it printed no such line"
                )
            tokens = f"{found.tokens:,} tokens" if found.tokens else "tokens not told"
            return Fact(
                subject=self._subject(kind),
                value=found.concurrency,
                engine=kind,
                said=f"{tokens}, requests of {found.context_length:,}",
            )
        async with self._place(kind) as place:
            page = await asyncio.to_thread(_get, place.url + place.metrics)
        labels = labels_of(read_metrics(page), FACTS["vllm"])
        try:
            size = int(labels["block_size"])
            blocks = int(labels["num_gpu_blocks"])
        except (KeyError, ValueError):
            return Fact(subject=self._subject(kind), engine=kind, doubt=f"no {FACTS['vllm']} there")
        return Fact(
            subject=self._subject(kind),
            value=blocks / -(-LENGTH // size),
            engine=kind,
            said=f"{blocks:,} blocks of {size}; it says "
            f"{labels.get('kv_cache_max_concurrency', 'nothing')} itself",
        )

    async def _pinged(self, measure: Pinged, kind: Kind) -> Fact:
        async with self._place(kind) as place:
            times = await self._in_thread(lambda: _pings(place.url + "/health", measure.times))
        found = quantile(times, 0.95)
        return Fact(
            subject=self._subject(kind),
            value=found.value,
            interval=found.interval,
            n=found.n,
            engine=kind,
            said="95th percentile of GET /health on loopback",
        )

    def _subject(self, kind: Kind) -> str:
        version = self._vllm.version if kind == "real" and self._vllm else ""
        return f"{_NAMES[kind]} {version}".strip()

    @asynccontextmanager
    async def _place(
        self, kind: Kind, *, step_tokens: int = STEP_TOKENS, haste: float = 1.0
    ) -> AsyncIterator[Place]:
        """The engine as a place to ask; an emulated one is made for the occasion."""
        if kind == "real":
            vllm = await self._started()
            yield Place(
                url=vllm.endpoint,
                model=vllm.served_as[0],
                ids=tiny_ids(vllm.id),
                folder=self._folder / kind,
            )
            return
        engine = EmulatedEngine(emulated(step_tokens=step_tokens, haste=haste, seed=self._seed))
        async with engine:
            await engine.ready()
            model = engine.spec.models[0].id
            yield Place(url=engine.endpoint, model=model, ids=ANY, folder=self._folder / kind)

    async def _started(self) -> Vllm:
        """Real vLLM at the claimed budget, started once."""
        if self._vllm is None and self._real is not None:
            self._say("starting vLLM")
            model = ensure(TinyModel("vllm", self._seed, context_length=LENGTH))
            vllm = Vllm(
                "vllm",
                python=self._real,
                model=model.folder,
                served_as=("claimed",),
                directory=self._folder,
                context_length=LENGTH,
                blocks=BLOCKS,
                block_size=BLOCK_SIZE,
                longest_answer=None,
                options=("--max-num-batched-tokens", str(STEP_TOKENS)),
            )
            self._vllm = await self._stack.enter_async_context(vllm)
        if self._vllm is None:
            raise EngineError("engine.not-started", "vLLM was not asked for")
        if not self._vllm.running:
            raise EngineError(
                "engine.died", f"vLLM died. Its last lines:\n{self._vllm.log_tail() or '(nothing)'}"
            )
        return self._vllm

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """``work`` in a thread; if this is cancelled it is told to stop, and waited for."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # said already: it was stopped
            raise


def emulated(*, step_tokens: int, haste: float, seed: int) -> EmulatorSpec:
    """The preset as an engine; ``haste`` times as fast, every step by the same factor.

    Steps of ``step_tokens``: with the default of 2,048 the first answer would end before the last
    long prompt was read, and the cache would never be full.
    """
    found = preset(PRESET)
    if not isinstance(found.step_time, Roofline):
        raise TypeError(f"the preset {PRESET} has no hardware")
    card = found.step_time.hardware
    faster = replace(
        card,
        bandwidth=card.bandwidth * haste,
        flops=card.flops * haste,
        overhead_s=card.overhead_s / haste,
    )
    return EmulatorSpec(
        id="claimed",
        dialect="vllm",
        models=(ServedModel("claimed", LENGTH),),
        seed=seed,
        batching=BatchingSpec(
            scheduler=replace(found.scheduler, max_num_batched_tokens=step_tokens),
            step_time=replace(found.step_time, hardware=faster),
        ),
    )


def filled_fact(exact: Filling, more: Filling, *, subject: str, kind: Kind) -> Fact:
    """How many requests fit, by what so many and one more met; a pure function."""
    trouble = exact.trouble or more.trouble
    if more.fits and exact.fits:
        fitting = more.requests
    else:
        fitting = exact.requests if exact.fits else min(exact.together, exact.requests - 1)
    return Fact(
        subject=subject,
        value=float(fitting),
        n=exact.requests + more.requests,
        engine=kind,
        doubt=trouble,
        said=f"{exact}; {more}",
    )


def vllm_python() -> Path:
    """The Python that runs vLLM. Raises InstallError where it is not installed."""
    return KNOWN["vllm"].program("python")


def _get(url: str) -> str:
    got = exchange(Request(method="GET", url=url), timeout_s=10)
    answer = parse(got)
    if answer.status != 200:
        raise WireError(f"{url} answers {answer.status or got.end}")
    return answer.body.decode("utf-8", "replace")


def _pings(url: str, times: int) -> list[float]:
    found = []
    for _ in range(times):
        got = exchange(Request(method="GET", url=url), timeout_s=10)
        if parse(got).status == 200 and got.reads:
            found.append((got.reads[0].at_ns - got.started_ns) / 1e6)
    if not found:
        raise WireError(f"{url} never answered 200")
    return found
