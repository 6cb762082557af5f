"""What holds for every pair of configurations."""

from __future__ import annotations

import copy
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.plan import Kind, Severity, behaviour, data, plan, render
from harness.gateway.plan.behaviour import match

if TYPE_CHECKING:
    from harness.gateway.plan.behaviour import Behaviour

Config = dict[str, Any]

# Few names and values, so that two drawings often agree in part.
WRITTEN = ("a", "b", "ollama/a", "w/*", "w/q-*", "x*y", "x*z")
ASKED = (*WRITTEN, "one", "two", "w/q-1", "xxy", "nobody", "a@0", "openai/m")
CANARY = "canary-8815"
MIRRORED = {
    Kind.NAME_ADDED: Kind.NAME_REMOVED,
    Kind.NAME_LISTED: Kind.NAME_UNLISTED,
    Kind.FALLBACK_ADDED: Kind.FALLBACK_REMOVED,
    Kind.DEPLOYMENT_ADDED: Kind.DEPLOYMENT_REMOVED,
}
MIRRORED |= {removed: added for added, removed in MIRRORED.items()}
OPPOSITE = {Severity.BREAKING: Severity.ADDITION, Severity.ADDITION: Severity.BREAKING}

maybe = st.none()
deployments = st.fixed_dictionaries(
    {"model": st.sampled_from(["openai/m", "openai/*", "ollama_chat/n"])},
    optional={
        "api_base": st.sampled_from(["http://one:1", f"http://u:{CANARY}@two:2"]),
        "api_key": st.sampled_from(["os.environ/KEY", CANARY, f"other-{CANARY}"]),
        "timeout": st.sampled_from([20, 30.0]),
        "stream_timeout": maybe | st.just(10),
        "order": st.sampled_from([1, 2]),
        "weight": st.sampled_from([0, 1, 2, 4]),
        "rpm": st.sampled_from([1, 5]),
        "extra_headers": st.just({"X-Whatever": CANARY}),
    },
)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    names = draw(st.lists(st.sampled_from(WRITTEN), unique=True, max_size=5))
    model_list = []
    for name in names:
        for number, params in enumerate(draw(st.lists(deployments, min_size=1, max_size=3))):
            info = {"id": f"{name}@{number}"} if draw(st.booleans()) else {}
            mode = draw(st.sampled_from(["chat", "embedding"]))
            entry = {"model_name": name, "litellm_params": params}
            model_list.append({**entry, "model_info": {**info, "mode": mode}})
    chains = st.dictionaries(
        st.sampled_from((*ASKED, "*")),
        st.lists(st.sampled_from(ASKED), min_size=1, max_size=4),
        max_size=4,
    ).map(lambda chains: [{source: targets} for source, targets in chains.items()])
    alias = st.sampled_from(ASKED) | st.fixed_dictionaries(
        {"model": st.sampled_from(ASKED), "hidden": st.booleans()}
    )
    router = st.fixed_dictionaries(
        {},
        optional={
            "fallbacks": chains,
            "context_window_fallbacks": chains,
            "content_policy_fallbacks": chains,
            "default_fallbacks": st.lists(st.sampled_from(ASKED), min_size=1, max_size=2),
            "model_group_alias": st.dictionaries(st.sampled_from(("one", "two", "b")), alias),
            "num_retries": st.sampled_from([0, 1]),
            "timeout": st.sampled_from([20, 40]),
            "stream_timeout": st.just(5),
            "allowed_fails": st.sampled_from([0, False, 1]),
            "max_fallbacks": st.sampled_from([1, 5]),
            "routing_strategy": st.sampled_from(["simple-shuffle", "least-busy"]),
            "redis_password": st.just(CANARY),
        },
    )
    other = st.fixed_dictionaries(
        {},
        optional={
            "callbacks": st.lists(st.sampled_from(["prometheus", "otel"]), unique=True),
            "cache": st.booleans(),
            "cache_params": st.fixed_dictionaries(
                {"ttl": st.just(60), "password": st.just(CANARY)}
            ),
            "max_budget": maybe | st.just(5),
        },
    )
    return {
        "model_list": model_list,
        "router_settings": draw(router),
        "litellm_settings": draw(other),
        "general_settings": {"master_key": draw(st.sampled_from([CANARY, "os.environ/KEY"]))},
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Config, Config]:
    """Two configurations, most often one and an edit of it."""
    before, other = draw(configs()), draw(configs())
    after = copy.deepcopy(before)
    for section in draw(st.sets(st.sampled_from(sorted(other)))):
        after[section] = other[section]
    for key in draw(st.sets(st.sampled_from(sorted(other["router_settings"]) or ["x"]))):
        after["router_settings"][key] = other["router_settings"].get(key)
    return before, after


