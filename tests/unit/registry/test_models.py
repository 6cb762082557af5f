from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from harness.registry import models


def classes() -> list[type[models.Source]]:
    found = [getattr(models, name) for name in models.__all__]
    return [item for item in found if isinstance(item, type) and issubclass(item, models.Source)]


@pytest.mark.parametrize("model", classes())
def test_every_model_is_closed_strict_and_frozen(model: type[BaseModel]) -> None:
    config = model.model_config
    assert (config.get("extra"), config.get("strict"), config.get("frozen")) == (
        "forbid",
        True,
        True,
    )


@pytest.mark.parametrize("model", classes())
def test_every_model_and_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    assert model.__doc__
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"


def test_a_loaded_model_cannot_be_changed() -> None:
    service = models.Service(port=1, protocol="http", owner="x")
    with pytest.raises(ValidationError, match="frozen"):
        service.port = 2  # type: ignore[misc]


def test_an_error_of_pydantic_does_not_show_the_input() -> None:
    with pytest.raises(ValidationError) as error:
        models.EnvRef.model_validate({"env": "sk-verysecret"})
    assert "verysecret" not in str(error.value)


def test_the_prefix_of_a_pattern_is_what_stands_before_its_star() -> None:
    assert models.Pattern(match="ollama/*", provider="ollama").prefix == "ollama/"


def test_a_token_costs_a_key_and_a_value_for_each_head_of_each_layer() -> None:
    qwen = models.Geometry(layers=28, kv_heads=4, head_dim=128, dtype="float16")
    assert qwen.kv_bytes_per_token == 57_344
    assert qwen.model_copy(update={"dtype": "fp8"}).kv_bytes_per_token == 57_344 // 2


def test_a_route_knows_its_chains_by_field() -> None:
    route = models.Route(provider="p", model="m", chain="a", content_policy_chain="b")
    assert route.chains == {"chain": "a", "content_policy_chain": "b"}


@pytest.mark.parametrize(
    ("given", "prefix", "outlines"),
    [
        ({"match": "a*"}, "a", (("a", True),)),
        ({"regex": "a|b.*"}, "b", (("a", False), ("b", True))),
        ({"regex": "a.*b"}, "", ()),
    ],
)
def test_a_pattern_says_what_it_spells(
    given: dict[str, str], prefix: str, outlines: tuple[tuple[str, bool], ...]
) -> None:
    pattern = models.Pattern(provider="p", **given)
    assert (pattern.prefix, pattern.outlines) == (prefix, outlines)
    assert pattern.text == next(iter(given.values()))
