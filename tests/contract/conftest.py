"""One server per target, started when first asked for and stopped with the session.

``--target`` (repeatable) says what is asked:

* a provider of ``config/``, or an engine as ``nox -s engines`` names it: the real server where it
  is installed, else the emulated dialect; every test id and the summary say which;
* ``real:PROVIDER`` or ``emulated:PROVIDER``: that one, or an error that says what is missing;
* ``emulated`` or ``real``: every provider that can be; ``gateway``: one public name per adapter,
  through the real proxy;
* a URL: a server that is not ours. It is only read from, unless ``--live`` is said.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from harness.contract import deviations, lane
from harness.contract.check import checks
from harness.contract.fuzz import OPERATIONS
from harness.contract.targets import (
    EMULATED,
    GATEWAY,
    REAL,
    TargetError,
    install,
    public_names,
    targets,
)
from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import EngineError
from harness.engines.installs import KNOWN
from harness.engines.remote import RemoteEngine
from harness.engines.spec import EmulatorSpec, ServedModel
from harness.registry import Registry, load
from harness.stack import Stack
from harness.stack.fleet import Fleet
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.contract.lane import Result
    from harness.evidence import Behind
    from harness.wire import Exchange, Request

CONFIG = Path(__file__).resolve().parents[2] / "config"
REMOTE = "remote"
SEED = 1
KEY = "a-key-for-this-session"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and how: ``base_url`` ends in the API path, an empty key means none.

    ``subject`` is its name in the ledger of deviations, ``engine`` what made its tokens, ``told``
    what it said of itself. ``may`` says whether a request may be sent to it; not all may where it
    is only read from.
    """

    subject: str
    base_url: str
    model: str
    key: str
    engine: Behind = "emulated"
    told: str = ""
    only_read: bool = False
    may: Callable[[Request], bool] = lambda _: True


Targets = Mapping[str, Target]
Opener = Callable[[], AbstractAsyncContextManager[Targets]]


# --- what can be asked: the one place that knows how to start things


def servers(
    registry: Registry, client: RecordingClient, directory: Path, config: pytest.Config
) -> dict[str, Opener]:
    """Return, by server, a context manager that yields what can be asked of it, running."""
    openers: dict[str, Opener] = {GATEWAY: partial(_gateway, registry, client, directory)}
    for provider in registry.enabled_providers():
        openers[f"{EMULATED}:{provider}"] = partial(_emulated, registry, provider, directory)
        openers[f"{REAL}:{provider}"] = partial(_real, registry, provider, directory)
    for name in _chosen(config):
        if name.startswith(f"{REMOTE}:"):
            openers[name] = partial(_remote, name, _theirs(config, name), config)
    return openers


@asynccontextmanager
async def _emulated(
    registry: Registry, provider_id: str, directory: Path
) -> AsyncIterator[Targets]:
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
        told = f"the emulated dialect {provider.type}, {engine.version}"
        yield {
            f"{EMULATED}:{provider_id}": Target(
                provider_id, url, model.served_as, key, "emulated", told
            )
        }
    finally:
        await engine.stop()


@asynccontextmanager
async def _real(registry: Registry, provider_id: str, directory: Path) -> AsyncIterator[Targets]:
    provider = registry.provider(provider_id)
    key = KEY if provider.api_key else ""
    fleet = Fleet(
        registry=registry,
        tier="full",
        seed=SEED,
        secrets={provider.api_key.env: key} if provider.api_key else {},
        directory=directory,
    )
    engine = await fleet.engine(provider_id)
    await engine.start()
    try:
        await engine.ready(engine.ready_s)
        url = engine.endpoint + provider.api_path
        told = f"the real server, {engine.version}"
        model = provider.models[0].served_as
        yield {f"{REAL}:{provider_id}": Target(provider_id, url, model, key, "real", told)}
    finally:
        await engine.stop()


@asynccontextmanager
async def _remote(name: str, engine: RemoteEngine, config: pytest.Config) -> AsyncIterator[Targets]:
    await engine.start()
    try:
        await engine.ready()
    except EngineError as error:
        # Said once: every further question would fail for the same cause.
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    model = config.getoption("--model") or next(iter(engine.models), "")
    if not model:
        raise EngineError(
            "engine.remote-not-ready", f"{engine.endpoint} lists no model: say --model NAME"
        )
    key = os.environ.get(engine.key_variable or "", "")
    told = f"{engine.endpoint}, model {model}"
    if not engine.live:
        told += "; only read from: say --live for what costs money or load"
    if not config.getoption("--as"):
        told += "; held to no known deviation: say --as NAME, a provider's or gateway:MODEL"
    yield {
        name: Target(
            config.getoption("--as") or name.partition(":")[2],
            f"{engine.endpoint}/v1",
            model,
            key,
            "remote",
            told,
            not engine.live,
            lambda request: engine.allows(request.method, urlsplit(request.url).path),
        )
    }


@asynccontextmanager
async def _gateway(
    registry: Registry, client: RecordingClient, directory: Path
) -> AsyncIterator[Targets]:
    async with Stack(registry, client=client, directory=directory, seed=SEED) as stack:
        yield {
            subject: Target(
                subject, stack.api_base, name, stack.gateway.key, told="over emulated engines"
            )
            for subject, name in public_names(registry).items()
        }


