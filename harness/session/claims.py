"""The session over claims: measures what each reading needs, judges it, keeps the evidence."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import harness
from harness.claims import Claims, JudgedClaim, judge, judge_all, load_claims
from harness.claims.judge import check_of
from harness.engines.engine import EngineError
from harness.evidence import (
    EVIDENCE_FILE,
    Evidence,
    EvidenceError,
    EvidenceStore,
    GateReport,
    RunContext,
    Verdict,
    write_run,
)
from harness.gate import Policy, load_policy
from harness.gate import judge as judge_gates
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import Registry, load
from harness.report import write_all
from harness.report.claims import CLAIMS_FILE
from harness.session.claim_plan import plain_fact
from harness.session.claim_scene import Scene, vllm_python
from harness.session.events import Event, Found, PhaseStarted, Trouble, Written
from harness.session.outcome import CLAIMS, POLICY, asked_for, of_claims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from harness.claims import Claim, Fact, Reading

_STOPPERS = (EngineError, ProcessError, PortTaken, EvidenceError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOptions:
    """What a person chose; ``only`` empty means all claims."""

    config: Path
    out: Path
    run: Path
    """Folder of an earlier `harness run`, whose evidence some claims rest on."""
    seed: int = 1
    tier: Literal["emulated", "full"] = "emulated"
    only: tuple[str, ...] = ()
    command: str = "harness claims"


@dataclass(slots=True, kw_only=True)
class ClaimsOutcome:
    """What is said of each claim, and what the gates make of it."""

    directory: Path
    run: RunContext
    report: GateReport
    claims: tuple[JudgedClaim, ...]
    evidence: list[Evidence] = field(default_factory=list)
    trouble: str = ""

    @property
    def exit_code(self) -> int:
        """1 where a gate fails or the session broke off, 3 where something is inconclusive.

        A refuted claim by itself is a result, not a failure: only a gate in ``gates.yaml`` that
        asks for its evidence makes it one. What was not run is neither.
        """
        if self.trouble or self.report.exit_code == 1:
            return 1
        doubtful = any(row.verdict is Verdict.INCONCLUSIVE for row in self.evidence)
        return 3 if doubtful or self.report.exit_code else 0

    def data(self) -> dict[str, Any]:
        """The claims, the gates and the evidence as plain data."""
        return {
            "exit_code": self.exit_code,
            "directory": str(self.directory),
            "trouble": self.trouble,
            "claims": [claim_data(one) for one in self.claims],
            "gates": [
                {"id": row.id, "title": row.title, "verdict": str(row.verdict)}
                for row in self.report.rows
            ],
            "evidence": [one.model_dump(mode="json") for one in self.evidence],
        }


def claim_data(judged: JudgedClaim, pages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One claim as plain data: its words, what is said of it, and why.

    ``pages`` are pages that show more of a reading, by the id of its evidence.
    """
    claim = judged.claim
    return {
        "id": claim.id,
        "quote": claim.quote,
        "document": claim.document,
        "line": claim.line,
        "note": claim.note or "",
        "status": str(judged.status),
        "readings": [
            {
                "id": each.reading.id,
                "check": check_of(claim, each.reading),
                "means": each.reading.means,
                "expect": str(each.reading.expect or ""),
                "hardware": each.reading.hardware,
                "status": str(each.status),
                "page": (pages or {}).get(check_of(claim, each.reading), ""),
            }
            for each in judged.readings
        ],
    }


