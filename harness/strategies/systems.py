"""Whole systems: providers, models and names that fit together, as plain values."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.strategies.catalogue import (
    BOOLEANS,
    CAPABILITIES,
    MODEL_NAMES,
    SELDOM,
    Table,
    catalogue,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from harness.strategies.writing import System

PREFIXES = st.sampled_from(
    ("m", "m-", "m-1", "gpt-", "gpt-3.5", "x-", "x-1", "qwen", "ollama/", "openai/", "No", "zz/")
)
_WEIGHT = st.integers(1, 9)

Target = tuple[str, Table]
"""A provider id and one of its models."""


@st.composite
def systems(draw: DrawFn) -> System:
    """The plain values of three source files that load without an error.

    Fallback chains never lose context length or a capability from one step to the next, models
    that are resident together fit their GPU, and the first exact name is on ``p0``, which is
    local and active. Warnings are possible: a name on a disabled provider, a model without a
    route, a group whose fallbacks take less than its members do.
    """
    providers, services, hosts = catalogue(draw)
    least = draw(st.sampled_from((1, 4, 7)))  # left to itself a list is most often short
    names = draw(st.lists(MODEL_NAMES, min_size=least, max_size=9, unique=True))
    count = len(names) - draw(st.integers(0, min(3, len(names) - 1)))
    targets = [(key, model) for key, each in providers.items() for model in each["models"]]
    active = targets[: len(providers["p0"]["models"])]
    exact = {
        name: draw(st.sampled_from(targets if number else active))
        for number, name in enumerate(names[:count])
    }
    enabled = [name for name in exact if providers[exact[name][0]]["status"] != "disabled"]
    routes = {
        name: {"provider": key, "model": model["name"]} for name, (key, model) in exact.items()
    }
    chains = _chains(draw, routes, {name: exact[name][1] for name in enabled})
    heads = [*(name for name in routes if "chain" in routes[name]), *exact]
    aliases, groups = _more_names(draw, names[count:], exact, heads, hosts["box"].get("vram_gb", 0))
    _behind_groups(draw, groups, exact, enabled)
    behind = {name: [target] for name, target in aliases.items()}
    behind |= {
        name: [*(each["route"] for each in group["members"]), *group.get("fallbacks", ())]
        for name, group in groups.items()
    }
    behind |= {name: [name] for name in exact}
    answered = [name for name in behind if not set(enabled).isdisjoint(behind[name])]
    public = [name for name in answered if behind[name][0] in enabled]
    patterns = _patterns(draw, providers, enabled, behind.keys() - set(answered))
    mappings: dict[str, Any] = {
        "public_models": public[: draw(st.integers(1, len(public)))],
        "routes": _present(exact=routes, aliases=aliases, patterns=patterns),
        **_present(
            capabilities=_capabilities(draw, exact, {*names}),
            load_balancing=groups,
            fallback_chains=chains,
        ),
        "resilience": {
            "timeout_s": draw(st.sampled_from((30, 60.5))),
            "stream_timeout_s": 10,
            "retries": draw(st.integers(0, 2)),
            "allowed_fails": draw(st.integers(0, 3)),
            "cooldown_s": 3,
        },
        "gateway": {
            "port": "gateway",
            "cors_origins": draw(st.sampled_from(([], ["http://localhost:3000"]))),
            "master_key": {"env": "GATEWAY_KEY"},
            "metrics": draw(BOOLEANS),
            "drop_params": draw(BOOLEANS),
            "health": {"path": "/health/readiness", "timeout_s": 5},
        },
    }
    return {
        PROVIDERS: _present(hosts=hosts, providers=providers),
        MAPPINGS: mappings,
        PORTS: {"host": draw(st.sampled_from(("127.0.0.1", "::1"))), "services": services},
    }


def _present(**tables: Any) -> dict[str, Any]:
    return {name: table for name, table in tables.items() if table}


def _chains(draw: DrawFn, routes: dict[str, Any], models: dict[str, Table]) -> dict[str, list[str]]:
    """Chains in the order of context length; what a step can do, the next one can too.

    ``models`` are those behind the exact names that may be asked.
    """
    mode = next(iter(models.values()))["mode"]
    one_each: dict[int, str] = {}  # asking one server twice is no fallback
    for name, model in models.items():
        if model["mode"] == mode:
            one_each.setdefault(id(model), name)
    members = sorted(one_each.values(), key=lambda name: models[name]["context_length"])
    chains = {}
    for number in range(draw(st.integers(0, 3)) if len(members) > 1 else 0):
        left_out = draw(st.sets(st.sampled_from(members), max_size=len(members) - 2))
        chains[f"c{number}"] = chain = [name for name in members if name not in left_out]
        for name in chain[: draw(st.integers(1, len(chain)))]:
            routes[name]["chain"] = f"c{number}"
    _further_chains(draw, routes, models, chains)
    for name in members:  # in an order all chains follow, so one pass is enough
        for chain in chains.values():
            if name in chain[:-1]:
                following = models[chain[chain.index(name) + 1]]
                able = [*models[name]["capabilities"], *following["capabilities"]]
                following["capabilities"] = list(dict.fromkeys(able))
    return chains


def _further_chains(
    draw: DrawFn,
    routes: dict[str, Any],
    models: dict[str, Table],
    chains: dict[str, list[str]],
) -> None:
    """Let some routes have a chain for long prompts, where it leads to longer contexts only."""
    for name, route in routes.items():
        mine = {key: chain for key, chain in chains.items() if name in chain[:-1]}
        growing = [
            key
            for key, chain in mine.items()
            if _grows([models[step]["context_length"] for step in chain[chain.index(name) :]])
        ]
        if draw(SELDOM) and mine:
            route["content_policy_chain"] = draw(st.sampled_from(list(mine)))
        if draw(SELDOM) and growing:
            route["context_window_chain"] = draw(st.sampled_from(growing))


def _grows(lengths: list[int]) -> bool:
    return all(short < long for short, long in pairwise(lengths))


def _more_names(
    draw: DrawFn, names: list[str], exact: dict[str, Target], heads: list[str], vram_gb: float
) -> tuple[dict[str, str], dict[str, Any]]:
    """Aliases of ``heads`` and load-balanced groups.

    A group holds each model once and answers in one mode; its members fit on the GPU together.
    """
    aliases: dict[str, str] = {}
    groups: dict[str, Any] = {}
    strategy = draw(st.sampled_from(("weighted", "weighted", "least-busy")))
    for name in names:
        head = draw(st.sampled_from(heads))
        members = _members(exact, head, vram_gb)
        if len(members) == 1 or draw(BOOLEANS):
            aliases[name] = head
            continue
        groups[name] = {"strategy": strategy, "members": [{"route": member} for member in members]}
        for member in groups[name]["members"]:
            if strategy == "weighted":
                member["weight"] = draw(_WEIGHT)
            if draw(BOOLEANS):
                member["order"] = draw(st.integers(1, 3))
    return aliases, groups


def _members(exact: dict[str, Target], head: str, vram_gb: float) -> list[str]:
    members: dict[int, str] = {}
    free = vram_gb
    for name in (head, *exact):
        model = exact[name][1]
        needed = model.get("vram_gb", 0)
        same_mode = model["mode"] == exact[head][1]["mode"]
        if same_mode and id(model) not in members and (needed <= free or not members):
            members[id(model)] = name
            free -= needed
    return list(members.values())


def _behind_groups(
    draw: DrawFn, groups: dict[str, Any], exact: dict[str, Target], enabled: list[str]
) -> None:
    """Let some groups fall back to names of their mode, whatever else these can do.

    Most often a group holds every model there is, so some leave out a few.
    """
    for group in groups.values():
        if draw(BOOLEANS):
            del group["members"][draw(st.integers(2, len(group["members"]))) :]
        before = [exact[member["route"]][1] for member in group["members"]]
        others: dict[int, str] = {}
        for name in enabled:
            model = exact[name][1]
            if model["mode"] == before[0]["mode"] and all(model is not each for each in before):
                others.setdefault(id(model), name)
        behind = draw(st.permutations(list(others.values())))[: draw(st.integers(0, len(others)))]
        if behind:
            group["fallbacks"] = behind


def _patterns(
    draw: DrawFn, providers: dict[str, Any], enabled: list[str], dead: set[str]
) -> list[dict[str, str]]:
    """Globs and regular expressions, none of which answers a name in ``dead`` by a route."""
    catalogues = []
    routed = []
    least = draw(st.sampled_from((0, 2)))
    for prefix in draw(st.lists(PREFIXES, min_size=least, max_size=3, unique=True)):
        if draw(BOOLEANS):
            provider = draw(st.sampled_from(list(providers)))
            catalogues.append({"match": f"{prefix}*", "provider": provider})
            if providers[provider]["status"] == "disabled":
                dead |= {prefix + model["name"] for model in providers[provider]["models"]}
        else:
            routed.append({"match": f"{prefix}*", "route": draw(st.sampled_from(enabled))})
    patterns = [
        *(each for each in routed if not _matches_one(each["match"], dead)),
        *catalogues,
    ]
    if draw(SELDOM):
        regex = draw(st.sampled_from(("ra|rb", "rc-[12]?", "rd-.*")))
        patterns.append({"regex": regex, "route": draw(st.sampled_from(enabled))})
    return patterns


def _matches_one(glob: str, names: set[str]) -> bool:
    return any(name.startswith(glob[:-1]) for name in names)


def _capabilities(draw: DrawFn, exact: dict[str, Target], taken: set[str]) -> dict[str, Any]:
    """Capabilities with every name that has them, in an order of their own."""
    capabilities = {}
    for capability in CAPABILITIES:
        able = [name for name, target in exact.items() if capability in target[1]["capabilities"]]
        if able and capability not in taken and draw(BOOLEANS):
            ranks = draw(st.permutations(range(1, len(able) + 1)))
            capabilities[capability] = [
                {"route": name, "priority": rank} for name, rank in zip(able, ranks, strict=True)
            ]
    return capabilities
