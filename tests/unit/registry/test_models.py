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