async def judge_claims(
    options: ClaimOptions, emit: Callable[[Event], None] = lambda _: None
) -> ClaimsOutcome:
    """Measure and judge the claims that ``options`` name.

    What was found is kept whatever happens on the way; a cancelled session writes its report and
    then raises `asyncio.CancelledError` again. A claim that was not reached is not run.

    Raises:
        RegistryError, ClaimError, PolicyError: the sources, the claims or the policy do not load.
        KeyError: ``only`` names no claim. InstallError: vLLM was asked for and is not installed.
    """
    registry = load(options.config)
    known = load_claims(options.config / CLAIMS)
    claims = known.only(options.only)
    policy = load_policy(options.config / POLICY)
    policy = of_claims(policy, _checks(claims), known=_checks(known))
    real = vllm_python() if options.tier == "full" else None
    started = datetime.now(UTC)
    context = RunContext(
        id=f"{started:%Y%m%dT%H%M%S.%f}Z-{options.seed}",
        command=options.command,
        started=started,
        seed=options.seed,
        engine="emulated" if real is None else "mixed",
        tier=options.tier,
        engines={"rtx-5000": "emulated"}
        if real is None
        else {
            "rtx-5000": "emulated",
            "vllm": "real",
        },
        versions={
            "harness": harness.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        config_hash=registry.sha256,
    )
    session = _Session(options, registry, claims, policy, context, real, emit)
    return await session.run()


def _checks(claims: Claims) -> list[str]:
    return [check_of(claim, each) for claim in claims.claims for each in claim.readings]


class _Session:
    """The state of one session while it runs."""

    def __init__(
        self,
        options: ClaimOptions,
        registry: Registry,
        claims: Claims,
        policy: Policy,
        context: RunContext,
        real: Path | None,
        emit: Callable[[Event], None],
    ) -> None:
        self.options, self.registry, self.claims = options, registry, claims
        self.policy, self.context, self.real, self.emit = policy, context, real, emit
        self.directory = options.out / context.id
        self.found: list[Evidence] = []
        self.pages: dict[str, str] = {}
        self.trouble = ""

    async def run(self) -> ClaimsOutcome:
        write_run(self.directory, self.context)
        try:
            with EvidenceStore(self.directory / EVIDENCE_FILE) as self.store:
                await self._gather()
        except BaseException as error:
            self.trouble = _why(error)
            self.emit(Trouble(self.trouble))
            outcome = self._finish()
            if not isinstance(error, _STOPPERS):
                raise
            return outcome
        return self._finish()

    async def _gather(self) -> None:
        async with Scene(
            self.directory / "engines",
            real=self.real,
            seed=self.options.seed,
            say=lambda text: self.emit(PhaseStarted("measure", text)),
        ) as scene:
            for claim in self.claims.claims:
                self.emit(PhaseStarted("claim", claim.id))
                for reading in claim.readings:
                    fact = plain_fact(reading.measure, self.registry, self.options.run)
                    if fact is not None:
                        self._add(claim, reading, fact)
                        continue
                    async for each in scene.facts(reading):
                        self._add(claim, reading, each)

    def _add(self, claim: Claim, reading: Reading, fact: Fact) -> None:
        row = judge(claim, reading, fact)
        tier = " --engines full" if fact.engine == "real" else ""
        stamped = row.model_copy(
            update={
                "seed": self.options.seed,
                "versions": self.context.versions,
                "config_hash": self.context.config_hash,
                "replay": f"{row.replay}{tier} --seed {self.options.seed}",
            }
        )
        if fact.page:
            self.pages[row.check] = fact.page
        self.store.append(stamped)
        self.found.append(stamped)
        self.emit(Found(stamped))

    def _finish(self) -> ClaimsOutcome:
        interrupted = bool(self.trouble)
        ended = self.context.ended(interrupted=interrupted, trouble=self.trouble)
        write_run(self.directory, ended)
        judged = judge_all(self.claims, self.found)
        _keep(self.directory, [claim_data(one, self.pages) for one in judged])
        asked = asked_for(self.found, self.policy)
        report = judge_gates(asked, self.policy, interrupted=interrupted)
        write_all(self.directory, ended, self.found, report)
        self.emit(Written(self.directory))
        return ClaimsOutcome(
            directory=self.directory,
            run=ended,
            report=report,
            claims=judged,
            evidence=self.found,
            trouble=self.trouble,
        )


def _why(error: BaseException) -> str:
    if isinstance(error, _STOPPERS):
        return str(error)
    return "interrupted" if not isinstance(error, Exception) else repr(error)


def _keep(directory: Path, judged: Sequence[Mapping[str, Any]]) -> None:
    """Write what is said of each claim beside its evidence, so that it can be drawn again."""
    path = directory / CLAIMS_FILE
    text = json.dumps(judged, indent=2, ensure_ascii=False)
    aside = path.with_suffix(".part")
    try:
        aside.write_text(text + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise EvidenceError(
            f"{path}: the verdicts could not be written ({error.strerror or error}). Free some "
            "space or choose another --out, then run again; the evidence is kept."
        ) from error
