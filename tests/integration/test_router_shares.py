"""What the real ``litellm.Router`` makes of weights, and of fallbacks that have fallbacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_config import compile_config
from harness.gateway.litellm_import import import_config
from harness.registry import examine
from harness.registry.examples import sources
from harness.routing import Route, resolve
from harness.statistics import chi_square_tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.registry import Registry

    Ask = Callable[..., dict[str, Any]]

PICKS = 600


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
def test_members_share_requests_by_weight(router: Ask, weights: tuple[int, ...]) -> None:
    registry = weighted_group(weights)
    route = resolve(registry, "group")
    assert isinstance(route, Route)
    stated = {each.id: each.weight for each in route.tiers[0].deployments}
    question = {"name": "group", "times": PICKS}
    (picks,) = router(compile_config(registry), [question])["answers"]
    counts = Counter(pick["by"] for pick in picks)
    assert set(counts) == set(stated)
    assert tail(counts, stated) > 1e-4
    others = dict(zip(stated, (*weights[1:], weights[0] + 1), strict=True))
    assert tail(counts, others) < 1e-6, "so few picks cannot tell weights apart"


def test_a_chain_is_flat_where_the_router_left_alone_would_go_deeper(router: Ask) -> None:
    """Why ``max_fallbacks`` is 1 in what is generated."""
    registry = weighted_group((1, 1, 1, 1))
    config = compile_config(registry)
    config["router_settings"]["fallbacks"] = [{"m0": ["m1", "m2"]}, {"m1": ["m3"]}]
    question = {"name": "m0", "dead": dict.fromkeys(("m0@p0", "m1@p1", "m3@p3"), 500)}
    (flat,) = router(config, [question])["answers"]
    (deep,) = router(config, [question], max_fallbacks=5)["answers"]
    assert flat[0]["tried"] == ["m0@p0", "m1@p1", "m2@p2"]
    assert deep[0]["tried"] == ["m0@p0", "m1@p1", "m3@p3", "m2@p2"]


def test_an_imported_chain_is_tried_in_the_order_it_was(router: Ask) -> None:
    names = ("a", "b", "c", "d")
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": f"hosted_vllm/{name}", "api_base": f"http://h:{port}/v1"},
            "model_info": {"id": name},
        }
        for port, name in enumerate(names, start=8001)
    ]
    settings = {"num_retries": 0, "fallbacks": [{"a": ["b", "c"]}, {"b": ["d"]}, {"d": ["c"]}]}
    config = {"model_list": entries, "router_settings": settings}
    registry, findings = examine(
        {
            name: text.encode()
            for name, text in import_config(yaml.safe_dump(config)).sources.items()
        }
    )
    assert registry is not None, findings
    generated = compile_config(registry)
    group_of = {each["model_info"]["id"]: each["model_name"] for each in generated["model_list"]}
    ((before,),) = router(config, [{"name": "a", "dead": dict.fromkeys(names, 500)}])["answers"]
    ((after,),) = router(generated, [{"name": "a", "dead": dict.fromkeys(group_of, 500)}])[
        "answers"
    ]
    assert before["tried"] == [group_of[each] for each in after["tried"]]
    assert len(before["tried"]) == len(names)
