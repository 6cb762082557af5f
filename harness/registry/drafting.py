"""A first draft of the three source files, for a person to go on with.

Whoever finds out what a system consists of (by reading another configuration, or by asking
running servers) fills a `Draft`; `texts` writes it as files that load without an error. What
nobody could find out is written as a cautious value and a comment that asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.registry.writing import Node, Noted, document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.registry.models import Mode, ProviderType, Residency, Strategy

UNKNOWN_CONTEXT = 4096
"""Tokens written where the context length is not known: small enough to be served by any model
that is run for chat today, so that a guess makes nothing overflow."""

HEALTH: Mapping[ProviderType, str] = {
    "ollama": "/api/tags",
    "vllm": "/health",
    "llama_cpp_native": "/health",
}
"""Path of each kind of server that answers 200 only when it can work; the rest list models."""

GATEWAY = "gateway"


@dataclass(slots=True, kw_only=True)
class DraftModel:
    """One model of a catalogue; None is what is not known."""

    served_as: str
    mode: Mode = "chat"
    context_length: int | None = None
    max_output: int | None = None
    size_gb: float | None = None
    quantization: str | None = None
    capabilities: list[str] = field(default_factory=list)
    residency: Residency = "always"
    context_note: str = ""
    """Where a context length that is known comes from, if that is worth a word."""

    def tree(self) -> Node:
        """The entry under ``models``."""
        length: Node = Noted(self.context_length, behind=self.context_note)
        if self.context_length is None:
            length = Noted(UNKNOWN_CONTEXT, behind="UNKNOWN: the context the server is run with?")
        given: dict[str, Node] = {
            "name": self.served_as,
            "served_as": self.served_as,
            "context_length": length,
            "max_output": self.max_output,
            "size_gb": self.size_gb,
            "quantization": self.quantization,
            "capabilities": list(dict.fromkeys([self.mode, *self.capabilities])),
            "mode": self.mode,
            "residency": self.residency,
        }
        return {key: value for key, value in given.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class DraftProvider:
    """One server: local with a ``port``, or remote with a ``base_url``."""

    id: str
    type: ProviderType
    type_note: str = ""
    port: int | None = None
    owner: str = "unknown"
    base_url: str | None = None
    url_note: str = ""
    api_path: str = "/v1"
    key: str | None = None
    """Environment variable of its API key."""
    limits: Mapping[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    note: str = ""
    models: dict[str, DraftModel] = field(default_factory=dict)

    def tree(self) -> Node:
        """The entry under ``providers``."""
        given: dict[str, Node] = {"type": Noted(self.type, behind=self.type_note)}
        if self.port is not None:
            given["port"] = self.id
        else:
            given["base_url"] = Noted(self.base_url, behind=self.url_note)
        if self.api_path != "/v1":
            given["api_path"] = self.api_path
        given["status"] = "active"
        if self.port is not None:
            path = HEALTH.get(self.type, self.api_path.rstrip("/") + "/models")
            given["health"] = {"path": path, "expect_status": 200, "timeout_s": 2}
        if self.key is not None:
            given["api_key"] = {"env": self.key}
        if self.features:
            given["features"] = list(self.features)
        if self.limits:
            given["rate_limits"] = dict(self.limits)
        given["models"] = [model.tree() for model in self.models.values()]
        return Noted(given, note=self.note)


@dataclass(slots=True, kw_only=True)
class DraftRoute:
    """An exact name."""

    provider: str
    model: str
    chain: str | None = None
    context_window_chain: str | None = None
    content_policy_chain: str | None = None

    def tree(self) -> Node:
        """The entry under ``routes.exact``."""
        given = {
            "provider": self.provider,
            "model": self.model,
            "chain": self.chain,
            "context_window_chain": self.context_window_chain,
            "content_policy_chain": self.content_policy_chain,
        }
        return {key: value for key, value in given.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class DraftMember:
    """One member of a balanced group."""

    route: str
    weight: int | None = None
    order: int | None = None

    def tree(self) -> Node:
        """The entry under ``members``."""
        given = {"route": self.route, "weight": self.weight, "order": self.order}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything the three files say. Values may be `Noted`."""

    header: str
    """Why this draft exists; the first comment of every file."""
    host: str
    gateway_port: Node
    providers: dict[str, DraftProvider] = field(default_factory=dict)
    exact: dict[str, DraftRoute] = field(default_factory=dict)
    public: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    patterns: list[dict[str, Node]] = field(default_factory=list)
    capabilities: dict[str, list[str]] = field(default_factory=dict)
    balanced: dict[str, list[DraftMember]] = field(default_factory=dict)
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    """What is tried once every member of a balanced group has failed, by its name."""
    strategy: Strategy = "weighted"
    """How a member is picked; one for all groups."""
    chains: dict[str, list[str]] = field(default_factory=dict)
    resilience: dict[str, Node] = field(default_factory=dict)
    """``timeout_s``, ``stream_timeout_s``, ``retries``, ``allowed_fails``, ``cooldown_s``."""
    cache: dict[str, Node] = field(default_factory=dict)
    budgets: dict[str, Node] = field(default_factory=dict)
    services: dict[str, Node] = field(default_factory=dict)
    """Services beside the gateway and the providers."""
    master_key: str = "GATEWAY_MASTER_KEY"
    metrics: bool = True
    drop_params: bool = False

    def unused_id(self, wanted: str) -> str:
        """``wanted``, or the first of ``wanted-2``, ``wanted-3`` that no provider is called."""
        return unused(wanted, (*self.providers, GATEWAY))


