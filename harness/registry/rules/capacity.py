"""Rules about memory: what is meant to be loaded at once fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.rules.targets import model_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Host, Model
    from harness.registry.registry import Registry
    from harness.registry.rule import Path

ONE_MODEL = frozenset({"vllm", "llama_cpp_native", "llama_cpp_python"})
"""Types of server that hold one model at a time."""


def _on_gpu(registry: Registry) -> Iterator[tuple[Path, str, Host, Model]]:
    """Every model of an enabled provider on a GPU, with its path, host id and host."""
    for provider_id, provider in registry.enabled_providers().items():
        hardware = provider.hardware
        host = registry.hosts.get(hardware.host) if hardware else None
        if hardware is None or host is None or not hardware.gpu:
            continue
        for index, model in enumerate(provider.models):
            yield ("providers", provider_id, "models", index), hardware.host, host, model


@rule(
    "GW150",
    title="The resident models do not fit on the GPU together",
    why="Models with residency: always are loaded at the same time. Beyond the card's memory "
    "the server that starts last dies, or pushes another one out.",
    remedy="Set one of them to manual or on_demand, or use a smaller quantization.",
    failing="""
providers.yaml: {providers: {local: {models: [
  {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 12.6, capabilities: [chat],
   mode: chat, residency: always},
  {name: wild, served_as: wild, context_length: 4096, vram_gb: 12.6, capabilities: [chat],
   mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {wild: {provider: local, model: wild}}}}
""",
    passing="""
providers.yaml: {providers: {local: {models: [
  {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 12.6, capabilities: [chat],
   mode: chat, residency: always},
  {name: wild, served_as: wild, context_length: 4096, vram_gb: 12.6, capabilities: [chat],
   mode: chat, residency: manual}]}}}
model-mappings.yaml: {routes: {exact: {wild: {provider: local, model: wild}}}}
""",
)
def residents_too_large(registry: Registry) -> Iterator[Hit]:
    """The resident model with which a host's GPU memory is exceeded, and each one after it."""
    used: dict[str, float] = {}
    for path, host_id, host, model in _on_gpu(registry):
        if model.residency != "always" or model.vram_gb is None or host.vram_gb is None:
            continue
        used[host_id] = used.get(host_id, 0.0) + model.vram_gb
        if used[host_id] > host.vram_gb >= model.vram_gb:
            message = (
                f"With {quoted(model.name)} the resident models need {used[host_id]:.1f} GB, "
                f"{quoted(host_id)} has {host.vram_gb:g} GB."
            )
            yield Hit((*path, "residency"), message)


@rule(
    "GW151",
    title="A model is larger than the GPU",
    why="It can never be loaded, not even alone.",
    remedy="Use a smaller quantization or context, or set hardware.gpu to false.",
    failing="providers.yaml: {hosts: {box: {vram_gb: 4}}}",
    passing="providers.yaml: {hosts: {box: {vram_gb: 8}}}",
)
def model_too_large(registry: Registry) -> Iterator[Hit]:
    """Models that exceed the GPU memory of their host by themselves.

    Where vram_gb is not given, the weights alone count.
    """
    for path, host_id, host, model in _on_gpu(registry):
        field = "vram_gb" if model.vram_gb is not None else "size_gb"
        needed = model.vram_gb if model.vram_gb is not None else model.size_gb
        if needed is not None and host.vram_gb is not None and needed > host.vram_gb:
            weights = "" if field == "vram_gb" else " for its weights"
            message = (
                f"{quoted(model.name)} needs {needed:g} GB{weights}, {quoted(host_id)} has "
                f"{host.vram_gb:g} GB."
            )
            yield Hit((*path, field), message)


@rule(
    "GW152",
    title="A provider uses a GPU that its host does not have",
    why="The server would not start, or silently run on the CPU at a fraction of the speed.",
    remedy="Give the host gpu and vram_gb, or set hardware.gpu to false.",
    failing="providers.yaml: {hosts: {box: ~, cell: {}}, "
    "providers: {local: {hardware: {host: cell}}}}",
    passing="providers.yaml: {hosts: {box: ~, cell: {gpu: Some Card, vram_gb: 16}}, "
    "providers: {local: {hardware: {host: cell}}}}",
)
def no_gpu(registry: Registry) -> Iterator[Hit]:
    """Providers on the GPU of a host without one."""
    for name, provider in registry.providers.items():
        hardware = provider.hardware
        host = registry.hosts.get(hardware.host) if hardware else None
        if hardware is not None and host is not None and hardware.gpu and host.gpu is None:
            message = f"The host {quoted(hardware.host)} of {quoted(name)} has no GPU."
            yield Hit(("providers", name, "hardware", "gpu"), message)


@rule(
    "GW153",
    severity=Severity.WARNING,
    title="A model on the GPU does not say how much memory it takes",
    why="Without vram_gb nobody can tell whether it fits beside the others.",
    remedy="Add vram_gb, as the server reports it once the model is loaded.",
    failing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat], mode: chat, residency: always}]}}}
""",
    passing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  vram_gb: 6, capabilities: [chat], mode: chat, residency: always}]}}}
""",
)
def unknown_size(registry: Registry) -> Iterator[Hit]:
    """Models on a GPU without vram_gb, unless GW151 reports their weights."""
    for path, _, host, model in _on_gpu(registry):
        too_large = (model.size_gb or 0.0) > (host.vram_gb or 0.0) > 0
        if model.vram_gb is None and not too_large:
            yield Hit((*path, "name"), f"The GPU memory of {quoted(model.name)} is not given.")


