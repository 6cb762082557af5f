from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.spec import EmulatorSpec, ServedModel, Settings, SpecError


def spec(**given: Any) -> EmulatorSpec:
    return EmulatorSpec(**{"id": "a", "dialect": "vllm", "models": (ServedModel("m"),), **given})


def test_it_survives_the_pipe() -> None:
    whole = spec(api_key="k", seed=3, settings=Settings(ttft_ms=1.5, max_concurrency=2))
    assert EmulatorSpec.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_its_key_is_not_printed() -> None:
    assert "hunter2" not in repr(spec(api_key="hunter2"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"id": "two words"}, "id: 'two words'"),
        ({"id": ""}, "id: ''"),
        ({"models": ()}, "at least one model"),
        ({"models": (ServedModel("m"), ServedModel("m"))}, "names a model twice"),
    ],
)
def test_what_no_engine_can_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ttft_ms": -1}, "ttft_ms: must not be negative"),
        ({"itl_ms": -0.1}, "itl_ms"),
        ({"default_max_tokens": 0}, "default_max_tokens: must be at least 1"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"speed": 1}, "no such setting; there are ttft_ms, itl_ms"),
    ],
)
def test_settings_are_checked_when_changed_too(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Settings().changed(given)


def test_a_model_needs_a_name_and_a_context() -> None:
    with pytest.raises(SpecError, match="needs an id"):
        ServedModel("")
    with pytest.raises(SpecError, match="must be positive, not 0"):
        ServedModel("m", 0)


@pytest.mark.parametrize("data", [{}, {"id": "a", "models": [{"name": "m"}]}, {"colour": "red"}])
def test_a_broken_specification_is_a_clear_error(data: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        EmulatorSpec.from_json(data)
