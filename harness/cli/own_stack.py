"""A stack of our own for a load to stand on, for as long as a command runs."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.load.profiles import targets_of
from harness.load.target import LoadError
from harness.load.workload.tokenizer import Tokenizer
from harness.routing import Route, resolve
from harness.stack import Stack
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness.engines.engine import LocalEngine
    from harness.load.target import Target
    from harness.registry import Registry
    from harness.stack import Tier


@dataclass(frozen=True, slots=True)
class OwnStack:
    """A running stack, a name that it serves, and the engine that answers first to that name."""

    stack: Stack
    name: str
    engine: LocalEngine
    api_root: str
    """Of that engine."""
    served_as: str
    """The model there."""
    key: str | None
    """Its own, not the gateway's."""

    def through(self, asking: Target) -> Target:
        """``asking``, put to the gateway."""
        gateway = self.stack.gateway
        return replace(asking, base_url=self.stack.api_base, model=self.name, key=gateway.key)

    def direct(self, asking: Target) -> Target:
        """``asking``, put to the engine itself."""
        return replace(asking, base_url=self.api_root, model=self.served_as, key=self.key)

    @property
    def engines(self) -> str:
        """What answers to the name: real or emulated; of several engines, which is which."""
        return self.stack.told_of(self.name)

    @property
    def tokenizer(self) -> Tokenizer:
        """That of the engine: the gateway has none."""
        return Tokenizer(self.api_root, self.served_as, self.key)


@asynccontextmanager
async def own_stack(
    registry: Registry, *, model: str | None, tier: Tier, seed: int
) -> AsyncIterator[OwnStack]:
    """Start a stack that serves ``model`` (default: the first name that is routed).

    Raises:
        LoadError: no engine is expected to answer to that name.
    """
    name = model or targets_of(registry)[0].name
    route = resolve(registry, name)
    if not isinstance(route, Route) or not route.expected():
        raise LoadError("load.target-down", f"no engine is expected to answer {name!r}")
    behind = route.expected()[0]
    provider = registry.provider(behind.provider)
    with tempfile.TemporaryDirectory(prefix="harness-load-") as folder:
        async with (
            RecordingClient() as client,
            Stack(registry, client=client, directory=Path(folder), seed=seed, tier=tier) as stack,
        ):
            engine = stack.engines[behind.provider]
            yield OwnStack(
                stack=stack,
                name=name,
                engine=engine,
                api_root=engine.endpoint + provider.api_path,
                served_as=behind.served_as,
                key=stack.secrets[provider.api_key.env] if provider.api_key else None,
            )
