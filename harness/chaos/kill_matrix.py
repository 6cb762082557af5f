"""Every subset of a chain's providers dead: who answered, how long it took, or which error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.chaos.subsets import gray_subsets
from harness.engines.tokens import witness
from harness.evidence import Evidence, Verdict
from harness.statistics import quantile, within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from harness.answer import Answer
    from harness.routing import Route
    from harness.stack import Stack

ASKS = 12
"""Requests a cell, half plain, half streamed. Six samples would bound a median at 95 %, but
by their extremes; twelve bound it by the third from each end, so one stall does not decide."""
TOKENS = 4


RECOVERY_SLACK_S = 5.0
"""On top of the cooldown: there is no half-open probe, the next request is the probe."""


EXPLAINED = {
    "fallback.kill-matrix": """A chain answers while any of its tiers lives

Every subset of the chain's providers is taken down, and the name is asked for each time. The first
living tier must answer with a whole answer; where none lives, an explicit error must come.

Remedy: compare `harness explain route NAME --down PROVIDER` with the fallbacks of the generated
file.""",
    "fallback.latency": """A fallback past dead tiers answers in time

The whole answer is timed while the named providers refuse connections. A tier that hangs instead
costs its timeout, and is not what this check measures.

Remedy: set retries of lone groups to 0 and shorten the timeouts of the tiers in front.""",
    "fallback.recovery": """A provider that came back is used again

After a revival the gateway must return to the first tier within its cooldown and some seconds.
One that never does keeps paying for the second choice.

Remedy: lower the cooldown, or look why the deployment stays out of rotation.""",
}
"""What ``harness explain`` says of each check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a client saw while the providers in ``down`` were dead."""

    route: Route
    down: frozenset[str]
    answers: tuple[Answer, ...]

    @property
    def subject(self) -> str:
        """``name [down: a, b]``, the providers in the order of the chain."""
        dead = [provider for provider in self.route.providers if provider in self.down]
        return f"{self.route.name} [down: {', '.join(dead) or 'none'}]"


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long the gateway took to use a revived provider again; None: it did not in time."""

    provider: str
    route: Route
    seconds: float | None
    allowed_s: float


async def kill_matrix(stack: Stack, route: Route) -> AsyncGenerator[Cell | Recovery, None]:
    """Kill and revive the providers of ``route``, one a step, and ask in every state.

    A dead provider refuses connections and has reset those it held. After a revival
    the next cell waits until the gateway routes to that provider again, so that a
    cooling circuit breaker of one cell cannot colour the next. Of the providers, the
    one that starts slowest dies once and comes back once, at the end.
    """
    dead: frozenset[str] = frozenset()
    try:
        for down in gray_subsets(stack.slowest_last(route.providers)):
            for provider in down - dead:
                await stack.kill(provider)
            for provider in dead - down:
                await stack.revive(provider)
                yield await _recovery(stack, provider, route)
            dead = down
            answers = [
                await stack.ask(
                    route.name, stream=bool(number % 2), purpose="kill matrix", max_tokens=TOKENS
                )
                for number in range(ASKS)
            ]
            yield Cell(route=route, down=down, answers=tuple(answers))
        for provider in sorted(dead):
            await stack.revive(provider)
            dead -= {provider}
            yield await _recovery(stack, provider, route)
    finally:
        for provider in dead:
            await stack.revive(provider)


async def _recovery(stack: Stack, provider: str, route: Route) -> Recovery:
    allowed_s = stack.registry.resilience.cooldown_s + RECOVERY_SLACK_S
    seconds = await stack.routed_again(provider, route, within_s=allowed_s)
    return Recovery(provider, route, seconds, allowed_s)


def judge_recovery(recovery: Recovery) -> Evidence:
    """Whether a revived provider was used again before its cooldown and some slack were over."""
    returned = recovery.seconds is not None
    return Evidence(
        check="fallback.recovery",
        subject=f"{recovery.route.name} [revived: {recovery.provider}]",
        asked=f"used again within {recovery.allowed_s:g} s of its return",
        verdict=Verdict.PASS if returned else Verdict.FAIL,
        reason="" if returned else "it was not",
        value=recovery.seconds,
        unit="s",
        n=1,
        bound=recovery.allowed_s,
    )


def judge_answers(cell: Cell) -> Evidence:
    """Whether every request of the cell got what the routing rules predict.

    Predicted is a whole answer from the first provider left alive, or, with nobody
    left, an explicit error: a status of 400 or more with an error object. An answer
    that looks complete and comes from nowhere is never right.
    """
    expected = sorted({deployment.provider for deployment in cell.route.expected(down=cell.down)})
    outcomes = [_outcome(answer) for answer in cell.answers]
    wrong = [
        outcome
        for outcome, answer in zip(outcomes, cell.answers, strict=True)
        if not (outcome in expected if expected else _explicit_error(answer))
    ]
    asked = f"answered by {' or '.join(expected)}" if expected else "refused with an explicit error"
    return Evidence(
        check="fallback.kill-matrix",
        subject=cell.subject,
        asked=asked,
        verdict=Verdict.FAIL if wrong else Verdict.PASS,
        reason=f"{len(wrong)} of {len(outcomes)} were not: {', '.join(dict.fromkeys(wrong))}"
        if wrong
        else "",
        value=" | ".join(dict.fromkeys(outcomes)),
        n=len(outcomes),
        recordings=tuple(answer.exchange.id for answer in cell.answers),
    )


def judge_latency(cell: Cell, bound_ms: float | None) -> Evidence:
    """Median time from the request's last byte to the answer's last, against ``bound_ms``.

    Where nobody is left this is the time to the explicit error.
    """
    samples = [
        (exchange.reads[-1].at_ns - exchange.sent_ns) / 1e6
        for exchange in (answer.exchange for answer in cell.answers)
        if exchange.reads and exchange.sent_ns is not None
    ]
    subject, recordings = cell.subject, tuple(answer.exchange.id for answer in cell.answers)
    if not samples:
        return Evidence(
            check="fallback.latency",
            subject=subject,
            asked="answered in time",
            verdict=Verdict.FAIL,
            reason="no answer at all to time",
            recordings=recordings,
        )
    estimate = quantile(samples, 0.5)
    verdict, reason = (Verdict.PASS, "") if bound_ms is None else within(estimate, bound_ms)
    return Evidence(
        check="fallback.latency",
        subject=subject,
        asked="median time to the whole answer (E2E), or to the error",
        verdict=verdict,
        reason=reason,
        value=estimate.value,
        unit="ms",
        n=estimate.n,
        interval=estimate.interval,
        bound=bound_ms,
        recordings=recordings,
    )


def _outcome(answer: Answer) -> str:
    if answer.wholeness:
        return witness(answer.text) or "unknown engine"
    if _explicit_error(answer):
        return f"error {answer.status}"
    return answer.wholeness.state.value


def _explicit_error(answer: Answer) -> bool:
    return answer.status is not None and answer.status >= 400 and answer.error is not None
