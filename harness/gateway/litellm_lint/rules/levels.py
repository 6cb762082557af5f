"""Rules about order: every deployment has its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.rule import rule
from harness.gateway.plan.behaviour import Table
from harness.gateway.plan.entries import NEVER
from harness.gateway.plan.values import PlanError
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.gateway.litellm_lint.config import Config, Deployment
    from harness.gateway.plan.entries import Entry

_MOST_NAMES = 500
"""The fallbacks of so many names are followed; to follow all would not be linear."""


def _order(deployment: Deployment) -> object:
    """As LiteLLM reads it: litellm_params first, then model_info."""
    order = deployment.params.get("order")
    return deployment.info.get("order") if order is None else order


@rule(
    "GW247",
    title="A deployment without an order is never asked",
    why="Once one deployment of a group has an order, LiteLLM goes from level to level, and one "
    "without an order is on none: it is not asked even when all the others have failed.",
    remedy="Give it an order, the highest if it is meant to be the last.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, order: 1}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params:  # <--
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, order: 1}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params:
      {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY, order: 2}
    model_info: {mode: chat}
""",
)
def no_order(config: Config) -> Iterator[Hit]:
    """Deployments without an order in a group where others have one."""
    for members in config.groups.values():
        orders = [_order(each) for each in members]
        if any(order is not None for order in orders):
            for each, order in zip(members, orders, strict=True):
                if order is None:
                    message = f"Others of {quoted(each.name)} have an order, this one has none."
                    yield Hit((*each.path, "litellm_params"), message, on_key=True)


@rule(
    "GW249",
    severity=Severity.WARNING,
    title="The later levels of a fallback are never reached",
    why="LiteLLM follows the fallbacks of fallbacks max_fallbacks deep, 5 where it is not set. The "
    "group at that depth is asked on its first level only, and what stands on a later one is not "
    "asked although it is up (litellm#37301).",
    remedy="Raise router_settings.max_fallbacks, or shorten the way.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/SECOND_KEY, order: 1}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/THIRD_KEY, order: 2}
    model_info: {mode: chat}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  max_fallbacks: 1
  fallbacks:
    - chat: [backup]  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/SECOND_KEY, order: 1}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/THIRD_KEY, order: 2}
    model_info: {mode: chat}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
)
def lost_levels(config: Config) -> Iterator[Hit]:
    """Groups some of whose levels are out of reach of a name; each once, where it is a target."""
    places = {step.target: step.path for step in reversed(config.steps("fallbacks"))}
    ordered = {name for name, all_ in config.groups.items() if len({_order(e) for e in all_}) > 1}
    if not any(config.aliases.get(name, name) in ordered for name in places):
        return
    names = list(dict.fromkeys((*config.groups, *config.aliases)))[:_MOST_NAMES]
    try:
        known = Table(config.value).behaviour(names, {})
    except PlanError:
        return
    for name, route in known.routes.items():
        for hop in route.tries:
            direct = config.aliases.get(hop.asked, hop.asked) == hop.target
            if not direct or hop.target not in ordered or hop.asked not in places:
                continue
            whole, asked = _levels(known.groups[hop.target]), _levels(hop.entries)
            if asked < whole:
                message = (
                    f"A request for {quoted(name)} reaches {asked} of the {whole} levels of "
                    f"{quoted(hop.asked)}."
                )
                yield Hit(places.pop(hop.asked), message)


def _levels(entries: Sequence[Entry]) -> int:
    return len({entry["order"] for entry in entries} - {NEVER})
