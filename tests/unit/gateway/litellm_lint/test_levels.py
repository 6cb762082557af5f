"""Which deployments of an order have their turn."""

from __future__ import annotations

import pytest

from harness.gateway.litellm_lint.check import judge
from harness.gateway.litellm_lint.examples import complete
from harness.gateway.litellm_lint.reader import read_yaml

HEAD = "\nmodel_list:\n"
TAIL = "\nrouter_settings: {num_retries: 0, allowed_fails: 1, cooldown_time: 5, "


def found(text: str) -> list[str]:
    return [each.rule for each in judge(read_yaml("config.yaml", complete(text)))]


def deployed(name: str, key: str, order: int | None = None, part: str = "litellm_params") -> str:
    given = {"litellm_params": "", "model_info": ""}
    given[part] = f", order: {order}" if order is not None else ""
    return (
        f"  - model_name: {name}\n"
        f"    litellm_params: {{model: openai/gpt-4o, api_key: os.environ/{key}"
        f"{given['litellm_params']}}}\n"
        f"    model_info: {{mode: chat{given['model_info']}}}\n"
    )


def chain(length: int) -> tuple[str, str]:
    """``a0`` falls back to ``a1``, that to ``a2`` and so on; the last has two levels."""
    single = "".join(deployed(f"a{number}", f"K{number}") for number in range(length))
    pair = deployed(f"a{length}", "L1", 1) + deployed(f"a{length}", "L2", 2)
    steps = ", ".join(f"{{a{number}: [a{number + 1}]}}" for number in range(length))
    return HEAD + single + pair, f"fallbacks: [{steps}]"


def test_one_without_an_order_is_never_asked() -> None:
    assert found(HEAD + deployed("a", "K1", 1) + deployed("a", "K2")) == ["GW247"]
    assert found(HEAD + deployed("a", "K1") + deployed("a", "K2", 2)) == ["GW247"]


def test_an_order_may_stand_in_model_info_too() -> None:
    text = HEAD + deployed("a", "K1", 1) + deployed("a", "K2", 2, "model_info")
    assert found(text) == []


@pytest.mark.parametrize(("limit", "rules"), [(1, ["GW249"]), (2, [])])
def test_the_last_depth_has_one_level(limit: int, rules: list[str]) -> None:
    models, steps = chain(1)
    assert found(f"{models}{TAIL}max_fallbacks: {limit}, {steps}}}\n") == rules


@pytest.mark.parametrize(("length", "rules"), [(1, []), (4, []), (5, ["GW249"])])
def test_without_a_limit_it_is_five_deep(length: int, rules: list[str]) -> None:
    models, steps = chain(length)
    assert found(f"{models}{TAIL}{steps}}}\n") == rules