def resolved(before: Config, after: Config) -> tuple[Behaviour, Behaviour]:
    """Both sides, resolved for the names of either."""
    names = [*behaviour(before).routes, *behaviour(after).routes]
    return behaviour(before, names), behaviour(after, names)


@given(configs())
def test_a_configuration_does_not_differ_from_itself(config: Config) -> None:
    assert not plan(config, copy.deepcopy(config))


@given(pairs())
def test_a_plan_is_empty_exactly_where_the_behaviour_is_equal(pair: tuple[Config, Config]) -> None:
    before, after = resolved(*pair)
    assert (not plan(*pair)) is (before == after)


@given(pairs())
def test_every_name_whose_tries_differ_is_mentioned(pair: tuple[Config, Config]) -> None:
    before, after = resolved(*pair)
    differ = {
        name
        for name in {**before.routes, **after.routes}
        if before.routes.get(name) != after.routes.get(name)
    }
    assert differ <= plan(*pair).names


@given(pairs())
def test_the_opposite_plan_mirrors_what_comes_and_what_goes(pair: tuple[Config, Config]) -> None:
    before, after = pair
    there, back = plan(before, after), plan(after, before)
    assert Counter((c.kind, c.subject, c.severity) for c in there.changes) == Counter(
        (MIRRORED.get(c.kind, c.kind), c.subject, OPPOSITE.get(c.severity, c.severity))
        for c in back.changes
    )
    assert there.names == back.names


@given(pairs())
def test_no_secret_is_in_any_output(pair: tuple[Config, Config]) -> None:
    for found in (plan(*pair), plan(None, pair[1])):
        assert CANARY not in f"{found!r}{render(found)}{data(found)}"


@given(pairs())
def test_a_plan_says_the_same_twice(pair: tuple[Config, Config]) -> None:
    assert plan(*pair) == plan(*pair)


@given(configs(), st.randoms(use_true_random=False))
def test_what_no_request_can_notice_is_no_change(config: Config, random: Any) -> None:
    rewritten = copy.deepcopy(config)
    # The order of groups and of deployments in one; that of patterns may decide, so it stays.
    plain = [entry for entry in rewritten["model_list"] if "*" not in entry["model_name"]]
    random.shuffle(plain)
    patterns = [entry for entry in rewritten["model_list"] if "*" in entry["model_name"]]
    rewritten["model_list"] = plain + patterns
    for entry in rewritten["model_list"]:
        entry["litellm_params"] = _shuffled(entry["litellm_params"], random)
        if "weight" in entry["litellm_params"]:
            entry["litellm_params"]["weight"] *= 3
    rewritten["router_settings"].setdefault("routing_strategy", "simple-shuffle")
    rewritten["router_settings"]["enable_pre_call_checks"] = False
    if "callbacks" in rewritten["litellm_settings"]:
        random.shuffle(rewritten["litellm_settings"]["callbacks"])
    assert plan(config, _shuffled(rewritten, random)).changes == ()


def _shuffled(mapping: dict[str, Any], random: Any) -> dict[str, Any]:
    keys = list(mapping)
    random.shuffle(keys)
    return {key: mapping[key] for key in keys}


@given(configs())
def test_the_way_from_nothing_adds_and_the_way_back_removes_every_name(config: Config) -> None:
    names = set(behaviour(config).routes)
    there, back = plan(None, config), plan(config, {})
    assert {c.subject for c in there.changes if c.kind is Kind.NAME_ADDED} == names
    assert {c.subject for c in back.changes if c.kind is Kind.NAME_REMOVED} == names


@given(st.text("ab*", max_size=6).filter(lambda text: "*" in text), st.text("ab", max_size=8))
def test_patterns_match_as_the_regular_expression_of_litellm(pattern: str, name: str) -> None:
    found = re.match(re.escape(pattern).replace(r"\*", "(.*)"), name)
    assert match(pattern, name) == (None if found is None else list(found.groups()))
