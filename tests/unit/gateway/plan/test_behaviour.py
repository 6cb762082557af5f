"""Names resolved as LiteLLM does; tests/integration/test_plan_router.py asks LiteLLM itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.plan import behaviour

if TYPE_CHECKING:
    from collections.abc import Callable

Config = dict[str, Any]


def tried(config: Config, name: str, chain: str = "tries") -> list[str]:
    """The names asked one after the other while nothing answers ``name``."""
    return [hop.asked for hop in getattr(behaviour(config, [name]).routes[name], chain)]


def head(config: Config, name: str) -> tuple[str, list[str | None]]:
    """Where ``name`` leads first: the group and the ids of its deployments."""
    first = behaviour(config, [name]).routes[name].tries[0]
    return first.target, [entry.id for entry in first.entries]


@pytest.fixture
def groups(entry: Callable[..., Config], config: Callable[..., Config]) -> Callable[..., Config]:
    """Makes a configuration of plain groups, given their names and router settings."""

    def make(*names: str, **router: Any) -> Config:
        return config(*map(entry, names), **router)

    return make


def test_a_name_nobody_knows_is_refused(groups: Callable[..., Config]) -> None:
    config = groups("a", default_fallbacks=["a"])
    assert "b" not in behaviour(config, ["b"]).routes


def test_an_alias_is_one_hop_and_its_fallbacks_are_its_own(groups: Callable[..., Config]) -> None:
    config = groups(
        "a", "b", model_group_alias={"x": "y", "y": "a", "z": "x"}, fallbacks=[{"a": ["b"]}]
    )
    assert tried(config, "a") == ["a", "b"]
    assert tried(config, "y") == ["y"]
    assert "z" not in behaviour(config).routes


def test_the_longest_pattern_is_asked(groups: Callable[..., Config]) -> None:
    config = groups("w/*", "w/q-*", "*")
    assert head(config, "w/q-1")[0] == "w/q-*"
    assert head(config, "w/1")[0] == "w/*"
    assert head(config, "1")[0] == "*"


def test_a_pattern_fills_its_star_into_the_upstream_model(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    made = config(entry("w/*-x*", model="openai/*/*"), entry("v/*-*", model="openai/*"))
    assert behaviour(made, ["w/a-xb"]).routes["w/a-xb"].tries[0].entries[0]["model"] == "openai/a/b"
    assert behaviour(made, ["v/a-b"]).routes["v/a-b"].tries[0].entries[0]["model"] == "v/a-b"


def test_an_id_is_a_name_unless_a_group_is_called_that(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    made = config(entry("a", identity="b"), entry("a", identity="c"), entry("b", identity="d"))
    assert head(made, "c") == ("a", ["c"])
    assert head(made, "b") == ("b", ["d"])


def test_an_upstream_model_is_a_name_of_all_its_deployments(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    made = config(entry("a", order=1), entry("b", order=1), entry("c", order=2))
    assert head(made, "openai/m") == ("openai/m", ["a@one", "b@one"])


def test_a_hop_without_a_chain_resumes_that_of_the_name_first_asked_for(
    groups: Callable[..., Config],
) -> None:
    config = groups("a", "b", "c", "d", "e", fallbacks=[{"a": ["b", "c"]}, {"b": ["d", "e"]}])
    assert tried(config, "a") == ["a", "b", "d", "c", "e"]


def test_a_cycle_is_walked_once(groups: Callable[..., Config]) -> None:
    config = groups("a", "b", "c", fallbacks=[{"a": ["b"]}, {"b": ["c", "a"]}, {"c": ["a", "b"]}])
    assert tried(config, "a") == ["a", "b", "c"]


def test_the_default_chain_serves_whoever_has_no_other(groups: Callable[..., Config]) -> None:
    config = groups("a", "b", "c", fallbacks=[{"a": ["b"]}], default_fallbacks=["c"])
    assert tried(config, "a") == ["a", "b"]
    assert tried(config, "b") == ["b", "c"]


def test_a_provider_before_the_name_takes_the_chain_of_the_bare_name(
    groups: Callable[..., Config],
) -> None:
    config = groups("ollama/a", "mine/a", "b", fallbacks=[{"a": ["b"]}])
    assert tried(config, "ollama/a") == ["ollama/a", "b"]
    assert tried(config, "mine/a") == ["mine/a"]


def test_chains_for_one_error_replace_the_regular_ones_of_every_group(
    groups: Callable[..., Config],
) -> None:
    config = groups("a", "b", fallbacks=[{"a": ["b"]}], content_policy_fallbacks=[{"b": ["a"]}])
    assert tried(config, "a", "when_refused") == ["a"]
    assert tried(config, "a", "when_too_long") == ["a", "b"]


def test_the_nesting_limit_cuts_the_later_levels_of_an_order(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    pair = entry("b", identity="first", order=1), entry("b", identity="second", order=2)
    for limit, reached in ((1, ["first"]), (2, ["first", "second"])):
        made = config(entry("a"), *pair, fallbacks=[{"a": ["b"]}], max_fallbacks=limit)
        hop = behaviour(made).routes["a"].tries[1]
        assert [one.id for one in hop.entries] == reached


def test_a_deployment_without_a_place_in_the_order_is_never_asked(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    made = config(entry("a", identity="x", order=3), entry("a", identity="y"))
    assert [one["order"] for one in behaviour(made).groups["a"]] == ["", "never"]


@pytest.mark.parametrize(
    ("metrics", "shares"),
    [
        (({}, {}), ["50 %", "50 %"]),
        (({"weight": 3}, {"weight": 1}), ["75 %", "25 %"]),
        (({"weight": 3}, {}), ["100 %", "0 %"]),
        (({"rpm": 1}, {"rpm": 4}), ["20 %", "80 %"]),
        (({"weight": 1, "rpm": 9}, {"weight": 1, "rpm": 1}), ["50 %", "50 %"]),
        (({"weight": 0, "tpm": 1}, {"tpm": 1}), ["50 %", "50 %"]),
    ],
)
def test_the_first_metric_anyone_declares_gives_the_shares(
    entry: Callable[..., Config],
    config: Callable[..., Config],
    metrics: tuple[Config, Config],
    shares: list[str],
) -> None:
    made = config(*(entry("a", identity=str(n), **one) for n, one in enumerate(metrics)))
    assert [one["share"] for one in behaviour(made).groups["a"]] == shares
    made["router_settings"]["routing_strategy"] = "least-busy"
    assert [one["share"] for one in behaviour(made).groups["a"]] == ["", ""]


@pytest.mark.parametrize(
    ("own", "router", "everywhere", "wanted"),
    [
        ({}, {}, {}, ("6000", "6000")),
        ({}, {"timeout": 9}, {}, ("9", "9")),
        ({"timeout": 1}, {"timeout": 9, "stream_timeout": 8}, {}, ("1", "8")),
        ({"stream_timeout": 2}, {"timeout": 9, "stream_timeout": 8}, {}, ("9", "2")),
        ({}, {"timeout": 9}, {"request_timeout": 7}, ("7", "7")),
        ({"timeout": 1}, {}, {"request_timeout": 7}, ("1", "1")),
    ],
)
def test_the_timeouts_that_hold(
    entry: Callable[..., Config],
    config: Callable[..., Config],
    own: Config,
    router: Config,
    everywhere: Config,
    wanted: tuple[str, str],
) -> None:
    made = {**config(entry("a", **own), **router), "litellm_settings": everywhere}
    (one,) = behaviour(made).groups["a"]
    assert (one["timeout"], one["stream_timeout"]) == wanted


def test_the_order_of_deployments_in_a_group_decides_nothing(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    one, two = entry("a", identity="x"), entry("a", "http://two:2", identity="y")
    assert behaviour(config(one, two)) == behaviour(config(two, one))