@rule(
    "GW154",
    title="Members of a load-balanced group cannot be loaded at the same time",
    why="The group asks them in turn, so each request would wait for one model to be unloaded and "
    "the other to be loaded, or find its server dead.",
    remedy="Put them on different levels (order, or priority of their providers), on different "
    "hosts, or out of one group.",
    failing="""
providers.yaml: {providers: {local: {models: [
  {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 12, capabilities: [chat],
   mode: chat, residency: on_demand},
  {name: wild, served_as: wild, context_length: 4096, vram_gb: 12, capabilities: [chat],
   mode: chat, residency: on_demand}]}}}
model-mappings.yaml:
  routes: {exact: {wild: {provider: local, model: wild}}}
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: wild}]}}
""",
    passing="""
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
)
def not_co_resident(registry: Registry) -> Iterator[Hit]:
    """The member with which the GPU memory its level needs on one host is exceeded."""
    for group, balancer in registry.load_balancing.items():
        used: dict[tuple[object, ...], dict[tuple[str, str], float]] = {}
        for index, member in enumerate(balancer.members):
            model = model_of(registry, member.route)
            if model is None:
                continue
            route = registry.route(member.route)
            hardware = registry.provider(route.provider).hardware
            host = registry.hosts.get(hardware.host) if hardware and hardware.gpu else None
            if hardware is None or host is None or host.vram_gb is None:
                continue
            together = used.setdefault((registry.level(member), hardware.host), {})
            together[route.provider, route.model] = model.vram_gb or 0.0
            total = sum(together.values())
            if total > host.vram_gb >= (model.vram_gb or 0.0):
                message = (
                    f"With {quoted(member.route)} they need {total:.1f} GB at once, "
                    f"{quoted(hardware.host)} has {host.vram_gb:g} GB."
                )
                yield Hit(("load_balancing", group, "members", index, "route"), message)


@rule(
    "GW155",
    severity=Severity.WARNING,
    title="A server that holds one model is to hold two",
    why="One process of vLLM or llama.cpp serves the model it was started with. With two marked as "
    "always loaded, requests for one of them get 404.",
    remedy="Set all but one to manual, or give each model a provider of its own.",
    failing="""
providers.yaml: {providers: {local: {hardware: ~, models: [
  {name: tiny, served_as: tiny, context_length: 4096, capabilities: [chat], mode: chat,
   residency: always},
  {name: wild, served_as: wild, context_length: 4096, capabilities: [chat], mode: chat,
   residency: always}]}}}
model-mappings.yaml: {routes: {exact: {wild: {provider: local, model: wild}}}}
""",
    passing="""
providers.yaml: {providers: {local: {hardware: ~, models: [
  {name: tiny, served_as: tiny, context_length: 4096, capabilities: [chat], mode: chat,
   residency: always},
  {name: wild, served_as: wild, context_length: 4096, capabilities: [chat], mode: chat,
   residency: manual}]}}}
model-mappings.yaml: {routes: {exact: {wild: {provider: local, model: wild}}}}
""",
)
def two_in_one(registry: Registry) -> Iterator[Hit]:
    """Models marked as always loaded after the first one of a server that holds one."""
    for provider_id, provider in registry.enabled_providers().items():
        if provider.type not in ONE_MODEL:
            continue
        always = [i for i, model in enumerate(provider.models) if model.residency == "always"]
        for index in always[1:]:
            first = quoted(provider.models[always[0]].name)
            message = f"{quoted(provider_id)} already holds {first}."
            yield Hit(("providers", provider_id, "models", index, "residency"), message)


@rule(
    "GW156",
    severity=Severity.WARNING,
    title="A model takes more GPU memory than it says",
    why="Weights and the KV cache of one request of full length are the least a server needs. With "
    "less it refuses long prompts, or does not start.",
    remedy="Correct vram_gb, or serve the model with a shorter context.",
    failing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 32768,
  size_gb: 5, vram_gb: 6, geometry: {layers: 32, kv_heads: 8, head_dim: 128, dtype: float16},
  capabilities: [chat], mode: chat, residency: always}]}}}
""",
    passing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  size_gb: 5, vram_gb: 6, geometry: {layers: 32, kv_heads: 8, head_dim: 128, dtype: float16},
  capabilities: [chat], mode: chat, residency: always}]}}}
""",
)
def more_than_it_says(registry: Registry) -> Iterator[Hit]:
    """Models on a GPU whose weights and one full context exceed their vram_gb.

    Without a geometry the weights alone count, and only where the server never leaves some of
    them to the CPU, as Ollama and llama.cpp do.
    """
    for path, _, _, model in _on_gpu(registry):
        weights = model.size_gb or 0.0
        if model.vram_gb is None:
            continue
        if model.geometry is not None:
            cache = model.geometry.kv_bytes_per_token * model.context_length / 1e9
            parts = (
                f"{weights:g} GB of weights and {cache:.1f} GB for {model.context_length} tokens"
            )
        elif registry.provider(str(path[1])).type == "vllm":
            cache, parts = 0.0, "so much its weights take"
        else:
            continue
        if weights + cache > model.vram_gb:
            message = f"{quoted(model.name)} needs {weights + cache:.1f} GB: {parts}."
            yield Hit((*path, "vram_gb"), message)
