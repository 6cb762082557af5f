"""One server per target, started when first asked for and stopped with the session.

``--target`` (repeatable) says what is asked: a provider of ``config/``, ``emulated``
(every enabled provider), or ``gateway`` (one public name per adapter, through the
real proxy).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.contract import deviations, lane
from harness.contract.check import checks
from harness.contract.fuzz import OPERATIONS
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel
from harness.registry import Registry, load
from harness.routing import Route, resolve
from harness.stack import Stack
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.contract.lane import Result
    from harness.wire import Exchange, Request

CONFIG = Path(__file__).resolve().parents[2] / "config"
GATEWAY = "gateway"
EMULATED = "emulated"
SEED = 1
KEY = "a-key-for-this-session"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and how: ``base_url`` ends in the API path, an empty key means none."""

    subject: str
    base_url: str
    model: str
    key: str


Targets = Mapping[str, Target]
Opener = Callable[[], AbstractAsyncContextManager[Targets]]


# --- what can be asked: the one place that knows how to start things


def targets(registry: Registry, client: RecordingClient, directory: Path) -> dict[str, Opener]:
    """Return, by server, a context manager that yields what can be asked of it, running."""
    engines: dict[str, Opener] = {
        provider: partial(_engine, registry, provider, directory)
        for provider in registry.enabled_providers()
    }
    return engines | {GATEWAY: partial(_gateway, registry, client, directory)}


@asynccontextmanager
async def _engine(registry: Registry, provider_id: str, directory: Path) -> AsyncIterator[Targets]:
    provider = registry.provider(provider_id)
    model = provider.models[0]
    key = KEY if provider.api_key else ""
    spec = EmulatorSpec(
        id=provider_id,
        dialect=provider.type,
        models=(ServedModel(id=model.served_as, context_length=model.context_length),),
        api_key=key or None,
        seed=SEED,
    )
    engine = EmulatedEngine(spec, log=directory / f"{provider_id}.log")
    await engine.start()
    try:
        await engine.ready()
        url = engine.endpoint + provider.api_path
        yield {provider_id: Target(provider_id, url, model.served_as, key)}
    finally:
        await engine.stop()


@asynccontextmanager
async def _gateway(
    registry: Registry, client: RecordingClient, directory: Path
) -> AsyncIterator[Targets]:
    async with Stack(registry, client=client, directory=directory, seed=SEED) as stack:
        yield {
            subject: Target(subject, stack.api_base, name, stack.gateway.key)
            for subject, name in public_names(registry).items()
        }


def public_names(registry: Registry) -> dict[str, str]:
    """Return one public name per adapter, by subject: the rest differ in nothing the API shows."""
    chosen: dict[str, str] = {}
    for name in registry.public_models:
        route = resolve(registry, name)
        if isinstance(route, Route) and (who := route.expected()):
            chosen.setdefault(registry.provider(who[0].provider).type, name)
    return {f"{GATEWAY}:{name}": name for name in chosen.values()}


# --- options and items


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        action="append",
        metavar="NAME",
        help="what to ask for the contract: a provider of config/, emulated (default), gateway",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown target, or a ledger that is broken or outdated, before anything starts."""
    _ledger()
    _chosen(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item per target and check, or per target and operation."""
    kinds = {"check_id": [c.id for c in checks()], "operation_id": [o.id for o in OPERATIONS]}
    for argument in kinds.keys() & set(metafunc.fixturenames):
        asked = [(t, item) for t in _chosen(metafunc.config) for item in kinds[argument]]
        metafunc.parametrize(("target", argument), asked, ids=[f"{t}-{i}" for t, i in asked])


def _chosen(config: pytest.Config) -> list[str]:
    registry = load(CONFIG)
    providers = list(registry.enabled_providers())
    groups = {
        EMULATED: providers,
        GATEWAY: list(public_names(registry)),
        **{provider: [provider] for provider in providers},
    }
    chosen: list[str] = []
    for name in config.getoption("--target", None) or [EMULATED]:
        # `llama_cpp_python` is what the dialect is called, `llama-cpp-python` the provider.
        found = groups.get(name) or groups.get(name.replace("_", "-"))
        if found is None:
            raise pytest.UsageError(f"--target={name}: choose among {', '.join(groups)}")
        chosen += found
    return list(dict.fromkeys(chosen))


@cache
def _ledger() -> deviations.Ledger:
    try:
        ledger = deviations.load(CONFIG / "deviations.yaml")
    except deviations.LedgerError as error:
        raise pytest.UsageError(str(error)) from error
    if late := deviations.expired(ledger, datetime.now(UTC).date()):
        raise pytest.UsageError("\n".join(late))
    return ledger


# --- what the tests use


@dataclass(slots=True)
class Lab:
    """Servers and one recording client, on an event loop that lives as long as the session."""

    runner: asyncio.Runner
    exits: AsyncExitStack
    client: RecordingClient
    openers: Mapping[str, Opener]
    ledger: deviations.Ledger
    opened: dict[str, Target] = field(default_factory=dict)
    judged: dict[str, dict[str, Result]] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        """Return the running target; its server is started on first use."""
        if name not in self.opened:
            opening = self.openers[name.partition(":")[0]]()
            self.opened |= self.runner.run(self.exits.enter_async_context(opening))
        return self.opened[name]

    def send(self, request: Request, labels: Mapping[str, str]) -> Exchange:
        """Send and wait, for callers that are not coroutines."""
        return self.runner.run(self.client.send(request, labels=labels))

    def known(self, name: str) -> frozenset[str]:
        """Return the checks that whoever answers for the target is known to break.

        Behind a gateway that may be any adapter: a request one tier refuses falls back.
        """
        group = name.partition(":")[0]
        subjects = [t.subject for t in self.opened.values() if t.subject.partition(":")[0] == group]
        return frozenset(
            c.id
            for c in checks(lane=None)
            if any(self.ledger.find(subject, c.id) for subject in subjects)
        )

    def issue(self, deviation: str) -> str:
        """Return where a known deviation is discussed."""
        found = next(e.deviation for e in self.ledger.entries if e.deviation.id == deviation)
        return found.issue or "no issue known"

    def results(self, name: str) -> dict[str, Result]:
        """Return what every check says of the target, held against the ledger."""
        if name not in self.judged:
            target = self.target(name)

            async def observe() -> lane.Observations:
                return await lane.observe(
                    lambda request, labels: self.client.send(request, labels=labels),
                    target.base_url,
                    target.model,
                    target.key,
                )

            found = lane.judge(self.runner.run(observe()))
            today = datetime.now(UTC).date()
            held = deviations.apply(found, self.ledger, today, target.subject)
            self.judged[name] = {result.check.id: result for result in held}
        return self.judged[name]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start nothing yet; stop everything that was started."""
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        client = runner.run(exits.enter_async_context(RecordingClient(timeout_s=30)))
        openers = targets(load(CONFIG), client, tmp_path_factory.mktemp("servers"))
        try:
            yield Lab(runner, exits, client, openers, _ledger())
        finally:
            runner.run(exits.aclose())
