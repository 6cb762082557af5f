"""Rules about what the sources can say and the gateway cannot do: said, never dropped silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry

COUNTED_TOGETHER = frozenset(
    {"vllm", "llama_cpp_native", "llama_cpp_python", "openai", "openai_compatible"}
)
"""Types that the gateway speaks to in one dialect, and hence takes for one provider."""

_REMOTE = """
providers.yaml: {providers: {far: {type: anthropic, status: active, api_key: {env: FAR_KEY},
  base_url: 'https://llm.example', models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
"""


@rule(
    "GW160",
    severity=Severity.WARNING,
    title="The gateway does not honour a special case",
    why="LiteLLM picks by name alone. It never sends a request elsewhere for its estimated length, "
    "and its tags choose among the deployments of one name, for all names at once.",
    remedy="Let clients ask for the other name. For long prompts give the route a "
    "context_window_chain: that is followed once a prompt does not fit.",
    failing="model-mappings.yaml: {rules: [{name: tiny, when: {min_tokens: 4000}, route: spare}]}",
    passing="model-mappings.yaml: {routes: {exact: {tiny: {context_window_chain: long}}}, "
    "fallback_chains: {long: [tiny, spare]}}",
)
def special_case(registry: Registry) -> Iterator[Hit]:
    """Every special case."""
    for index, case in enumerate(registry.rules):
        message = f"Requests for {quoted(case.name)} reach {quoted(case.name)} whatever they hold."
        yield Hit(("rules", index), message)


@rule(
    "GW161",
    severity=Severity.WARNING,
    title="The gateway does not honour the queue",
    why="LiteLLM knows no bounded queue with classes: its scheduler lets everybody through as long "
    "as any deployment is healthy (litellm#6867), and what max_parallel refuses is refused at "
    "once.",
    remedy="Put a queue before the gateway, or remove the block; rate_limits.max_parallel bounds "
    "what reaches a provider.",
    failing="model-mappings.yaml: "
    "{queue: {max_size: 1000, max_wait_s: 30, priorities: [high, low], overflow: reject}}",
    passing="providers.yaml: {providers: {local: {rate_limits: {max_parallel: 8}}}}",
)
def queue(registry: Registry) -> Iterator[Hit]:
    """A queue."""
    if registry.queue is not None:
        yield Hit(("queue",), "No request will wait in it.", on_key=True)


@rule(
    "GW162",
    title="A budget would stop other providers too",
    why="LiteLLM counts spending by the dialect it speaks. Providers that speak the same one share "
    "a count, so a spent budget takes all of them out, the local ones included.",
    remedy="Set the limit at the provider itself, or disable the others.",
    failing="""
providers.yaml: {providers: {far: {type: openai, status: active, api_key: {env: FAR_KEY},
  base_url: 'https://llm.example', models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {big: {provider: far, model: big}}}
  budgets: {providers: {far: {limit_usd: 10, period: 1d}}}
""",
    passing=_REMOTE
    + """
model-mappings.yaml:
  routes: {exact: {big: {provider: far, model: big}}}
  budgets: {providers: {far: {limit_usd: 10, period: 1d}}}
""",
)
def shared_budget(registry: Registry) -> Iterator[Hit]:
    """Budgets of enabled providers that share their dialect with another enabled one."""
    enabled = registry.enabled_providers()
    for name in registry.budgets.providers:
        if name not in enabled or enabled[name].port is not None:
            continue  # GW163 reports a local one
        dialect = _dialect(enabled[name].type)
        others = [o for o, p in enabled.items() if o != name and _dialect(p.type) == dialect]
        if others:
            message = f"{quoted(name)} is counted together with {', '.join(others)}."
            yield Hit(("budgets", "providers", name), message, on_key=True)


def _dialect(kind: str) -> str:
    return "openai" if kind in COUNTED_TOGETHER else kind


@rule(
    "GW163",
    severity=Severity.WARNING,
    title="A budget can never be spent",
    why="The gateway adds up list prices, and a server of one's own has none.",
    remedy="Remove the budget; rate_limits bound the use of a local server.",
    failing="model-mappings.yaml: {budgets: {providers: {local: {limit_usd: 10, period: 1d}}}}",
    passing=_REMOTE
    + """
model-mappings.yaml:
  routes: {exact: {big: {provider: far, model: big}}}
  budgets: {providers: {far: {limit_usd: 10, period: 1d}}}
""",
)
def free_of_charge(registry: Registry) -> Iterator[Hit]:
    """Budgets of local providers."""
    for name in registry.budgets.providers:
        provider = registry.providers.get(name)
        if provider is not None and provider.port is not None:
            message = f"Requests to {quoted(name)} cost nothing."
            yield Hit(("budgets", "providers", name), message, on_key=True)


@rule(
    "GW164",
    severity=Severity.WARNING,
    title="The gateway does not enforce the total budget",
    why="LiteLLM keeps the sum over all providers in a database only. Without one it prints a "
    "warning at its start and refuses nothing (1.106).",
    remedy="Give each provider that costs money a budget of its own under budgets.providers.",
    failing="model-mappings.yaml: {budgets: {total: {limit_usd: 100, period: 30d}}}",
    passing=_REMOTE
    + """
model-mappings.yaml:
  routes: {exact: {big: {provider: far, model: big}}}
  budgets: {providers: {far: {limit_usd: 100, period: 30d}}}
""",
)
def total_budget(registry: Registry) -> Iterator[Hit]:
    """A total budget."""
    if registry.budgets.total is not None:
        yield Hit(("budgets", "total"), "It needs a database, and none is run.", on_key=True)


@rule(
    "GW165",
    title="The cache sits on a service that speaks HTTP",
    why="Redis has a protocol of its own; asked over it, a web server does not understand.",
    remedy="Refer to the service of Redis, whose protocol is tcp.",
    failing="model-mappings.yaml: {cache: {type: redis, ttl_s: 3600, service: spare}}",
    passing="""
ports.yaml: {services: {redis: {port: 6379, protocol: tcp, owner: redis}}}
model-mappings.yaml: {cache: {type: redis, ttl_s: 3600, service: redis}}
""",
)
def cache_over_http(registry: Registry) -> Iterator[Hit]:
    """A cache on a service that is not tcp."""
    cache = registry.cache
    service = registry.ports.services.get(cache.service or "") if cache else None
    if cache is not None and service is not None and service.protocol != "tcp":
        message = f"The service {quoted(cache.service)} speaks {service.protocol}."
        yield Hit(("cache", "service"), message)