# --- options and items


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption(
        "--target",
        action="append",
        metavar="NAME",
        help="what to ask for the contract: a provider of config/ (real where it is installed), "
        "real:NAME, emulated:NAME, emulated (default), real, gateway, or a URL",
    )
    group.addoption("--key-env", metavar="VAR", help="variable with the key of a URL target")
    group.addoption(
        "--model", metavar="ID", help="what to ask a URL target for; default: its first"
    )
    group.addoption(
        "--as", metavar="NAME", help="hold a URL target to the known deviations of this provider"
    )
    group.addoption(
        "--live",
        action="store_true",
        help="send a URL target what costs money or load too, not only what reads",
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
    """Every server to ask, as KIND:NAME. Raises UsageError."""
    registry = load(CONFIG)
    chosen: list[str] = []
    for word in config.getoption("--target", None) or [EMULATED]:
        if "://" in word:
            name = f"{REMOTE}:{urlsplit(word).netloc}"
            _theirs(config, name)
            chosen.append(name)
        else:
            try:
                chosen += targets(registry, word)
            except TargetError as error:
                raise pytest.UsageError(f"--target: {error}") from error
    return list(dict.fromkeys(chosen))


def _theirs(config: pytest.Config, name: str) -> RemoteEngine:
    """The server that is not ours behind a target. Raises UsageError if its key is not there."""
    host = name.partition(":")[2]
    url = next(u for u in config.getoption("--target") if "://" in u and urlsplit(u).netloc == host)
    engine = RemoteEngine(
        host,
        endpoint=url.rstrip("/").removesuffix("/v1"),
        dialect="openai",
        key_variable=config.getoption("--key-env"),
        live=config.getoption("--live"),
    )
    try:
        asyncio.run(engine.start())
    except EngineError as error:
        raise pytest.UsageError(str(error)) from error
    return engine


@cache
def _ledger() -> deviations.Ledger:
    try:
        ledger = deviations.load(CONFIG / "deviations.yaml")
    except deviations.LedgerError as error:
        raise pytest.UsageError(str(error)) from error
    if late := deviations.expired(ledger, datetime.now(UTC).date()):
        raise pytest.UsageError("\n".join(late))
    return ledger


TOLD = pytest.StashKey[dict[str, str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what each target really was."""
    for name, told in config.stash.get(TOLD, {}).items():
        terminalreporter.write_line(f"asked {name}: {told}")
        if (needs := install(load(CONFIG), name)) and not KNOWN[needs].installed():
            terminalreporter.write_line(f"  the real one: nox -s engines -- {needs}")


# --- what the tests use


@dataclass(slots=True)
class Lab:
    """Servers and one recording client, on an event loop that lives as long as the session."""

    runner: asyncio.Runner
    exits: AsyncExitStack
    client: RecordingClient
    openers: Mapping[str, Opener]
    ledger: deviations.Ledger
    told: dict[str, str]
    opened: dict[str, Target] = field(default_factory=dict)
    judged: dict[str, dict[str, Result]] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        """Return the running target; its server is started on first use."""
        if name not in self.opened:
            opening = self.openers[_server(name)]()
            opened = self.runner.run(self.exits.enter_async_context(opening))
            self.opened |= opened
            self.told |= {each: target.told for each, target in opened.items()}
        return self.opened[name]

    def send(self, request: Request, labels: Mapping[str, str]) -> Exchange:
        """Send and wait, for callers that are not coroutines."""
        return self.runner.run(self.client.send(request, labels=labels))

    def known(self, name: str) -> frozenset[str]:
        """Return the checks that whoever answers for the target is known to break.

        Behind a gateway that may be any adapter: a request one tier refuses falls back.
        """
        alike = [each for who, each in self.opened.items() if _server(who) == _server(name)]
        return frozenset(
            c.id
            for c in checks(lane=None)
            if any(self.ledger.find(each.subject, c.id, each.engine) for each in alike)
        )

    def issue(self, deviation: str) -> str:
        """Return where a known deviation is discussed."""
        found = next(e.deviation for e in self.ledger.entries if e.deviation.id == deviation)
        return found.issue or "no issue known"

    def unasked(self, name: str) -> str:
        """Return why a check whose requests were not sent was not asked."""
        if self.opened[name].only_read:
            return f"{name} is only read from, and this would generate: say --live"
        return f"{name} requires no key, so this is not asked"

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
                    may=target.may,
                )

            found = lane.judge(self.runner.run(observe()))
            today = datetime.now(UTC).date()
            held = deviations.apply(found, self.ledger, today, target.subject, target.engine)
            self.judged[name] = {result.check.id: result for result in held}
        return self.judged[name]


def _server(name: str) -> str:
    """Which server answers for a target: all names of the gateway have one."""
    return GATEWAY if name.startswith(f"{GATEWAY}:") else name


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start nothing yet; stop everything that was started."""
    told = request.config.stash.setdefault(TOLD, {})
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        client = runner.run(exits.enter_async_context(RecordingClient(timeout_s=30)))
        directory = tmp_path_factory.mktemp("servers")
        openers = servers(load(CONFIG), client, directory, request.config)
        try:
            yield Lab(runner, exits, client, openers, _ledger(), told)
        finally:
            runner.run(exits.aclose())
