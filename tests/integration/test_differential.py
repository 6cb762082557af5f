"""Our resolver against the real ``litellm.Router``: the same deployments, in the same order.

300 generated cases by default; ``HARNESS_DIFFERENTIAL_CASES=10000`` asks for more. A case is a
name asked of a generated registry while some of its providers are dead. What LiteLLM does beyond
the sources is written down below, one function a rule, and explained in docs/invariants.md.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from harness import strategies
from harness.gateway import environment
from harness.gateway.litellm_config import compile_config
from harness.registry import examine
from harness.registry.examples import sources
from harness.routing import Refusal, Route, Rule, listed, resolve
from harness.routing.narrow import narrow
from harness.statistics import chi_square_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.registry import Registry

    Resolver = Callable[[Registry, str], Route | Refusal]

CASES = int(os.environ.get("HARNESS_DIFFERENTIAL_CASES", "300"))
ORACLE = Path(__file__).with_name("router_oracle.py")
STATUSES = (400, 401, 404, 408, 429, 500, 503)
TOKENS = (1, 1, 1, 3000, 6000, 20_000)
"""Between the context lengths of the generated models, so that a few more make no difference."""
STRANGERS = ("gpt-4o", "gpt-4", "o3", "claude-3-opus", "None", "nobody")
"""Names LiteLLM knows, or makes up, though no source holds them."""

MOST = max(CASES, 5000)
"""So many are looked through for a rare kind."""

PICKS = 600

LIMITS = {"rpm", "tpm", "max_parallel_requests", "optional_pre_call_checks"}
INDEPENDENT = {"num_retries": 0, "disable_cooldowns": True, "max_fallbacks": 1}
"""Without limits, retries and cooldowns no case depends on the one before."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question to both sides, and what the Router did with it."""

    registry: Registry
    config: dict[str, Any]
    name: str
    dead: frozenset[str]
    tokens: int
    tried: tuple[str, ...]
    error: str
    inferred: str | None

    def __repr__(self) -> str:
        config = {key: self.config[key] for key in ("model_list", "router_settings")}
        routed = self.answer(resolve)
        return (
            f"\n{self.name!r} with {self.tokens} tokens while {sorted(self.dead)} are dead"
            f"\n  LiteLLM tried {self.tried}, {self.error or 'answered'}"
            f"\n  we expect one of {sorted(predictions(routed, self.dead))}"
            f"\n  by {'; '.join(routed.steps)}"
            f"\n  from {json.dumps(config)}"
        )

    def answer(self, resolver: Resolver) -> Route | Refusal:
        """What a resolver of ours says."""
        found = resolver(self.registry, self.name)
        return narrow(found, context=self.tokens) if isinstance(found, Route) else found


