"""Invariants of the generated gateway configuration: it says what the sources say."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.gateway.files import DRIFT, drift, write
from harness.gateway.litellm_config import (
    CONFIG_FILE,
    compile_config,
    compile_files,
    environment,
    required_variables,
)
from harness.registry import Registry, examine
from harness.registry.load import MAPPINGS, PROVIDERS
from harness.routing import Deployment, Route, Rule, listed, resolve

EXAMPLES = int(os.environ.get("HARNESS_PROPERTY_EXAMPLES", "25"))
prove = settings(max_examples=EXAMPLES, deadline=None)

Config = dict[str, Any]


def routes(registry: Registry) -> list[Route]:
    """The route of every listed name."""
    return [
        found for name in listed(registry) if isinstance(found := resolve(registry, name), Route)
    ]


def deployments(registry: Registry) -> dict[str, Deployment]:
    """Everything a listed name may reach, by id."""
    return {each.id: each for route in routes(registry) for each in route}


def entries(config: Config) -> dict[str, Config]:
    """The deployments of the configuration by id."""
    return {entry["model_info"]["id"]: entry for entry in config["model_list"]}


def groups(config: Config) -> set[str]:
    return {entry["model_name"] for entry in config["model_list"]}


def fallbacks(config: Config) -> dict[str, list[str]]:
    return {
        name: after
        for each in config["router_settings"]["fallbacks"]
        for name, after in each.items()
    }


def aliases(config: Config) -> dict[str, str]:
    table = config["router_settings"]["model_group_alias"]
    return {name: each["model"] for name, each in table.items()}


@prove
@given(strategies.sources())
def test_generating_again_gives_the_same_bytes(sources: dict[str, bytes]) -> None:
    first, _ = examine(sources)
    second, _ = examine(sources)
    assert first is not None
    assert second is not None
    assert compile_files(first) == compile_files(first) == compile_files(second)


@prove
@given(strategies.systems(), st.booleans(), st.booleans())
def test_comments_and_style_change_no_generated_byte(
    system: strategies.System, comments: bool, quotes: bool
) -> None:
    style = strategies.Style(flow=1, comments=comments, quotes=quotes)
    other, _ = examine(strategies.source_bytes(strategies.write(system, style)))
    assert other is not None
    assert compile_files(other) == compile_files(strategies.registry_of(system))


@prove
@given(strategies.registries())
def test_nothing_but_the_sources_decides_what_is_generated(registry: Registry) -> None:
    before = compile_files(registry)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as elsewhere:
        patch.setattr(time, "time", lambda: 0.0)
        patch.setenv("TZ", "Asia/Kathmandu")
        patch.setenv("LC_ALL", "tr_TR.UTF-8")
        patch.setenv("HOSTNAME", "elsewhere")
        patch.setenv("GATEWAY_KEY", "another")
        patch.setenv("OPENAI_API_BASE", "http://elsewhere.example")
        patch.chdir(elsewhere)
        assert compile_files(registry) == before


@prove
@given(strategies.sources())
def test_no_secret_reaches_an_output(sources: dict[str, bytes]) -> None:
    canary = "sk-canary-5f1e"
    with pytest.MonkeyPatch.context() as patch:
        registry, findings = examine(sources)
        assert registry is not None
        for number, variable in enumerate(required_variables(registry)):
            patch.setenv(variable, f"{canary}-{number}")
        registry, findings = examine(sources)
        assert registry is not None
        outputs = [
            *compile_files(registry).values(),
            json.dumps(compile_config(registry)),
            json.dumps(environment(registry)),
            json.dumps(required_variables(registry)),
            *map(str, findings),
            *map(repr, routes(registry)),
            repr(registry),
        ]
        assert not [text for text in outputs if canary in text]


@prove
@given(strategies.registries(), st.data())
def test_a_generated_file_passes_drift_until_any_line_is_edited(
    registry: Registry, data: st.DataObject
) -> None:
    files = compile_files(registry)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert {path.name for path in write(folder, files)} == set(files)
        assert write(folder, files) == []
        assert drift(folder, files) == []
        lines = files[CONFIG_FILE].splitlines(keepends=True)
        edited = data.draw(st.integers(0, len(lines) - 1))
        lines[edited] = f"#{lines[edited]}"
        (folder / CONFIG_FILE).write_text("".join(lines))
        (finding,) = drift(folder, files)
        assert (finding.rule, finding.line) == (DRIFT, edited + 1)


@prove
@given(strategies.registries())
def test_the_file_holds_the_configuration_and_nothing_else(registry: Registry) -> None:
    assert yaml.safe_load(compile_files(registry)[CONFIG_FILE]) == compile_config(registry)


@prove
@given(strategies.registries())
def test_every_listed_name_is_a_group_an_alias_or_behind_its_wildcard(registry: Registry) -> None:
    config = compile_config(registry)
    for route in routes(registry):
        if route.name in aliases(config):
            assert aliases(config)[route.name] == route.target
        else:
            assert route.target in groups(config)
            assert route.target in (route.name, *(g for g in groups(config) if g.endswith("*")))


@prove
@given(strategies.registries())
def test_every_group_and_every_alias_is_a_listed_name_or_a_wildcard(registry: Registry) -> None:
    config = compile_config(registry)
    for name in groups(config) | set(aliases(config)):
        if name not in listed(registry):
            assert name.endswith("*")
            assert name[:-1] in {pattern.prefix for pattern in registry.routes.patterns}


@prove
@given(strategies.registries())
def test_an_alias_leads_to_a_group_in_one_hop(registry: Registry) -> None:
    config = compile_config(registry)
    for alias, group in aliases(config).items():
        assert group in groups(config)
        assert alias not in groups(config)
        assert group not in aliases(config)


@prove
@given(strategies.registries())
def test_fallbacks_are_flat_and_stand_under_the_name_the_client_sends(registry: Registry) -> None:
    config = compile_config(registry)
    found = {name: after for name, after in fallbacks(config).items() if after}
    assert found == {
        route.name: list(route.fallbacks) for route in routes(registry) if route.fallbacks
    }
    for after in found.values():
        assert groups(config).issuperset(after)


@prove
@given(strategies.registries())
def test_every_deployment_has_an_id_of_its_own(registry: Registry) -> None:
    config = compile_config(registry)
    assert len(entries(config)) == len(config["model_list"])
    assert set(deployments(registry)) <= set(entries(config))


@prove
@given(strategies.registries())
def test_every_deployment_keeps_address_model_and_group(registry: Registry) -> None:
    config = compile_config(registry)
    for identifier, each in deployments(registry).items():
        entry = entries(config)[identifier]
        params = entry["litellm_params"]
        assert entry["model_name"] == each.group
        prefix = f"{params['custom_llm_provider']}/" if "custom_llm_provider" in params else ""
        model = params["model"]
        assert model == each.served_as or model.partition("/")[2] == each.served_as
        assert not prefix or not model.startswith(prefix), "LiteLLM would put it there twice"
        assert params["api_base"].startswith(registry.origin(each.provider))
        assert entry["model_info"]["max_input_tokens"] == each.context_length
        assert entry["model_info"]["mode"] == registry.model(each.provider, each.model).mode


@prove
@given(strategies.registries())
def test_weights_and_levels_are_those_of_the_sources(registry: Registry) -> None:
    config = compile_config(registry)
    for route in routes(registry):
        members = [each for tier in route.own for each in tier.deployments]
        if route.rule is Rule.BALANCED and len(members) > 1:
            for each in members:
                params = entries(config)[each.id]["litellm_params"]
                assert params.get("order") == each.order
                if route.own[0].strategy == "weighted":
                    assert params["weight"] == each.weight


@prove
@given(strategies.systems())
def test_an_unrelated_edit_changes_no_deployment(system: strategies.System) -> None:
    before = entries(compile_config(strategies.registry_of(system)))
    changed = copy.deepcopy(system)
    changed[PROVIDERS]["providers"]["planted"] = {
        "type": "anthropic",
        "base_url": "https://planted.example",
        "status": "active",
        "models": [
            {
                "name": "planted",
                "served_as": "planted",
                "context_length": 4096,
                "capabilities": ["chat"],
                "mode": "chat",
                "residency": "always",
            }
        ],
    }
    changed[MAPPINGS]["routes"]["exact"]["planted"] = {"provider": "planted", "model": "planted"}
    after = entries(compile_config(strategies.registry_of(changed)))
    assert {key: entry for key, entry in after.items() if key != "planted@planted"} == before


@prove
@given(strategies.registries())
def test_a_run_replaces_addresses_and_nothing_else(registry: Registry) -> None:
    there = compile_config(registry)
    here = compile_config(
        registry, endpoints=dict.fromkeys(registry.providers, "http://127.0.0.1:5")
    )
    for entry in here["model_list"]:
        assert entry["litellm_params"].pop("api_base").startswith("http://127.0.0.1:5")
    for entry in there["model_list"]:
        del entry["litellm_params"]["api_base"]
    assert here == there
