"""Engines and gateway, started together on free loopback ports, stopped together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Self

from harness import answer as answers
from harness.answer import ask
from harness.engines.emulated import EmulatedEngine
from harness.engines.real.base import RealServer
from harness.engines.real.prometheus import Prometheus, Target
from harness.engines.tokens import witness
from harness.gateway.kinds import kind
from harness.process.ports import Reservation
from harness.routing import Route, resolve
from harness.stack.fleet import Fleet, in_words, kinds_of, one_kind, require
from harness.stack.share import gateway_share_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from harness.answer import Answer
    from harness.engines.engine import LocalEngine
    from harness.evidence import Behind
    from harness.gateway.base import Gateway
    from harness.registry import Registry
    from harness.stack.fleet import Tier
    from harness.wire import Exchange, RecordingClient, Request

_POLL_S = 0.2


class Stack:
    """A gateway in front of one engine per enabled provider.

    ``tier`` says which of them are real; Valkey and Prometheus run beside real ones. Enter it to
    start everything and wait until it answers; leave it to stop everything, also on the way out
    of an error or Ctrl-C. ``alter`` may change the gateway's configuration before the start: that
    is how a rehearsal plants a defect.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        client: RecordingClient,
        directory: Path,
        seed: int,
        tier: Tier = "emulated",
        port: int | None = None,
        secrets: dict[str, str] | None = None,
        alter: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.registry = registry
        self.client = client
        self.seed = seed
        self.secrets = new_secrets(registry) if secrets is None else secrets
        self.fleet = Fleet(
            registry=registry, tier=tier, seed=seed, secrets=self.secrets, directory=directory
        )
        self.engines: dict[str, LocalEngine] = {}
        self.gateway: Gateway
        self.services: dict[str, RealServer] = {}
        self._directory, self._port, self._alter = directory, port, alter
        self._dead: set[str] = set()
        self._asked = 0
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            EngineError, GatewayError, ProcessError, PortTaken: a part is not installed, did not
                start or was not ready in time; nothing is left running.
        """
        require(self.registry, self.fleet.tier)
        async with AsyncExitStack() as starting:
            self.engines = await self.fleet.engines()
            for engine in self.engines.values():
                starting.push_async_callback(engine.stop)
            await _together(engine.start() for engine in self.engines.values())
            made = kind(self.registry)
            config = made.compile(
                self.registry,
                endpoints={name: engine.endpoint for name, engine in self.engines.items()},
            )
            self._alter(config)
            # Kept until the end: others, too, look for free ports while a gateway starts.
            place = starting.enter_context(Reservation(self.registry.ports.host, self._port or 0))
            self.gateway = made.make(
                self.registry,
                config=config,
                secrets=self.secrets,
                port=place.port,
                directory=self._directory / "gateway",
                client=self.client,
            )
            starting.push_async_callback(self.gateway.stop)
            if self.fleet.tier != "emulated":
                prometheus = self.fleet.prometheus(self._targets())
                self.services = {"valkey": self.fleet.valkey(), "prometheus": prometheus}
            for service in self.services.values():
                starting.push_async_callback(service.stop)
            await _together(service.start() for service in self.services.values())
            await _together(
                [
                    self.gateway.start(),
                    *(engine.ready(engine.ready_s) for engine in self.engines.values()),
                    *(service.ready() for service in self.services.values()),
                ]
            )
            self._exit = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()

    @property
    def kind(self) -> Behind:
        """What stands behind the gateway."""
        return one_kind(kinds_of(self.registry, self.fleet.tier).values())

    def kind_of(self, subject: str) -> Behind:
        """What stood behind a piece of evidence, by its subject.

        An engine is named by its provider id, perhaps with a model (``vllm:coder``); a route by a
        name a client may use, perhaps with what was dead (``coder [down: vllm]``): then all
        of its chain stood behind it, else those that should answer.
        """
        behind = self._behind(subject)
        return self.kind if behind is None else one_kind(engine.kind for engine in behind)

    def told_of(self, subject: str) -> str:
        """The same in words, where several kinds stood behind it who was which."""
        behind = self._behind(subject)
        engines = self.engines.values() if behind is None else behind
        return in_words({engine.id: engine.kind for engine in engines})

    def made_by(self, subject: str) -> Behind:
        """Who made the tokens: real also where only the wire in front of them is emulated."""
        behind = self._behind(subject)
        return one_kind(
            "emulated" if isinstance(engine, EmulatedEngine) else "real"
            for engine in (self.engines.values() if behind is None else behind)
        )

    def _behind(self, subject: str) -> list[LocalEngine] | None:
        """The engines behind a subject; None: all of them."""
        name, _, state = subject.removeprefix("gateway:").partition(" [")
        for provider_id in (name, name.partition(":")[0]):
            if provider_id in self.engines:
                return [self.engines[provider_id]]
        route = resolve(self.registry, name)
        if not isinstance(route, Route):
            return None
        expected = [deployment.provider for deployment in route.expected()]
        return [self.engines[name] for name in (route.providers if state else expected)] or None

    @property
    def api_base(self) -> str:
        """The gateway's API root, as OpenAI clients take it."""
        return f"{self.gateway.endpoint}/v1"

    async def send(self, request: Request, **labels: str) -> Exchange:
        """Send one request and record it."""
        return await self.client.send(request, labels=labels)

    async def ask(
        self,
        model: str,
        *,
        purpose: str,
        stream: bool = False,
        max_tokens: int = 8,
        key: str | None = "",
    ) -> Answer:
        """Ask the gateway one question no other request of the run asks.

        ``key`` is the gateway's own unless given; None sends no key at all.
        """
        self._asked += 1
        request = ask.chat(
            self.api_base,
            model=model,
            content=f"{purpose} {self._asked}",
            key=self.gateway.key if key == "" else key,
            stream=stream,
            max_tokens=max_tokens,
        )
        return answers.read(await self.send(request, purpose=purpose, model=model))

    async def kill(self, provider: str) -> None:
        """Make an engine dead: its port refuses, its open connections are reset.

        A real one dies by SIGKILL; an emulated one keeps its process, and its ledger with it.
        """
        self._dead.add(provider)
        engine = self.engines[provider]
        if isinstance(engine, EmulatedEngine):
            await engine.down()
        else:
            engine.kill()
            await engine.gone()

    async def revive(self, provider: str) -> None:
        """Let a killed engine answer again on the same port; on return it does."""
        engine = self.engines[provider]
        if isinstance(engine, EmulatedEngine):
            await engine.up()
        else:
            await engine.restart()
            await engine.ready(engine.ready_s)
        self._dead.discard(provider)

    def slowest_last(self, providers: Iterable[str]) -> list[str]:
        """In the order of what their start costs; equal ones as they came."""
        return sorted(providers, key=lambda provider: self.engines[provider].start_s)

    async def routed_again(self, provider: str, route: Route, *, within_s: float) -> float | None:
        """Wait until the gateway uses ``provider`` in ``route`` again; seconds it took, or None.

        Every name along the route counts that leads to it alone. Among several it may wait long
        for its turn; but then it is asked by its own name too, and the gateway rests the two apart.
        """
        groups = dict.fromkeys(
            tier.group
            for tier in route.tiers
            if [deployment.provider for deployment in tier.deployments] == [provider]
        )
        loop = asyncio.get_running_loop()
        start = loop.time()
        for group in groups:
            while True:
                if loop.time() >= start + within_s:
                    return None
                answer = await self.ask(group, purpose="recovery", max_tokens=2)
                if answer.wholeness and witness(answer.text) == provider:
                    break
                await asyncio.sleep(_POLL_S)
        return loop.time() - start

    async def gateway_share(self, got: list[Answer]) -> list[float]:
        """Milliseconds the gateway added to the first token of each of these streams.

        Known only where an emulated engine answered, for it keeps a ledger.
        """
        entries = [
            entry
            for engine in self.engines.values()
            if isinstance(engine, EmulatedEngine)
            for entry in await engine.ledger()
        ]
        return gateway_share_ms(got, entries)

    async def ask_engine(
        self, provider: str, model: str, *, purpose: str, max_tokens: int = 8
    ) -> Answer:
        """Ask an engine itself for a stream, by the id it serves the model under."""
        self._asked += 1
        entry = self.registry.provider(provider)
        request = ask.chat(
            self.engines[provider].endpoint + entry.api_path,
            model=model,
            content=f"{purpose} {self._asked}",
            key=self.secrets[entry.api_key.env] if entry.api_key else None,
            stream=True,
            max_tokens=max_tokens,
        )
        return answers.read(await self.send(request, purpose=purpose, model=model))

    def prometheus(self) -> Prometheus | None:
        """The server that reads everybody's metrics; None in a tier without it."""
        found = self.services.get("prometheus")
        return found if isinstance(found, Prometheus) else None

    def processes(self) -> dict[str, int]:
        """Process ids of everything that listens, by name."""
        pids = {name: part.pid for _, name, part in self._parts()}
        pids["gateway"] = self.gateway.pid
        return {name: pid for name, pid in pids.items() if pid is not None}

    def casualties(self) -> dict[str, str]:
        """What should run and does not, with the last lines it printed.

        A server behind another one is named by itself: a facade lives on when what it stands
        before is dead.
        """
        fallen = {
            name: part.log_tail()
            for whole, name, part in self._parts()
            if whole not in self._dead and not part.running
        }
        if not self.gateway.alive():
            fallen["gateway"] = self.gateway.log_tail()
        return fallen

    def _parts(self) -> Iterator[tuple[str, str, LocalEngine | RealServer]]:
        """Every server of the engines and services: to what it belongs, its name, itself."""
        for whole, each in (self.engines | self.services).items():
            if isinstance(each, RealServer):
                for part in each.parts:
                    yield whole, whole if part is each else part.id, part
            else:
                yield whole, whole, each

    def _targets(self) -> list[Target]:
        """Everybody's metrics."""
        found = []
        for name, engine in self.engines.items():
            if engine.capabilities.metrics is not None:
                key = self.registry.provider(name).api_key
                found.append(
                    Target(
                        name=name,
                        url=engine.endpoint + engine.capabilities.metrics,
                        key=self.secrets[key.env] if key else None,
                    )
                )
        if self.registry.gateway.metrics:
            url = self.gateway.metrics_request().url
            found.append(Target(name="gateway", url=url))
        return found


async def _together(all_: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; the first that fails stops the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in all_:
                group.create_task(each)
    except* Exception as failed:  # noqa: BLE001 - raised again, only without its group
        raise failed.exceptions[0] from None


def new_secrets(registry: Registry) -> dict[str, str]:
    """A fresh strong value for every secret the configuration names, by variable."""
    needed = kind(registry).variables(registry)
    return {name: f"sk-{token_urlsafe(32)}" for name in needed}
