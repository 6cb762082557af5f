"""Our resolver against the real ``litellm.Router``: the same deployments, in the same order.

First every question to one small set of sources, ``showcase.yaml``: each name, while each set of
its providers is dead, with a short prompt and with longer ones. It is so made that each defect of
a resolver changes some answer, and each rule of LiteLLM's own decides one. Then 300 generated
cases; ``HARNESS_DIFFERENTIAL_CASES=10000`` asks for more. A case is a name asked of a registry
while some of its providers are dead. What LiteLLM does beyond the sources is written down below,
one function a rule, and explained in docs/invariants.md.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from itertools import combinations, count, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from harness import strategies
from harness.gateway.litellm_config import compile_config
from harness.registry import examine
from harness.registry.examples import sources
from harness.routing import Refusal, Route, Rule, listed, resolve
from harness.routing.narrow import narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.registry import Registry

    Ask = Callable[..., dict[str, Any]]
    Question = tuple[str, frozenset[str], int, int]
    Resolver = Callable[[Registry, str], Route | Refusal]

CASES = int(os.environ.get("HARNESS_DIFFERENTIAL_CASES", "300"))
SHOWCASE = Path(__file__).with_name("showcase.yaml")
STATUSES = (400, 401, 404, 408, 429, 500, 503)
TOKENS = (1, 1, 1, 3000, 6000, 20_000)
"""Between the context lengths of the generated models, so that a few more make no difference."""
STRANGERS = ("gpt-4o", "gpt-4", "o3", "claude-3-opus", "None", "nobody")
"""Names LiteLLM knows, or makes up, though no source holds them."""


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

    def __str__(self) -> str:
        config = {key: self.config[key] for key in ("model_list", "router_settings")}
        routed = self.answer(resolve)
        return (
            f"{self!r}"
            f"\n  LiteLLM tried {self.tried}, {self.error or 'answered'}"
            f"\n  we expect one of {sorted(predictions(routed, self.dead))}"
            f"\n  by {'; '.join(routed.steps)}"
            f"\n  from {json.dumps(config)}"
        )

    def __repr__(self) -> str:
        return f"{self.name!r} with {self.tokens} tokens while {sorted(self.dead)} are dead"

    def answer(self, resolver: Resolver) -> Route | Refusal:
        """What a resolver of ours says."""
        found = resolver(self.registry, self.name)
        return narrow(found, context=self.tokens) if isinstance(found, Route) else found


# What is asked


@st.composite
def questions(draw: st.DrawFn, registry: Registry, config: dict[str, Any]) -> Question:
    """A name, the providers that are dead, the status they fail with, the tokens of the prompt."""
    others = strategies.names(registry) | st.sampled_from(tempting(registry, config))
    known = st.sampled_from(listed(registry))  # they are what matters most
    name = draw(known if draw(st.integers(0, 3)) else others)
    found = resolve(registry, name)
    in_turn = found.providers if isinstance(found, Route) else ()
    first_ones = st.integers(0, len(in_turn)).map(lambda number: frozenset(in_turn[:number]))
    down = draw(first_ones | first_ones | strategies.fault_sets(registry))
    return name, down, draw(st.sampled_from(STATUSES)), draw(st.sampled_from(TOKENS))


def tempting(registry: Registry, config: dict[str, Any]) -> list[str]:
    """Names no source holds, which LiteLLM answers all the same, or may."""
    entries = config["model_list"]
    return [
        *STRANGERS,
        *(entry["model_info"]["id"] for entry in entries),
        *(entry["litellm_params"]["model"] for entry in entries),
        *(f"openai/{name}" for name in listed(registry)),
    ]


def all_questions(registry: Registry, config: dict[str, Any]) -> Iterator[Question]:
    """Every name, with every set of providers dead, with every length of prompt."""
    prefixes = [each.match[:-1] for each in registry.routes.patterns if each.match]
    names = dict.fromkeys(
        [*listed(registry), *(f"{each}zz" for each in prefixes), *tempting(registry, config)]
    )
    enabled = registry.enabled_providers()
    down = [each for size in range(len(enabled) + 1) for each in combinations(enabled, size)]
    for name, dead, tokens in product(names, down, sorted({*TOKENS})):
        yield name, frozenset(dead), 500, tokens


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


def answered(
    ask: Ask, registry: Registry, config: dict[str, Any], asked: list[Question]
) -> list[Case]:
    """The questions, with what the Router did."""
    dead = [dead_deployments(registry, config, down) for _, down, _, _ in asked]
    lines = [
        {"name": name, "dead": dict.fromkeys(sorted(each), status), "tokens": tokens}
        for (name, _, status, tokens), each in zip(asked, dead, strict=True)
    ]
    answer = ask(config, lines)
    return [
        Case(
            registry=registry,
            config=config,
            name=line["name"],
            dead=frozenset(each),
            tokens=line["tokens"],
            tried=tuple(once["tried"]),
            error=once["error"],
            inferred=inferred,
        )
        for line, each, (once,), inferred in zip(
            lines, dead, answer["answers"], answer["inferred"], strict=True
        )
    ]


@st.composite
def cases(draw: st.DrawFn, ask: Ask) -> list[Case]:
    """A few questions to one registry, answered by the Router."""
    registry = draw(strategies.registries())
    config = compile_config(registry)
    asked = draw(st.lists(questions(registry, config), min_size=4, max_size=8))
    return answered(ask, registry, config, asked)


@pytest.fixture(scope="module")
def showcase(router: Ask) -> list[Case]:
    """Every question to the showcase."""
    registry, findings = examine(sources(SHOWCASE.read_text()))
    assert registry is not None, findings
    config = compile_config(registry)
    return answered(router, registry, config, list(all_questions(registry, config)))


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
            # What has been tried is not tried again.
            after = [name for name in lists[lender] if name in groups and name != case.name]
            rest = [groups[name] for name in after]
            orders |= {until_alive([*head, *rest], case.dead) for head in heads}
    return orders


def emptied_first_level_asks_the_next_one_twice(case: Case) -> set[tuple[str, ...]]:
    """L5: if no member of the first level takes the prompt, the lowest that has one is asked twice.

    Once in place of the first level, and again when its own turn comes.
    """
    found = resolve(case.registry, case.name)
    if isinstance(found, Refusal) or len(found.own) == 1:
        return set()
    tiers = [
        [each.id for each in tier.deployments if each.context_length >= case.tokens]
        for tier in found.tiers
    ]
    if tiers[0] or not any(tiers[: len(found.own)]):
        return set()
    left = [tier for tier in tiers if tier]
    return paths([left[0], *left], case.dead)


BEYOND_THE_SOURCES = (
    deployment_ids_are_names,
    emptied_first_level_asks_the_next_one_twice,
    upstream_names_are_names,
    guessed_provider_is_prefixed,
    fallbacks_of_a_name_with_and_without_provider,
)

# The comparison


def refuse_disagreement(compared: list[Case]) -> None:
    """Fail with the first case in which the two differ."""
    wrong = [case for case in compared if not agrees(case)]
    if wrong:
        pytest.fail(f"The Router and the resolver disagree:\n{wrong[0]}", pytrace=False)


def collect(ask: Ask, wanted: int) -> Iterator[Case]:
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
        @given(cases(ask))
        def compare(drawn: list[Case]) -> None:
            found.extend(drawn)  # noqa: B023  called before the loop goes on
            refuse_disagreement(drawn)

        compare()
        for case in found:
            key = (case.registry.sha256, case.name, case.dead, case.tokens)
            if key not in known:
                known.add(key)
                yield case
        if len(known) >= wanted:
            return


@pytest.fixture(scope="module")
def generated(router: Ask) -> list[Case]:
    """Generated cases, each of which has been compared."""
    return list(collect(router, CASES))


def test_the_router_tries_what_we_predict_in_the_order_we_predict(generated: list[Case]) -> None:
    assert len(generated) >= CASES


def test_every_answer_to_the_showcase_is_the_predicted_one(showcase: list[Case]) -> None:
    refuse_disagreement(showcase)


def test_every_kind_of_route_is_in_the_showcase(showcase: list[Case]) -> None:
    kinds = {
        found.rule.value if isinstance(found, Route) else "refused"
        for case in showcase
        for found in [resolve(case.registry, case.name)]
    }
    assert kinds == {*(rule.value for rule in Rule), "refused"}
    assert any(len(case.tried) > 2 for case in showcase), "no fallback of a fallback was seen"


# The comparison can fail: each of these resolvers has one defect.


def _routed(found: Route | Refusal, **changes: Any) -> Route | Refusal:
    return replace(found, **changes) if isinstance(found, Route) else found


def backwards(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    tiers = found.tiers if isinstance(found, Route) else ()
    return _routed(found, tiers=(*tiers[:1], *reversed(tiers[1:])))


def groups_end_with_their_members(registry: Registry, name: str) -> Route | Refusal:
    found = resolve(registry, name)
    if not isinstance(found, Route) or name not in registry.load_balancing:
        return found
    behind = registry.load_balancing[name].fallbacks
    return _routed(found, tiers=tuple(t for t in found.tiers if t.group not in behind))


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
    groups_end_with_their_members,
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
    showcase: list[Case], defective: Callable[[Registry, str], Route | Refusal]
) -> None:
    assert any(not agrees(case, defective) for case in showcase)


@pytest.mark.parametrize("rule", BEYOND_THE_SOURCES)
def test_what_litellm_does_beyond_the_sources_is_still_so(
    showcase: list[Case], rule: Callable[[Case], set[tuple[str, ...]]]
) -> None:
    """A rule no case needs is a rule LiteLLM has dropped: then it goes from the list."""
    assert any(
        case.tried in rule(case) and case.tried not in predictions(case.answer(resolve), case.dead)
        for case in showcase
    )
