"""The phases of the main job: each drives traffic through a stack and yields judged facts."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.answer.ask import bearer
from harness.behaviour import access, balance, monitoring, routes
from harness.behaviour.live import live_phase
from harness.chaos import kill_matrix as chaos
from harness.contract import deviations, lane
from harness.contract.targets import public_names
from harness.engines.tokens import witness
from harness.gate import limit
from harness.load import latency
from harness.load.timing import timing
from harness.process.listeners import listeners
from harness.routing import Refusal, Route, listed, resolve
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from harness.answer import Answer
    from harness.contract.deviations import Ledger
    from harness.evidence import Evidence
    from harness.gate import Policy
    from harness.registry import Registry
    from harness.stack import Stack, Tier
    from harness.wire import Exchange

BALANCE_ASKS = 160
LATENCY_ASKS = 40
TAIL_ASKS = 240
"""72 samples bound a p95; 240 bound it below their five largest. One stall of the gateway hits all
`CONCURRENCY` answers in flight, which then count as one: within the limit it decides nothing, and
beyond it 240 samples leave the p95 undecided. Then as many again are asked, with which it passes
if that was the only one."""
PAIRS = 40
"""Of a direct question and one through the gateway, where the engine keeps no ledger."""
LATENCY_TOKENS = 8
CONCURRENCY = 4
FIRST_SCRAPE_S = 15
"""Prometheus takes up its targets 5 s after its start, and each within an interval then."""
STRANGER = "https://stranger.example"
UNKNOWN = "no-such-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What every phase works with."""

    stack: Stack
    policy: Policy
    ledger: Ledger

    def bound(self, check: str, subject: str) -> float | None:
        """The largest acceptable value the policy states for a measurement."""
        found = limit(self.policy, check, subject, self.stack.made_by(subject))
        return None if found is None else found.max


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of the job; ``owns`` are the first words of the checks it answers.

    ``tiers`` are those of engines that give it something to do; all of them, if empty.
    """

    name: str
    detail: str
    owns: tuple[str, ...]
    run: Callable[[Work], AsyncGenerator[Evidence, None]]
    tiers: tuple[Tier, ...] = ()


async def access_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """Keys, browser origins, listening sockets, and a counter that must move."""
    stack = work.stack
    model = stack.registry.public_models[0]
    before = await stack.send(stack.gateway.metrics_request())
    admitted = await stack.ask(model, purpose="right key")
    yield access.judge_key("right key", admitted, admitted=True)
    for case, key in (("no key", None), ("wrong key", "sk-wrong-key")):
        answer = await stack.ask(model, purpose=case, key=key)
        yield access.judge_key(case, answer, admitted=False)
    url = f"{stack.api_base}/chat/completions"
    for origin in (*stack.registry.gateway.cors_origins, STRANGER):
        exchange = await stack.send(access.preflight(url, origin))
        yield access.judge_origin(origin, exchange, allowed=origin != STRANGER)
    for name, pid in stack.processes().items():
        yield access.judge_listeners(name, listeners(pid))
    if stack.registry.gateway.metrics:
        after = await _until_counted(stack, before)
        yield access.judge_counter(stack.gateway.requests_counter, before, after, sent=1)


async def routes_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """Every name a client may use, one it may not, and the shares of balanced groups."""
    stack = work.stack
    registry = stack.registry
    names = listed(registry)
    open_ended = [f"{p.prefix}-anything" for p in registry.routes.patterns if p.route]
    for name in (*names, *open_ended, UNKNOWN):
        route = resolve(registry, name)
        answer = await stack.ask(name, purpose="route")
        if isinstance(route, Refusal):
            yield routes.judge_refusal(route, answer)
        else:
            reported = stack.gateway.deployment_of(answer.response)
            yield routes.judge_route(route, answer, reported)
    request = Request(
        method="GET", url=f"{stack.api_base}/models", headers=bearer(stack.gateway.key)
    )
    catalogue = answers.read(await stack.send(request, purpose="models list"))
    yield routes.judge_models_list(names, registry.public_models, catalogue)
    for name in registry.load_balancing:
        route = resolve(registry, name)
        if isinstance(route, Route) and len(route.tiers[0].deployments) > 1:
            yield await _balance(stack, route)


async def _balance(stack: Stack, route: Route) -> Evidence:
    got = await _many(BALANCE_ASKS, lambda: stack.ask(route.name, purpose="balance", max_tokens=2))
    counts = Counter(witness(answer.text) or "nobody" for answer in got)
    weights = {d.provider: d.weight for d in route.tiers[0].deployments}
    return balance.judge_balance(
        route.name,
        weights,
        counts,
        tuple(answer.exchange.id for answer in got),
        strategy=route.tiers[0].strategy or "weighted",
    )


async def contract_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """The same contract checks, each engine asked directly and then through the gateway."""
    stack = work.stack
    today = datetime.now(UTC).date()

    async def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        return await stack.send(request, **labels)

    for subject, base_url, model, key in _contract_subjects(stack):
        seen = await lane.observe(send, base_url, model, key)
        made_by = stack.made_by(subject)
        held = deviations.apply(lane.judge(seen), work.ledger, today, subject, made_by)
        for evidence in deviations.to_evidence(subject, held, stack.kind_of(subject)):
            yield evidence
    for evidence in deviations.ledger_evidence(work.ledger, today):
        yield evidence


def _contract_subjects(stack: Stack) -> list[tuple[str, str, str, str]]:
    """Subject, API root, model and key of everything the contract is asked of."""
    subjects = []
    for provider_id, engine in stack.engines.items():
        provider = stack.registry.provider(provider_id)
        if provider.type == "anthropic":  # its own API is another one; the gateway translates
            continue
        key = stack.secrets[provider.api_key.env] if provider.api_key else ""
        model = provider.models[0].served_as
        subjects.append((provider_id, engine.endpoint + provider.api_path, model, key))
    subjects += [
        (subject, stack.api_base, name, stack.gateway.key)
        for subject, name in public_names(stack.registry).items()
    ]
    return subjects


async def latency_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """Streams through the gateway at a constant concurrency, one model an engine."""
    stack = work.stack
    for name in (names := _one_name_an_engine(stack)):
        tail = name == names[0]
        subject = f"gateway:{name}"
        # The first requests of a model pay for imports and connections: they are not timed.
        await _many(CONCURRENCY, partial(_stream, stack, name, "warm-up"))
        asks = TAIL_ASKS if tail else LATENCY_ASKS
        got, judged = await latency.until_decided(
            partial(_many, once=partial(_stream, stack, name, "latency")),
            partial(latency.judge, subject, bound=work.bound, tail=tail),
            asks,
        )
        for evidence in judged:
            yield evidence
        paired = stack.made_by(subject) != "emulated"
        if paired:
            got, samples = await _pairs(stack, name)
        else:
            samples = await stack.gateway_share(got)
        yield latency.judge_overhead(
            subject,
            samples,
            (PAIRS if paired else len(got)) - len(samples),
            work.bound,
            tuple(answer.exchange.id for answer in got),
            paired=paired,
        )


async def _pairs(stack: Stack, name: str) -> tuple[list[Answer], list[float]]:
    """Ask in turn directly and through the gateway; all answers, and TTFT differences in ms.

    One at a time, so that neither waits for the other, and who goes first alternates, so that
    a drift of the machine falls on both.
    """
    route = resolve(stack.registry, name)
    assert isinstance(route, Route)  # noqa: S101 - the caller took it from the routes
    target = route.expected()[0]
    got: list[Answer] = []
    samples = []
    for number in range(PAIRS):
        asked: dict[bool, Answer] = {}
        for direct in (number % 2 == 0, number % 2 == 1):
            asked[direct] = await (
                stack.ask_engine(
                    target.provider, target.served_as, purpose="direct", max_tokens=LATENCY_TOKENS
                )
                if direct
                else _stream(stack, name, "paired")
            )
        got += asked.values()
        through, alone = timing(asked[False]), timing(asked[True])
        if through is not None and alone is not None:
            samples.append(through.ttft_ms - alone.ttft_ms)
    return got, samples


async def _stream(stack: Stack, name: str, purpose: str) -> Answer:
    return await stack.ask(name, purpose=purpose, stream=True, max_tokens=LATENCY_TOKENS)


def _one_name_an_engine(stack: Stack) -> list[str]:
    chosen: dict[str, str] = {}
    for name in stack.registry.routes.exact:
        route = resolve(stack.registry, name)
        if isinstance(route, Route) and (who := route.expected()):
            chosen.setdefault(who[0].provider, name)
    return list(chosen.values())


async def fallback_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """The kill matrices of the longest chain and of the group with most fallbacks, by cell."""
    stack, registry = work.stack, work.stack.registry
    groups = [name for name, group in registry.load_balancing.items() if group.fallbacks]
    for route in (*_longest(registry, registry.routes.exact), *_longest(registry, groups)):
        async with aclosing(chaos.kill_matrix(stack, route)) as matrix:
            async for found in matrix:
                if isinstance(found, chaos.Recovery):
                    yield chaos.judge_recovery(found)
                    continue
                yield chaos.judge_answers(found)
                yield chaos.judge_latency(found, work.bound("fallback.latency", found.subject))


def _longest(registry: Registry, names: Iterable[str]) -> list[Route]:
    """The route of most tiers, if any has more than one."""
    found = [
        route
        for name in names
        if isinstance(route := resolve(registry, name), Route) and len(route.tiers) > 1
    ]
    return sorted(found, key=lambda route: -len(route.tiers))[:1]


async def monitoring_phase(work: Work) -> AsyncGenerator[Evidence, None]:
    """Whether Prometheus reads the metrics of everybody who has some; nothing without it."""
    prometheus = work.stack.prometheus()
    if prometheus is None:
        return
    wanted = {target.name for target in prometheus.targets}
    for _ in range(FIRST_SCRAPE_S):
        scrapes = {scrape.name: scrape for scrape in await prometheus.scrapes()}
        if wanted <= scrapes.keys() and all(each.health == "up" for each in scrapes.values()):
            break
        await asyncio.sleep(1)
    for name in sorted(wanted):
        yield monitoring.judge_scrape(name, scrapes.get(name))


async def _many(
    count: int, once: Callable[[], Awaitable[Answer]], *, concurrency: int = CONCURRENCY
) -> list[Answer]:
    """Ask ``count`` times, ``concurrency`` of them in flight: a closed loop."""
    places = asyncio.Semaphore(concurrency)

    async def one() -> Answer:
        async with places:
            return await once()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(count)]
    except* Exception as failed:  # noqa: BLE001 - raised again, only without its group
        raise failed.exceptions[0] from None  # they all have one cause, such as a full disk
    return [task.result() for task in tasks]


async def _until_counted(stack: Stack, before: Exchange) -> Exchange:
    """Read the metrics until the counter moved: LiteLLM counts after it has answered."""
    counter = stack.gateway.requests_counter
    for _ in range(20):
        after = await stack.send(stack.gateway.metrics_request())
        if (access.counter(after, counter) or 0) > (access.counter(before, counter) or 0):
            break
        await asyncio.sleep(0.1)
    return after


PHASES = (
    Phase(
        name="access",
        detail="keys, origins, sockets, metrics",
        owns=("gateway",),
        run=access_phase,
    ),
    Phase(name="routes", detail="every name, and the balance", owns=("route",), run=routes_phase),
    Phase(
        name="contract",
        detail="engines directly, then through the gateway",
        owns=("contract", "deviation"),
        run=contract_phase,
    ),
    Phase(name="live", detail="served ids, catalogue, health", owns=("live",), run=live_phase),
    Phase(
        name="monitoring",
        detail="what Prometheus reads",
        owns=("monitoring",),
        run=monitoring_phase,
        tiers=("native", "full"),
    ),
    Phase(name="latency", detail="TTFT, ITL, E2E under load", owns=("latency",), run=latency_phase),
    Phase(name="fallback", detail="the kill matrix", owns=("fallback",), run=fallback_phase),
)
"""In this order: the phase that kills engines comes last."""
