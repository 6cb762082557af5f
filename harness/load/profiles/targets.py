"""Whom a load can ask: the names a registry advertises, and what stands behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.profiles.profile import Target
from harness.routing import Refusal, resolve

if TYPE_CHECKING:
    from harness.registry import Registry

_BATCHING = "vllm"


def targets_of(registry: Registry) -> tuple[Target, ...]:
    """The public names that chat, in the order of the sources."""
    found = []
    for name in registry.public_models:
        route = resolve(registry, name)
        if isinstance(route, Refusal):
            continue
        deployments = list(route)
        if not deployments:
            continue
        contexts = [deployment.context_length for deployment in deployments]
        first = deployments[0].provider
        found.append(
            Target(
                name=name,
                context=min(contexts),
                providers=route.providers,
                batches=registry.provider(first).type == _BATCHING,
            )
        )
    return tuple(found)
