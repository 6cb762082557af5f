"""Defects of what names lead to, and of fallback chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.load import MAPPINGS, PROVIDERS
from harness.strategies.plants.plant import (
    NAME,
    a_model,
    add_chain,
    add_provider,
    add_route,
    first,
    plant,
)

if TYPE_CHECKING:
    from harness.strategies.plants.plant import Spot
    from harness.strategies.writing import System


@plant("GW120")
def _public_disabled(system: System) -> Spot:
    add_provider(system, status="disabled")
    add_route(system, provider=NAME, model=NAME)
    system[MAPPINGS]["public_models"].append(NAME)
    return MAPPINGS, ("public_models", len(system[MAPPINGS]["public_models"]) - 1), False


@plant("GW121")
def _route_disabled(system: System) -> Spot:
    add_provider(system, status="disabled")
    add_route(system, provider=NAME, model=NAME)
    return MAPPINGS, ("routes", "exact", NAME), True


@plant("GW122")
def _unrouted(system: System) -> Spot:
    add_provider(system)
    return PROVIDERS, ("providers", NAME, "models", 0, "name"), False


@plant("GW123")
def _lacks_capability(system: System) -> Spot:
    targets = [{"route": first(system)[0], "priority": 1}]
    system[MAPPINGS].setdefault("capabilities", {})[NAME] = targets
    return MAPPINGS, ("capabilities", NAME, 0, "route"), False


@plant("GW124")
def _retries(system: System) -> Spot:
    system[MAPPINGS]["resilience"]["retries"] = 2
    return MAPPINGS, ("resilience", "retries"), False


@plant("GW130")
def _repeats(system: System) -> Spot:
    add_route(system, chain=NAME)
    add_chain(system, NAME, first(system)[0], NAME)
    return MAPPINGS, ("fallback_chains", NAME, 2), False


@plant("GW131")
def _cycle(system: System) -> Spot:
    for name, other in (("planted-a", "planted-b"), ("planted-b", "planted-a")):
        add_route(system, name, chain=f"{name}-chain")
        system[MAPPINGS].setdefault("fallback_chains", {})[f"{name}-chain"] = [name, other]
    return MAPPINGS, ("routes", "exact", "planted-a", "chain"), False


@plant("GW132")
def _not_a_member(system: System) -> Spot:
    add_route(system, "planted-step")
    add_route(system, chain=NAME)
    add_chain(system, first(system)[0], "planted-step")
    return MAPPINGS, ("routes", "exact", NAME, "chain"), False


@plant("GW133")
def _disabled_step(system: System) -> Spot:
    head, model = first(system)
    add_provider(system, status="disabled", models=[a_model(mode=model["mode"])])
    add_route(system, "planted-step", provider=NAME, model=NAME)
    add_route(system, chain=NAME)
    add_chain(system, head, NAME, "planted-step")
    return MAPPINGS, ("fallback_chains", NAME, 2), False


@plant("GW134")
def _shrinking(system: System) -> Spot:
    add_provider(
        system,
        models=[a_model(), a_model(name="planted-b", served_as="planted-b", context_length=2048)],
    )
    add_route(system, provider=NAME, model=NAME, chain=NAME)
    add_route(system, "planted-b", provider=NAME, model="planted-b")
    add_chain(system, NAME, "planted-b")
    return MAPPINGS, ("fallback_chains", NAME, 1), False


@plant("GW135")
def _mixed(system: System) -> Spot:
    head, model = first(system)
    mode = "embedding" if model["mode"] == "chat" else "chat"
    add_provider(system, models=[a_model(mode=mode, context_length=1_000_000)])
    add_route(system, provider=NAME, model=NAME)
    add_chain(system, head, NAME)
    return MAPPINGS, ("fallback_chains", NAME, 1), False


@plant("GW136")
def _unused(system: System) -> Spot:
    add_route(system)
    add_chain(system, first(system)[0], NAME)
    return MAPPINGS, ("fallback_chains", NAME), True
