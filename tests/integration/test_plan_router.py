"""What a plan believes about a configuration, against what the real ``litellm.Router`` does.

A plan is right where the tries it resolves are those of the Router: while every deployment is
dead, the Router's attempts must walk through the predicted groups, in order and without one more.
Here the configurations are any, not only generated ones, as the one on disk may be written by hand.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.plan import behaviour

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.gateway.plan.behaviour import Route

CASES = 150
NAMES = ("a", "b", "c", "d", "ollama/a", "ollama/b", "openai/c", "w/*", "w/q-*", "x*y")
STRANGERS = ("w/zz", "w/q-1", "nobody", "a@0")


def drawn(dice: random.Random) -> dict[str, Any]:
    """A configuration with groups, patterns, levels of order, aliases and nested chains."""
    names = dice.sample(NAMES, dice.randint(1, 7))
    model_list = []
    for name in names:
        for number in range(dice.choice([1, 1, 1, 2, 3])):
            upstream = "*" if "*" in name and dice.random() < 0.5 else f"m{number}"
            params: dict[str, Any] = {"model": f"openai/{upstream}", "api_key": "none"}
            if dice.random() < 0.3:
                params["order"] = dice.choice([1, 2, 3])
            info = {"id": f"{name}@{number}"}
            model_list.append({"model_name": name, "litellm_params": params, "model_info": info})
    pool = [*names, "one", "two", *STRANGERS, "openai/m1"]
    router: dict[str, Any] = {
        "model_group_alias": {
            alias: dice.choice(pool) for alias in ("one", "two") if dice.random() < 0.5
        },
        "fallbacks": [
            {source: dice.sample(pool, dice.randint(1, 4))}
            for source in dice.sample(pool, dice.randint(0, 5))
        ],
    }
    if dice.random() < 0.25:
        router["default_fallbacks"] = dice.sample(pool, 2)
    return {"model_list": model_list, "router_settings": router}


def predicted(route: Route) -> list[list[set[str]]]:
    """The ids of each group in the order it is tried, level after level of its order."""
    groups = []
    for hop in route.tries:
        levels: dict[str, set[str]] = {}
        for entry in hop.entries:
            levels.setdefault(entry["order"], set()).add(str(entry.id))
        levels.pop("never", None)
        groups.append([levels[level] for level in sorted(levels)])
    return groups


@pytest.fixture(scope="module")
def cases(
    oracle: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[tuple[dict[str, Any], dict[str, Route], dict[str, list[str]]]]:
    """Configurations, what the plan resolves, and what the Router tried."""
    dice = random.Random(20261121)
    configs = [drawn(dice) for _ in range(CASES)]
    routes = [dict(behaviour(config, ["w/zz", "w/q-1"]).routes) for config in configs]
    questions = []
    for config, known in zip(configs, routes, strict=True):
        dead = {entry["model_info"]["id"]: 500 for entry in config["model_list"]}
        settings = {**config["router_settings"], "num_retries": 0, "disable_cooldowns": True}
        ask = [{"name": name, "dead": dead} for name in known]
        questions.append({**config, "router_settings": settings, "ask": ask})
    answers = [oracle(question)["answers"] for question in questions]
    return [
        (config, known, {name: one[0]["tried"] for name, one in zip(known, answer, strict=True)})
        for config, known, answer in zip(configs, routes, answers, strict=True)
    ]


def test_the_router_tries_what_the_plan_resolves(
    cases: list[tuple[dict[str, Any], dict[str, Route], dict[str, list[str]]]],
) -> None:
    asked = 0
    for config, routes, tried in cases:
        for name, route in routes.items():
            wanted = [level for group in predicted(route) for level in group]
            said = f"{name}: {wanted}, LiteLLM tried {tried[name]}, {json.dumps(config)}"
            assert len(tried[name]) == len(wanted), said
            assert all(one in level for one, level in zip(tried[name], wanted, strict=True)), said
            asked += 1
    assert asked > CASES
