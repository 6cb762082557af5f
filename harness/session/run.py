"""The main job: sources in, real gateway up, promises judged, one verdict out."""

from __future__ import annotations

import asyncio
import platform
import shlex
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness.contract import deviations
from harness.engines.engine import EngineError
from harness.engines.real.base import RealServer
from harness.evidence import (
    EVIDENCE_FILE,
    Behind,
    Evidence,
    EvidenceError,
    EvidenceStore,
    RunContext,
    write_run,
)
from harness.gate import Policy, judge, load_policy
from harness.gateway.base import GatewayError
from harness.gateway.kinds import kind
from harness.gateway.swap import recover
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import Registry, load
from harness.report import write_all
from harness.session.events import Event, Found, PhaseStarted, Trouble, Written
from harness.session.outcome import POLICY, Outcome
from harness.session.phases import PHASES, Phase, Work
from harness.session.sources import judge_leaks, judge_sources
from harness.stack import Stack, Tier, kinds_of, new_secrets, one_kind, require
from harness.wire import RecordingClient, RecordingError, RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.gateway.base import Kind

LEDGER = "deviations.yaml"
RECORDINGS = "recordings.jsonl.gz"
_STOPPERS = (
    GatewayError,
    EngineError,
    ProcessError,
    PortTaken,
    RecordingError,
    EvidenceError,
    OSError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person chose; ``phases`` empty means all of them."""

    config: Path
    out: Path
    seed: int = 1
    tier: Tier = "emulated"
    phases: tuple[str, ...] = ()
    port: int | None = None
    command: str = "harness run"


async def _nothing(_: Stack) -> None:
    """Plant nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A defect planted on purpose, to see the gate block it.

    ``config`` changes the gateway's configuration before the start, ``stack`` breaks
    something in the running whole before the first phase.
    """

    config: Callable[[dict[str, Any]], None] = lambda _: None
    stack: Callable[[Stack], Awaitable[None]] = _nothing


async def run(
    options: Options,
    emit: Callable[[Event], None] = lambda _: None,
    rehearsal: Rehearsal | None = None,
) -> Outcome:
    """Do the main job once and judge it.

    Whatever happens on the way (a server that dies, a full disk, cancellation), what
    was found until then is judged, reported and kept; a cancelled run writes its
    report and then raises `asyncio.CancelledError` again.

    Raises:
        RegistryError: the sources do not load. PolicyError, LedgerError: nor do the
            policy or the deviations. StoreError: a replacement of the generated files was
            interrupted and cannot be ended. EngineError: the tier is not installed.
            Nothing has been started then.
    """
    recover(options.config)
    registry = load(options.config)
    kind(registry)
    policy = load_policy(options.config / POLICY).of(options.tier)
    ledger = deviations.load(options.config / LEDGER)
    require(registry, options.tier)
    job = _Job(options, registry, policy, ledger, emit, rehearsal or Rehearsal())
    return await job.run()


class _Job:
    """The state of one run while it runs."""

    def __init__(
        self,
        options: Options,
        registry: Registry,
        policy: Policy,
        ledger: deviations.Ledger,
        emit: Callable[[Event], None],
        rehearsal: Rehearsal,
    ) -> None:
        self.options, self.registry, self.ledger = options, registry, ledger
        self.emit, self.rehearsal = emit, rehearsal
        self.phases = [
            phase
            for phase in PHASES
            if phase.name in (options.phases or (phase.name,))
            and options.tier in (phase.tiers or (options.tier,))
        ]
        self.policy = policy if not options.phases else _narrowed(policy, self.phases)
        self.secrets = new_secrets(registry)
        kinds: dict[str, Behind] = {**kinds_of(registry, options.tier)}
        started = datetime.now(UTC)
        self.context = RunContext(
            id=f"{started:%Y%m%dT%H%M%S.%f}Z-{options.seed}",
            command=options.command,
            started=started,
            seed=options.seed,
            engine=one_kind(kinds.values()),
            tier=options.tier,
            engines=kinds,
            versions=_versions(kind(registry)),
            config_hash=registry.sha256,
        )
        self.directory = options.out / self.context.id
        self.found: list[Evidence] = []
        self.trouble = ""

    async def run(self) -> Outcome:
        write_run(self.directory, self.context)
        cancelled: asyncio.CancelledError | None = None
        try:
            with EvidenceStore(self.directory / EVIDENCE_FILE) as self.store:
                await self._gather()
        except asyncio.CancelledError as error:
            cancelled = error
            self.trouble = "interrupted"
        except _STOPPERS as error:
            self.trouble = str(error)
        if self.trouble:
            self.emit(Trouble(self.trouble))
        outcome = self._finish()
        if cancelled is not None:
            raise cancelled
        return outcome

    async def _gather(self) -> None:
        if not self.options.phases:
            self.emit(PhaseStarted("config", "sources, generated files"))
            for evidence in judge_sources(self.options.config, self.registry):
                self._add(evidence)
        recordings = self.directory / RECORDINGS
        async with AsyncExitStack() as whole:
            writer = whole.enter_context(RecordingWriter(recordings, secrets=self.secrets.values()))
            client = await whole.enter_async_context(RecordingClient(on_exchange=writer.write))
            stack = Stack(
                self.registry,
                client=client,
                directory=self.directory / "stack",
                seed=self.options.seed,
                tier=self.options.tier,
                port=self.options.port,
                secrets=self.secrets,
                alter=self.rehearsal.config,
            )
            gateway = kind(self.registry).title
            self.emit(PhaseStarted("start", f"{self.options.tier} engines, {gateway}"))
            await whole.enter_async_context(stack)
            self._tell_versions(stack)
            await self.rehearsal.stack(stack)
            work = Work(stack=stack, policy=self.policy, ledger=self.ledger)
            for phase in self.phases:
                self.emit(PhaseStarted(phase.name, phase.detail))
                async with aclosing(phase.run(work)) as found:
                    async for evidence in found:
                        self._add(evidence, phase, stack.kind_of(evidence.subject))
                _all_alive(stack)
        if not self.options.phases:
            places = {"config": self.options.config, "run": self.directory}
            self._add(judge_leaks(places, self.secrets))

    def _tell_versions(self, stack: Stack) -> None:
        """Real servers say their version once they run."""
        told = {name: each.version for name, each in stack.engines.items()}
        for name, each in (stack.engines | stack.services).items():
            if isinstance(each, RealServer):
                told[name] = f"{each.program} {each.version.removeprefix(each.program).strip()}"
        versions = {**self.context.versions, **told}
        self.context = self.context.model_copy(update={"versions": versions})
        write_run(self.directory, self.context)

    def _add(self, evidence: Evidence, phase: Phase | None = None, engine: Behind = "none") -> None:
        tier = "" if self.options.tier == "emulated" else f" --engines {self.options.tier}"
        only = f" --only {phase.name}" if phase else ""
        config = self.options.config
        where = "" if config == Path("config") else f" --config {shlex.quote(str(config))}"
        stamped = evidence.model_copy(
            update={
                "engine": engine,
                "seed": self.options.seed,
                "versions": self.context.versions,
                "config_hash": self.context.config_hash,
                "replay": f"harness run --seed {self.options.seed}{where}{tier}{only}",
            }
        )
        self.store.append(stamped)
        self.found.append(stamped)
        self.emit(Found(stamped))

    def _finish(self) -> Outcome:
        interrupted = bool(self.trouble)
        ended = self.context.ended(interrupted=interrupted, trouble=self.trouble)
        write_run(self.directory, ended)
        report = judge(self.found, self.policy, interrupted=interrupted)
        write_all(self.directory, ended, self.found, report)
        self.emit(Written(self.directory))
        return Outcome(
            directory=self.directory,
            run=ended,
            report=report,
            evidence=self.found,
            trouble=self.trouble,
        )


def _all_alive(stack: Stack) -> None:
    """A server that fell must not be mistaken for a verdict about the gateway."""
    fallen = stack.casualties()
    if fallen:
        told = "\n".join(f"{name}:\n{tail}" for name, tail in fallen.items())
        raise GatewayError(f"died while the run went on: {', '.join(fallen)}. Last lines:\n{told}")


def _narrowed(policy: Policy, phases: list[Phase]) -> Policy:
    """The gates these phases can answer for."""
    owned = {word for phase in phases for word in phase.owns}
    gates = tuple(
        gate
        for gate in policy.gates
        if all(need.check.split(".")[0] in owned for need in gate.evidence)
    )
    return policy.model_copy(update={"gates": gates})


def _versions(gateway: Kind) -> dict[str, str]:
    return {
        "harness": harness.__version__,
        gateway.name: gateway.version(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
