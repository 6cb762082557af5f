"""Defects of addresses and of GPU memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.strategies.plants.plant import (
    NAME,
    a_model,
    add_on_gpu,
    add_provider,
    add_route,
    plant,
)

if TYPE_CHECKING:
    from harness.strategies.plants.plant import Spot
    from harness.strategies.writing import System


@plant("GW140")
def _port_taken(system: System) -> Spot:
    services = system[PORTS]["services"]
    services[NAME] = {**services["gateway"], "owner": NAME}
    return PORTS, ("services", NAME, "port"), False


@plant("GW141")
def _open_host(system: System) -> Spot:
    system[PORTS]["host"] = "0.0.0.0"  # noqa: S104  planted to be found
    return PORTS, ("host",), False


def _base_url(system: System, url: str, **changes: Any) -> Spot:
    add_provider(system, base_url=url, **changes)
    add_route(system, provider=NAME, model=NAME)
    return PROVIDERS, ("providers", NAME, "base_url"), False


@plant("GW142")
def _credentials(system: System) -> Spot:
    return _base_url(system, "https://user:secret@planted.example")


@plant("GW143")
def _local_url(system: System) -> Spot:
    return _base_url(system, "http://localhost:9000")


@plant("GW144")
def _clear_key(system: System) -> Spot:
    return _base_url(system, "http://planted.example", api_key={"env": "PLANTED_KEY"})


@plant("GW145")
def _any_origin(system: System) -> Spot:
    system[MAPPINGS]["gateway"]["cors_origins"] = ["http://localhost:1", "*"]
    return MAPPINGS, ("gateway", "cors_origins", 1), False


@plant("GW146")
def _no_origin(system: System) -> Spot:
    system[MAPPINGS]["gateway"]["cors_origins"] = ["http://localhost:1/"]
    return MAPPINGS, ("gateway", "cors_origins", 0), False


@plant("GW147")
def _service_twice(system: System) -> Spot:
    provider = add_provider(system, port="gateway", health={"path": "/", "timeout_s": 2})
    del provider["base_url"]
    return PROVIDERS, ("providers", NAME, "port"), False


@plant("GW150")
def _residents(system: System) -> Spot:
    add_on_gpu(
        system,
        a_model(vram_gb=6, residency="always"),
        a_model(name="planted-b", served_as="planted-b", vram_gb=6, residency="always"),
        host={"gpu": "Some Card", "vram_gb": 8},
    )
    return PROVIDERS, ("providers", NAME, "models", 1, "residency"), False


@plant("GW151")
def _too_large(system: System) -> Spot:
    add_on_gpu(system, a_model(vram_gb=6), host={"gpu": "Some Card", "vram_gb": 4})
    return PROVIDERS, ("providers", NAME, "models", 0, "vram_gb"), False


@plant("GW152")
def _no_gpu(system: System) -> Spot:
    add_on_gpu(system, a_model(), host={})
    return PROVIDERS, ("providers", NAME, "hardware", "gpu"), False


@plant("GW153")
def _no_size(system: System) -> Spot:
    add_on_gpu(system, a_model(), host={"gpu": "Some Card", "vram_gb": 8})
    return PROVIDERS, ("providers", NAME, "models", 0, "name"), False
