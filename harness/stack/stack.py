"""Engines and gateway, started together on free loopback ports, stopped together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Self

from harness import answer as answers
from harness.answer import ask
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.engines.tokens import witness
from harness.gateway.litellm_config import compile_config, required_variables
from harness.gateway.proxy import LiteLLMProxy
from harness.process.ports import free_port, require_free
from harness.routing import resident
from harness.stack.share import gateway_share_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from harness.answer import Answer
    from harness.engines.engine import Kind
    from harness.registry import Registry
    from harness.routing import Route
    from harness.wire import Exchange, RecordingClient, Request

TTFT_MS = 30.0
"""Time to first token of an emulated engine."""
ITL_MS = 8.0
"""Gap between two tokens of an emulated engine: 125 tokens/s a stream."""
_POLL_S = 0.2


class Stack:
    """A gateway in front of one emulated engine per enabled provider.

    Enter it to start everything and wait until it answers; leave it to stop
    everything, also on the way out of an error or Ctrl-C. ``alter`` may change the
    gateway's configuration before the start: that is how a rehearsal plants a defect.
    """

    kind: Kind = "emulated"

    def __init__(
        self,
        registry: Registry,
        *,
        client: RecordingClient,
        directory: Path,
        seed: int,
        port: int | None = None,
        secrets: dict[str, str] | None = None,
        alter: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.registry = registry
        self.client = client
        self.seed = seed
        self.secrets = new_secrets(registry) if secrets is None else secrets
        self.engines: dict[str, EmulatedEngine] = {}
        self.gateway: LiteLLMProxy
        self._directory, self._port, self._alter = directory, port, alter
        self._dead: set[str] = set()
        self._asked = 0
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            for provider_id in self.registry.enabled_providers():
                engine = EmulatedEngine(
                    self._spec(provider_id), log=self._directory / f"{provider_id}.log"
                )
                starting.push_async_callback(engine.stop)
                self.engines[provider_id] = engine
            await asyncio.gather(*(engine.start() for engine in self.engines.values()))
            config = compile_config(
                self.registry,
                endpoints={name: engine.endpoint for name, engine in self.engines.items()},
            )
            self._alter(config)
            if self._port is not None:
                require_free(self._port)
            self.gateway = LiteLLMProxy(
                self.registry,
                config=config,
                secrets=self.secrets,
                port=self._port or free_port(),
                directory=self._directory / "gateway",
                client=self.client,
            )
            starting.push_async_callback(self.gateway.stop)
            await self.gateway.start()
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
        """Make an engine dead: its port refuses, its open connections are reset."""
        self._dead.add(provider)
        await self.engines[provider].down()

    async def revive(self, provider: str) -> None:
        """Let a killed engine answer again on the same port."""
        await self.engines[provider].up()
        self._dead.discard(provider)

    async def routed_again(self, provider: str, route: Route, *, within_s: float) -> float | None:
        """Wait until the gateway uses ``provider`` in ``route`` again; seconds it took, or None."""
        group = next(
            tier.group
            for tier in route.tiers
            if any(d.provider == provider for d in tier.deployments)
        )
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() < start + within_s:
            answer = await self.ask(group, purpose="recovery", max_tokens=2)
            if answer.wholeness and witness(answer.text) == provider:
                return loop.time() - start
            await asyncio.sleep(_POLL_S)
        return None

    async def gateway_share(self, got: list[Answer]) -> list[float]:
        """Milliseconds the gateway added to the first token of each of these streams."""
        entries = [entry for engine in self.engines.values() for entry in await engine.ledger()]
        return gateway_share_ms(got, entries)

    def processes(self) -> dict[str, int]:
        """Process ids of everything that listens, by name."""
        pids = {name: engine.pid for name, engine in self.engines.items()}
        pids["gateway"] = self.gateway.pid
        return {name: pid for name, pid in pids.items() if pid is not None}

    def casualties(self) -> dict[str, str]:
        """What should run and does not, with the last lines it printed."""
        fallen = {
            name: engine.log_tail()
            for name, engine in self.engines.items()
            if name not in self._dead and not engine.running
        }
        if not self.gateway.alive():
            fallen["gateway"] = self.gateway.log_tail()
        return fallen

    def _spec(self, provider_id: str) -> EmulatorSpec:
        """An engine that serves what a running server of this provider would hold."""
        provider = self.registry.provider(provider_id)
        return EmulatorSpec(
            id=provider_id,
            dialect=provider.type,
            models=tuple(
                ServedModel(id=model.served_as, context_length=model.context_length)
                for model in provider.models
                if resident(provider, model)
            ),
            api_key=self.secrets[provider.api_key.env] if provider.api_key else None,
            seed=self.seed,
            host=self.registry.ports.host,
            settings=Settings(ttft_ms=TTFT_MS, itl_ms=ITL_MS),
        )


def new_secrets(registry: Registry) -> dict[str, str]:
    """A fresh strong value for every secret the configuration names, by variable."""
    return {name: f"sk-{token_urlsafe(32)}" for name in required_variables(registry)}
