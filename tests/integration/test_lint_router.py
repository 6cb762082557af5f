"""What rules say of names, levels and sections, against what the real LiteLLM does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_lint import LITELLM_RULES
from harness.gateway.litellm_lint.examples import complete

if TYPE_CHECKING:
    from collections.abc import Callable

    Oracle = Callable[[dict[str, Any]], dict[str, Any]]
    Tried = Callable[..., tuple[list[str], str]]

UNREACHED = {"GW247": ["chat@1"], "GW249": ["backup@2"]}
"""By rule: the deployments of its failing example that are never asked."""


def example(text: str) -> dict[str, Any]:
    """The file of an example, with an id for each deployment: its group and place in the file."""
    config: dict[str, Any] = yaml.safe_load(complete(text))
    for place, entry in enumerate(config["model_list"]):
        entry["model_info"]["id"] = f"{entry['model_name']}@{place}"
        entry["litellm_params"]["api_key"] = "none"
    return config


def both(id_: str) -> tuple[str, str]:
    """The failing and the passing example of a rule."""
    return LITELLM_RULES[id_].failing, LITELLM_RULES[id_].passing


@pytest.fixture
def tried(oracle: Oracle) -> Tried:
    """Whom the Router asks for ``chat`` while all are dead, and what it ends with."""

    def ask(config: dict[str, Any], **question: Any) -> tuple[list[str], str]:
        dead = {entry["model_info"]["id"]: 500 for entry in config["model_list"]}
        settings = {**config["router_settings"], "num_retries": 0, "disable_cooldowns": True}
        settings.pop("allowed_fails", None)
        answer = oracle(
            {
                "model_list": config["model_list"],
                "router_settings": settings,
                "ask": [{"name": "chat", "dead": dead, **question}],
            }
        )
        ((once,),) = answer["answers"]
        return once["tried"], once["error"]

    return ask


@pytest.mark.parametrize("id_", UNREACHED)
def test_what_a_rule_calls_out_of_reach_is_never_asked(id_: str, tried: Tried) -> None:
    config = example(LITELLM_RULES[id_].failing)
    everyone = [entry["model_info"]["id"] for entry in config["model_list"]]
    names = [each for each in everyone if each.startswith(("chat@", "backup@"))]
    asked, _ = tried(config)
    assert sorted(set(names) - set(asked)) == UNREACHED[id_]


@pytest.mark.parametrize("id_", UNREACHED)
def test_its_remedy_brings_it_into_reach(id_: str, tried: Tried) -> None:
    config = example(LITELLM_RULES[id_].passing)
    asked, _ = tried(config)
    assert asked == [entry["model_info"]["id"] for entry in config["model_list"]]


def test_the_fallbacks_of_a_pattern_are_those_of_nobody(tried: Tried) -> None:
    failing, passing = (example(each) for each in both("GW217"))
    assert tried(failing, name="openai/gpt-4o")[0] == ["openai/*@0"]
    assert tried(passing, name="openai/gpt-4o")[0] == ["openai/*@0", "backup@1"]


def test_a_name_with_a_space_at_its_end_is_unknown_without_it(tried: Tried) -> None:
    failing, passing = (example(each) for each in both("GW244"))
    assert tried(failing) == ([], "BadRequestError")
    assert tried(passing)[0] == ["chat@0"]
