"""Defects of shape, of references and of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.strategies.plants.plant import NAME, add_pattern, add_route, first, plant

if TYPE_CHECKING:
    from harness.strategies.plants.plant import Spot
    from harness.strategies.writing import System


@plant("GW020")
def _unknown_key(system: System) -> Spot:
    system[PROVIDERS]["providers"]["p0"]["planted"] = 1
    return PROVIDERS, ("providers", "p0", "planted"), True


@plant("GW021")
def _missing_key(system: System) -> Spot:
    del system[MAPPINGS]["gateway"]["metrics"]
    return MAPPINGS, ("gateway",), True


@plant("GW022")
def _wrong_type(system: System) -> Spot:
    system[PORTS]["services"]["gateway"]["port"] = "4000"
    return PORTS, ("services", "gateway", "port"), False


@plant("GW023")
def _wrong_value(system: System) -> Spot:
    system[PORTS]["services"]["gateway"]["port"] = 70_000
    return PORTS, ("services", "gateway", "port"), False


@plant("GW024")
def _two_targets(system: System) -> Spot:
    index = add_pattern(system, match="planted*", provider="p0", route=first(system)[0])
    return MAPPINGS, ("routes", "patterns", index), False


@plant("GW101")
def _unknown_provider(system: System) -> Spot:
    add_route(system, provider="nowhere")
    return MAPPINGS, ("routes", "exact", NAME, "provider"), False


@plant("GW102")
def _unknown_model(system: System) -> Spot:
    add_route(system, model="nowhere")
    return MAPPINGS, ("routes", "exact", NAME, "model"), False


@plant("GW103")
def _unknown_route(system: System) -> Spot:
    system[MAPPINGS]["routes"].setdefault("aliases", {})[NAME] = "nowhere"
    return MAPPINGS, ("routes", "aliases", NAME), False


@plant("GW104")
def _unknown_service(system: System) -> Spot:
    system[PROVIDERS]["providers"]["p0"]["port"] = "nowhere"
    return PROVIDERS, ("providers", "p0", "port"), False


@plant("GW105")
def _unknown_chain(system: System) -> Spot:
    add_route(system, chain="nowhere")
    return MAPPINGS, ("routes", "exact", NAME, "chain"), False


@plant("GW106")
def _unknown_host(system: System) -> Spot:
    system[PROVIDERS]["providers"]["p0"]["hardware"] = {"host": "nowhere", "gpu": False}
    return PROVIDERS, ("providers", "p0", "hardware", "host"), False


@plant("GW107")
def _wrong_protocol(system: System) -> Spot:
    system[PORTS]["services"]["p0"]["protocol"] = "tcp"
    return PROVIDERS, ("providers", "p0", "port"), False


@plant("GW108")
def _unknown_public(system: System) -> Spot:
    system[MAPPINGS]["public_models"].append("nowhere")
    return MAPPINGS, ("public_models", len(system[MAPPINGS]["public_models"]) - 1), False


@plant("GW110")
def _name_taken(system: System) -> Spot:
    name = first(system)[0]
    system[MAPPINGS]["routes"].setdefault("aliases", {})[name] = name
    return MAPPINGS, ("routes", "aliases", name), True


@plant("GW111")
def _model_twice(system: System) -> Spot:
    models = system[PROVIDERS]["providers"]["p0"]["models"]
    models.append({**models[0], "served_as": NAME, "residency": "manual"})
    return PROVIDERS, ("providers", "p0", "models", len(models) - 1, "name"), False


@plant("GW112")
def _served_twice(system: System) -> Spot:
    models = system[PROVIDERS]["providers"]["p0"]["models"]
    models.append({**models[0], "name": NAME, "residency": "manual"})
    return PROVIDERS, ("providers", "p0", "models", len(models) - 1, "served_as"), False


@plant("GW113")
def _listed_twice(system: System) -> Spot:
    public = system[MAPPINGS]["public_models"]
    public.append(public[0])
    return MAPPINGS, ("public_models", len(public) - 1), False


@plant("GW114")
def _pattern_twice(system: System) -> Spot:
    add_pattern(system, match="planted*", route=first(system)[0])
    index = add_pattern(system, match="planted*", provider="p0")
    return MAPPINGS, ("routes", "patterns", index, "match"), False


@plant("GW115")
def _hidden_capability(system: System) -> Spot:
    name, model = first(system)
    model["capabilities"].append(NAME)
    add_pattern(system, match="plan*", route=name)
    system[MAPPINGS].setdefault("capabilities", {})[NAME] = [{"route": name, "priority": 1}]
    return MAPPINGS, ("capabilities", NAME), True


@plant("GW116")
def _priority_twice(system: System) -> Spot:
    name, model = first(system)
    model["capabilities"].append(NAME)
    add_route(system, "planted-route")
    targets = [{"route": name, "priority": 1}, {"route": "planted-route", "priority": 1}]
    system[MAPPINGS].setdefault("capabilities", {})[NAME] = targets
    return MAPPINGS, ("capabilities", NAME, 1, "priority"), False
