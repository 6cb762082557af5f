"""Whom a load can ask: the names a registry advertises, and what stands behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.profiles.profile import Target
from harness.routing import Refusal, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.registry import Registry

_BATCHING = "vllm"


def targets_of(registry: Registry, names: Iterable[str] | None = None) -> tuple[Target, ...]:
    """The ``names`` that are routed; default: the public ones, in the order of the sources."""
    found = []
    for name in registry.public_models if names is None else names:
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
                served_as=deployments[0].served_as,
            )
        )
    return tuple(found)
