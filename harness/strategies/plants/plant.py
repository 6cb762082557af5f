"""What a planted defect is, and the pieces it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.registry.rule import Path
    from harness.strategies.writing import System

Spot = tuple[str, "Path", bool]
"""A file, a path in it, and whether the place is that of the key."""

PLANTS: dict[str, Callable[[System], Spot]] = {}
"""What breaks a system, by the id of the rule that must find it; returns where."""

NAME = "planted"
"""No generated name starts like this one."""


def plant(rule: str) -> Callable[[Callable[[System], Spot]], Callable[[System], Spot]]:
    """Enter the function below as what plants a breach of ``rule``."""

    def enter(function: Callable[[System], Spot]) -> Callable[[System], Spot]:
        PLANTS[rule] = function
        return function

    return enter


def first(system: System) -> tuple[str, dict[str, Any]]:
    """The first exact name and its model; it is on the provider p0, which is local and active."""
    name, route = next(iter(system[MAPPINGS]["routes"]["exact"].items()))
    models = system[PROVIDERS]["providers"]["p0"]["models"]
    return name, next(model for model in models if model["name"] == route["model"])


def add_route(system: System, name: str = NAME, **changes: Any) -> dict[str, Any]:
    """One more exact route, to the model of the first one."""
    exact = system[MAPPINGS]["routes"]["exact"]
    exact[name] = {"provider": "p0", "model": first(system)[1]["name"], **changes}
    added: dict[str, Any] = exact[name]
    return added


def a_model(**changes: Any) -> dict[str, Any]:
    """A model of a new provider, loaded by hand."""
    return {
        "name": NAME,
        "served_as": NAME,
        "context_length": 4096,
        "capabilities": ["chat"],
        "mode": "chat",
        "residency": "manual",
        **changes,
    }


def add_provider(system: System, **changes: Any) -> dict[str, Any]:
    """One more provider, a remote one."""
    added: dict[str, Any] = {
        "type": "openai_compatible",
        "base_url": "https://planted.example",
        "status": "active",
        **changes,
        "models": changes.get("models", [a_model()]),
    }
    system[PROVIDERS]["providers"][NAME] = added
    return added


def add_on_gpu(system: System, *models: dict[str, Any], host: dict[str, Any]) -> None:
    """One more provider, on a host of its own."""
    system[PROVIDERS]["hosts"][NAME] = host
    system[PORTS]["services"][NAME] = {"port": 1021, "protocol": "http", "owner": NAME}
    provider = add_provider(system, type="ollama", port=NAME, models=list(models))
    del provider["base_url"]
    provider["health"] = {"path": "/", "timeout_s": 2}
    provider["hardware"] = {"host": NAME, "gpu": True}


def add_chain(system: System, *names: str) -> None:
    """One more fallback chain."""
    system[MAPPINGS].setdefault("fallback_chains", {})[NAME] = list(names)


def add_pattern(system: System, **pattern: str) -> int:
    """One more pattern; returns its index."""
    patterns = system[MAPPINGS]["routes"].setdefault("patterns", [])
    patterns.append(pattern)
    return len(patterns) - 1