def unused(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or ``wanted-2`` and so on, whichever is not in ``taken``."""
    known = set(taken)
    name, number = wanted, 1
    while name in known:
        number += 1
        name = f"{wanted}-{number}"
    return name


def texts(draft: Draft) -> dict[str, str]:
    """The text of each source file, by file name."""
    return {
        PROVIDERS: document(
            {"providers": {one.id: one.tree() for one in draft.providers.values()}},
            header=draft.header,
        ),
        MAPPINGS: document(_mappings(draft), header=draft.header),
        PORTS: document({"host": draft.host, "services": _services(draft)}, header=draft.header),
    }


def _mappings(draft: Draft) -> dict[str, Node]:
    routes: dict[str, Node] = {"exact": {name: it.tree() for name, it in draft.exact.items()}}
    if draft.aliases:
        routes["aliases"] = Noted(dict(draft.aliases))
    if draft.patterns:
        routes["patterns"] = list(draft.patterns)
    root: dict[str, Node] = {
        "public_models": Noted(draft.public, note="What GET /v1/models of the gateway must list."),
        "routes": routes,
    }
    if draft.capabilities:
        root["capabilities"] = {
            name: [
                {"route": route, "priority": place} for place, route in enumerate(targets, start=1)
            ]
            for name, targets in draft.capabilities.items()
        }
    if draft.balanced:
        root["load_balancing"] = {
            name: {
                "strategy": draft.strategy,
                "members": [member.tree() for member in members],
                **({"fallbacks": list(behind)} if (behind := draft.fallbacks.get(name)) else {}),
            }
            for name, members in draft.balanced.items()
        }
    if draft.chains:
        root["fallback_chains"] = Noted(
            dict(draft.chains), note="Head first: each name falls back to what follows it."
        )
    if draft.cache:
        root["cache"] = dict(draft.cache)
    if draft.budgets:
        root["budgets"] = dict(draft.budgets)
    root["resilience"] = Noted(draft.resilience)
    root["gateway"] = {
        "port": GATEWAY,
        "cors_origins": Noted([], behind="browser origins that may call it, if any"),
        "master_key": {"env": draft.master_key},
        "metrics": draft.metrics,
        **({"drop_params": True} if draft.drop_params else {}),
        "health": {"path": "/health/readiness", "expect_status": 200, "timeout_s": 5},
    }
    return root


def _services(draft: Draft) -> Node:
    services: dict[str, Node] = {
        GATEWAY: {"port": draft.gateway_port, "protocol": "http", "owner": "litellm"}
    }
    for one in draft.providers.values():
        if one.port is not None:
            services[one.id] = {"port": one.port, "protocol": "http", "owner": one.owner}
    services |= draft.services
    return Noted(services, note="owner: the unit, container or program that binds the port.")