class Oracle:
    """The Router in its own interpreter."""

    def __init__(self) -> None:
        python = environment.location() / "bin" / "python"
        self._process = subprocess.Popen(
            [python, ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(
        self, config: dict[str, Any], questions: list[dict[str, Any]], **settings: Any
    ) -> dict[str, Any]:
        """The answers to ``questions``; ``settings`` go before those of the configuration."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = {
            "model_list": [
                {**entry, "litellm_params": without(entry["litellm_params"], LIMITS)}
                for entry in config["model_list"]
            ],
            "router_settings": without(config["router_settings"], LIMITS) | INDEPENDENT | settings,
            "ask": questions,
        }
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


def without(table: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """The real Router, stopped at the end of the module."""
    running = Oracle()
    yield running
    running.close()


# What is asked


@st.composite
def questions(
    draw: st.DrawFn, registry: Registry, config: dict[str, Any]
) -> tuple[str, frozenset[str], int, int]:
    """A name, the providers that are dead, the status they fail with, the tokens of the prompt."""
    entries = config["model_list"]
    tempting = [
        *STRANGERS,
        *(entry["model_info"]["id"] for entry in entries),
        *(entry["litellm_params"]["model"] for entry in entries),
        *(f"openai/{name}" for name in listed(registry)),
    ]
    known = st.sampled_from(listed(registry))  # a case each, for they are what matters most
    name = draw(known | known | strategies.names(registry) | st.sampled_from(tempting))
    down, status = draw(strategies.fault_sets(registry)), draw(st.sampled_from(STATUSES))
    return name, down, status, draw(st.sampled_from(TOKENS))


def dead_deployments(registry: Registry, config: dict[str, Any], down: frozenset[str]) -> set[str]:
    """Deployments that cannot answer: their provider is dead, or their model is not loaded."""
    groups = {entry["model_name"] for entry in config["model_list"]}
    routes = [found for name in groups if isinstance(found := resolve(registry, name), Route)]
    return {
        deployment.id
        for route in routes
        for deployment in route
        if deployment.provider in down or not deployment.resident
    }


@st.composite
def cases(draw: st.DrawFn, oracle: Oracle) -> list[Case]:
    """A few questions to one registry, answered by the Router."""
    registry = draw(strategies.registries())
    config = compile_config(registry)
    asked = draw(st.lists(questions(registry, config), min_size=4, max_size=8))
    dead = [dead_deployments(registry, config, down) for _, down, _, _ in asked]
    lines = [
        {"name": name, "dead": dict.fromkeys(sorted(each), status), "tokens": tokens}
        for (name, _, status, tokens), each in zip(asked, dead, strict=True)
    ]
    answer = oracle.ask(config, lines)
    return [
        Case(
            registry=registry,
            config=config,
            name=line["name"],
            dead=frozenset(each),
            tokens=line["tokens"],
            tried=tuple(answered[0]["tried"]),
            error=answered[0]["error"],
            inferred=inferred,
        )
        for line, each, answered, inferred in zip(
            lines, dead, answer["answers"], answer["inferred"], strict=True
        )
    ]


# What is expected


def predictions(found: Route | Refusal, dead: frozenset[str]) -> set[tuple[str, ...]]:
    """Every order of attempts the route allows: at each tier one of its deployments is picked."""
    tiers = () if isinstance(found, Refusal) else found.tiers
    return paths([[each.id for each in tier.deployments] for tier in tiers], dead)


def paths(tiers: list[list[str]], dead: frozenset[str]) -> set[tuple[str, ...]]:
    """Every way through the tiers, one deployment each, up to the first that is answered."""
    orders: set[tuple[str, ...]] = {()}
    for tier in tiers:
        orders = {
            longer
            for order in orders
            for longer in (
                [order] if order and order[-1] not in dead else [(*order, each) for each in tier]
            )
        }
    return orders


def until_alive(order: list[str], dead: frozenset[str]) -> tuple[str, ...]:
    """The attempts up to the first that is answered."""
    alive = next((number for number, each in enumerate(order) if each not in dead), len(order))
    return tuple(order[: alive + 1])


def agrees(case: Case, resolver: Resolver = resolve) -> bool:
    """Whether the Router did what we predict, or what a rule of its own says."""
    return case.tried in predictions(case.answer(resolver), case.dead) or any(
        case.tried in rule(case) for rule in BEYOND_THE_SOURCES
    )


def long_enough(case: Case) -> dict[str, dict[str, Any]]:
    """The deployments that take a prompt of this length, by id."""
    return {
        entry["model_info"]["id"]: entry
        for entry in case.config["model_list"]
        if entry["model_info"]["max_input_tokens"] >= case.tokens
    }


# What LiteLLM does beyond the sources. Each function gives the orders its rule allows.


def deployment_ids_are_names(case: Case) -> set[tuple[str, ...]]:
    """L1: a deployment can be asked for by its id, before any pattern."""
    ids = {entry["model_info"]["id"] for entry in case.config["model_list"]}
    return {(case.name,)} if case.name in ids else set()


def upstream_names_are_names(case: Case) -> set[tuple[str, ...]]:
    """L2: so can every deployment whose ``litellm_params.model`` is the name, if all else fails."""
    if not isinstance(resolve(case.registry, case.name), Refusal):
        return set()
    return {
        (id_,)
        for id_, entry in long_enough(case).items()
        if entry["litellm_params"]["model"] == case.name
    }


def guessed_provider_is_prefixed(case: Case) -> set[tuple[str, ...]]:
    """L3: wildcards are tried again with the provider LiteLLM guesses, or with ``None/``."""
    if not isinstance(resolve(case.registry, case.name), Refusal):
        return set()
    guess = f"{case.inferred}/{case.name}"
    groups = {
        entry["model_name"]: id_
        for id_, entry in long_enough(case).items()
        if entry["model_name"].endswith("*") and guess.startswith(entry["model_name"][:-1])
    }
    return {(groups[max(groups, key=len)],)} if groups else set()


def fallbacks_of_a_name_with_and_without_provider(case: Case) -> set[tuple[str, ...]]:
    """L4: without fallbacks ``openai/x`` takes those of ``x``, and ``gpt-4`` ``openai/gpt-4``'s."""
    settings_ = case.config["router_settings"]
    bare, prefixed = case.name.partition("/")[2], f"{case.inferred}/{case.name}"
    heads = predictions(case.answer(resolve), case.dead).union(
        *(rule(case) for rule in BEYOND_THE_SOURCES[:-1])
    )
    groups = {entry["model_name"]: id_ for id_, entry in long_enough(case).items()}
    orders = set()
    for kind in ("fallbacks", "context_window_fallbacks"):
        lists = {name: after for each in settings_.get(kind, []) for name, after in each.items()}
        lender = next((name for name in (bare, prefixed) if name in lists), None)
        if case.name not in lists and lender is not None:
            rest = [groups[name] for name in lists[lender] if name in groups]
            orders |= {until_alive([*head, *rest], case.dead) for head in heads}
    return orders


def emptied_level_asks_the_first_one_left(case: Case) -> set[tuple[str, ...]]:
    """L5: a level of which no member takes the prompt is replaced by the lowest that has one."""
    found = resolve(case.registry, case.name)
    if isinstance(found, Refusal) or len(found.own) == 1:
        return set()
    levels = [
        [each.id for each in tier.deployments if each.context_length >= case.tokens]
        for tier in found.own
    ]
    lowest = next(filter(None, levels), None)
    if lowest is None:
        return set()
    rest = [
        [each.id for each in tier.deployments]
        for tier in found.tiers[len(found.own) :]
        if tier.deployments[0].context_length >= case.tokens
    ]
    return paths([lowest, *(level or lowest for level in levels[1:]), *rest], case.dead)


BEYOND_THE_SOURCES = (
    deployment_ids_are_names,
    emptied_level_asks_the_first_one_left,
    upstream_names_are_names,
    guessed_provider_is_prefixed,
    fallbacks_of_a_name_with_and_without_provider,
)

# The comparison


def collect(oracle: Oracle, wanted: int) -> Iterator[Case]:
    """Distinct cases, at least as many as wanted, the same ones every time.

    A disagreement is shrunk by hypothesis and raised here.
    """
    known: set[tuple[str, str, frozenset[str], int]] = set()
    for number in count():
        found: list[Case] = []

        @seed(number)
        @settings(
            max_examples=100,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(cases(oracle))
        def compare(answered: list[Case]) -> None:
            found.extend(answered)  # noqa: B023  called before the loop goes on
            wrong = [case for case in answered if not agrees(case)]
            if wrong:
                pytest.fail(f"The Router and the resolver disagree:{wrong[0]!r}", pytrace=False)

        compare()
        for case in found:
            key = (case.registry.sha256, case.name, case.dead, case.tokens)
            if key not in known:
                known.add(key)
                yield case
        if len(known) >= wanted:
            return


class Supply:
    """Cases as they are needed: those of this run first, more where a rare kind is looked for."""

    def __init__(self, oracle: Oracle) -> None:
        self._coming = collect(oracle, MOST)
        self._taken: list[Case] = []

    def take(self, wanted: int) -> list[Case]:
        """The first cases, that many or a few more."""
        while len(self._taken) < wanted:
            self._taken.append(next(self._coming))
        return self._taken

    def holds(self, wanted: Callable[[Case], bool]) -> bool:
        """Whether some case is as wanted, among all that can be had."""
        if any(wanted(case) for case in self._taken):
            return True
        for case in self._coming:
            self._taken.append(case)
            if wanted(case):
                return True
        return False


@pytest.fixture(scope="module")
def supply(oracle: Oracle) -> Supply:
    """Cases, each of which has been compared."""
    return Supply(oracle)


def test_the_router_tries_what_we_predict_in_the_order_we_predict(supply: Supply) -> None:
    assert len(supply.take(CASES)) >= CASES


def test_every_kind_of_route_is_among_the_cases(supply: Supply) -> None:
    collected = supply.take(CASES)
    kinds = Counter(
        found.rule.value if isinstance(found, Route) else "refused"
        for case in collected
        for found in [resolve(case.registry, case.name)]
    )
    assert set(kinds) == {*(rule.value for rule in Rule), "refused"}
    assert any(len(case.tried) > 2 for case in collected), "no fallback of a fallback was seen"


# The comparison can fail: each of these resolvers has one defect.


def _routed(found: Route | Refusal, **changes: Any) -> Route | Refusal:
    return replace(found, **changes) if isinstance(found, Route) else found


def backwards(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    tiers = found.tiers if isinstance(found, Route) else ()
    return _routed(found, tiers=(*tiers[:1], *reversed(tiers[1:])))


def one_step_short(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    return _routed(found, tiers=found.tiers[:2]) if isinstance(found, Route) else found


def no_fallbacks(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    return _routed(found, tiers=found.tiers[:1]) if isinstance(found, Route) else found


def blind_to_aliases(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    if isinstance(found, Route) and found.rule is Rule.ALIAS:
        return Refusal(name=name, steps=())
    return found


def alias_without_chain(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    if isinstance(found, Route) and found.rule is Rule.ALIAS:
        return _routed(found, tiers=found.tiers[:1])
    return found


def _open_routes(registry: Registry, name: str) -> list[str]:
    """The wildcards that match ``name``, the shortest first."""
    globs = [each.match for each in registry.routes.patterns if each.match and each.route]
    return sorted((glob for glob in globs if name.startswith(glob[:-1])), key=len)


def patterns_first(registry: Registry, name: str) -> Route | Refusal:
    return resolve(registry, (*_open_routes(registry, name), name)[0])


def shortest_pattern_wins(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    if isinstance(found, Route) and found.rule is Rule.PATTERN:
        return resolve(registry, (*_open_routes(registry, name), name)[0])
    return found


def one_member_only(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    if not isinstance(found, Route) or len(found.tiers[0].deployments) == 1:
        return found
    head = replace(found.tiers[0], deployments=found.tiers[0].deployments[:1])
    return replace(found, tiers=(head, *found.tiers[1:]))


def answers_everything(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    return resolve(registry, listed(registry)[0]) if isinstance(found, Refusal) else found


DEFECTS: list[Callable[[Registry, str], Route | Refusal]] = [
    backwards,
    one_step_short,
    no_fallbacks,
    blind_to_aliases,
    alias_without_chain,
    patterns_first,
    shortest_pattern_wins,
    one_member_only,
    answers_everything,
]


@pytest.mark.parametrize("defective", DEFECTS)
def test_a_defective_resolver_is_caught(
    supply: Supply, defective: Callable[[Registry, str], Route | Refusal]
) -> None:
    assert supply.holds(lambda case: not agrees(case, defective))


@pytest.mark.parametrize("rule", BEYOND_THE_SOURCES)
def test_what_litellm_does_beyond_the_sources_is_still_so(
    supply: Supply, rule: Callable[[Case], set[tuple[str, ...]]]
) -> None:
    """A rule no case needs is a rule LiteLLM has dropped: then it goes from the list."""
    assert supply.holds(
        lambda case: (
            case.tried in rule(case)
            and case.tried not in predictions(case.answer(resolve), case.dead)
        )
    )


# Weights, and the depth of fallbacks


def weighted_group(weights: tuple[int, ...]) -> Registry:
    """A group of as many providers as weights, the first of which has a chain of its own."""
    example: dict[str, Any] = {
        "providers.yaml": {"providers": {}},
        "model-mappings.yaml": {
            "public_models": ["group"],
            "routes": {"exact": {}},
            "load_balancing": {"group": {"strategy": "weighted", "members": []}},
        },
        "ports.yaml": {"services": {}},
    }
    for number, weight in enumerate(weights):
        name = f"p{number}"
        example["ports.yaml"]["services"][name] = {
            "port": 9000 + number,
            "protocol": "http",
            "owner": name,
        }
        example["providers.yaml"]["providers"][name] = {
            "type": "ollama",
            "port": name,
            "status": "active",
            "health": {"path": "/", "timeout_s": 2},
            "models": [
                {
                    "name": "m",
                    "served_as": "m",
                    "context_length": 4096,
                    "capabilities": ["chat"],
                    "mode": "chat",
                    "residency": "always",
                }
            ],
        }
        mappings = example["model-mappings.yaml"]
        mappings["routes"]["exact"][f"m{number}"] = {"provider": name, "model": "m"}
        member = {"route": f"m{number}", "weight": weight}
        mappings["load_balancing"]["group"]["members"].append(member)
    registry, findings = examine(sources(yaml.safe_dump(example)))
    assert registry is not None, findings
    return registry


def tail(counts: Counter[str], weights: dict[str, int]) -> float:
    """The chance of counts at least this uneven, were the weights in force (Pearson)."""
    total, share = sum(counts.values()), sum(weights.values())
    statistic = sum(
        (counts[name] - total * weight / share) ** 2 / (total * weight / share)
        for name, weight in weights.items()
    )
    return chi_square_tail(statistic, len(weights) - 1)


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 2, 3), (5, 1, 1, 3)])
def test_members_share_requests_by_weight(oracle: Oracle, weights: tuple[int, ...]) -> None:
    registry = weighted_group(weights)
    route = resolve(registry, "group")
    assert isinstance(route, Route)
    stated = {each.id: each.weight for each in route.tiers[0].deployments}
    question = {"name": "group", "times": PICKS}
    (picks,) = oracle.ask(compile_config(registry), [question])["answers"]
    counts = Counter(pick["by"] for pick in picks)
    assert set(counts) == set(stated)
    assert tail(counts, stated) > 1e-4
    others = dict(zip(stated, (*weights[1:], weights[0] + 1), strict=True))
    assert tail(counts, others) < 1e-6, "so few picks cannot tell weights apart"


def test_without_a_depth_limit_the_fallbacks_of_a_fallback_are_tried_too(oracle: Oracle) -> None:
    """Why ``max_fallbacks`` is 1: it bounds the depth, and a chain of the sources is flat."""
    registry = weighted_group((1, 1, 1, 1))
    config = compile_config(registry)
    config["router_settings"]["fallbacks"] = [{"m0": ["m1", "m2"]}, {"m1": ["m3"]}]
    question = {"name": "m0", "dead": dict.fromkeys(("m0@p0", "m1@p1", "m3@p3"), 500)}
    (flat,) = oracle.ask(config, [question])["answers"]
    (deep,) = oracle.ask(config, [question], max_fallbacks=5)["answers"]
    assert flat[0]["tried"] == ["m0@p0", "m1@p1", "m2@p2"]
    assert deep[0]["tried"] == ["m0@p0", "m1@p1", "m3@p3", "m2@p2"]
