from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.gateway.litellm_config import CONFIG_FILE, compile_config, compile_files
from harness.gateway.litellm_import import EXPLAINED, RULES, Kind, differences, import_config
from harness.registry import Severity, examine

if TYPE_CHECKING:
    from pathlib import Path

    from harness.gateway.litellm_import import Imported
    from harness.registry import Registry

LOCAL = {"api_base": "http://127.0.0.1:8001/v1", "api_key": "not-needed"}
OLLAMA = {"api_base": "http://127.0.0.1:11434"}
ROUTER = {"timeout": 30, "stream_timeout": 10, "num_retries": 0, "allowed_fails": 1}
SECRET = "sk-live-canary-0123456789"


def rules(imported: Any, kind: str = "GW5") -> list[str]:
    return [f.rule for f in imported.findings if f.rule.startswith(kind)]


def kinds(imported: Any) -> dict[str, Kind]:
    return {".".join(map(str, field.path)): field.kind for field in imported.fields}


# Round trip.


def test_the_shipped_configuration_comes_back_as_it_was(shipped: Registry, lab: Any) -> None:
    imported = import_config(compile_files(shipped)[CONFIG_FILE])
    again = lab.registry_of(imported)
    assert differences(compile_config(shipped), compile_config(again)) == []
    assert set(again.providers) == set(shipped.enabled_providers())


def test_every_field_of_the_shipped_configuration_is_exact(shipped: Registry) -> None:
    imported = import_config(compile_files(shipped)[CONFIG_FILE])
    assert {field.kind for field in imported.fields} == {Kind.EXACT}
    assert imported.findings == ()


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(strategies.registries())
def test_generating_from_the_import_of_a_generated_file_is_semantically_equal(
    registry: Registry,
) -> None:
    generated = compile_files(registry)[CONFIG_FILE]
    imported = import_config(generated)
    again, findings = examine({n: text.encode() for n, text in imported.sources.items()})
    assert again is not None, findings
    assert differences(yaml.safe_load(generated), compile_config(again)) == []


# Totality.

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
)
KEYS = st.sampled_from(
    (
        *("model_list", "litellm_params", "model_info", "model_name", "model", "api_base"),
        *("router_settings", "litellm_settings", "general_settings", "fallbacks", "api_key"),
        *("default_fallbacks", "model_group_alias", "timeout", "weight", "order", "callbacks"),
        *("context_window_fallbacks", "content_policy_fallbacks", "cache", "cache_params"),
        *("provider_budget_config", "routing_strategy", "max_input_tokens", "mode", "base_url"),
        *("master_key", "optional_pre_call_checks", "num_retries", "cooldown_time", "rpm", "x"),
    )
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PARAMS = st.dictionaries(KEYS, LEAVES | st.sampled_from(["openai/a", "ollama/b", "x/y"]))
ENTRIES = st.builds(
    lambda name, model, params, info: {
        "model_name": name,
        "litellm_params": {"model": model, "api_base": "http://127.0.0.1:1", **params},
        "model_info": info,
    },
    st.sampled_from(["a", "b", "c*", "*"]),
    st.sampled_from(["openai/m", "ollama_chat/m", "hosted_vllm/n", "openai/*", "openai/"]),
    PARAMS,
    PARAMS,
)
NAMES = st.sampled_from(["a", "b", "c", "d", "gpt-*", "a b", "*"])
NUMBERS = st.sampled_from([0, 1, 2, 0.5, 30, -1, 1e9, "3", None, True])
LISTS = st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=4), min_size=1, max_size=2))
LIKELY = st.builds(
    lambda name, model, params, info: {
        "model_name": name,
        "litellm_params": {"model": model, **params},
        "model_info": info,
    },
    NAMES,
    st.sampled_from(["openai/m", "ollama_chat/m", "ollama/n", "hosted_vllm/n", "openai/*"]),
    st.fixed_dictionaries(
        {"api_base": st.sampled_from(["http://127.0.0.1:1/v1", "http://localhost:2", "http://h"])},
        optional=dict.fromkeys(("timeout", "weight", "order", "rpm", "stream_timeout"), NUMBERS)
        | {"api_key": st.sampled_from(["none", "os.environ/K", "os.environ/k", "${K}", "sk-1"])},
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["chat", "embedding", "completion", None]),
            "max_input_tokens": st.sampled_from([1, 4096, 8192]),
            "id": NAMES,
        },
    ),
)
LIKELY_CONFIGS = st.fixed_dictionaries(
    {"model_list": st.lists(LIKELY, min_size=1, max_size=6)},
    optional={
        "router_settings": st.fixed_dictionaries(
            {},
            optional={
                "fallbacks": LISTS,
                "context_window_fallbacks": LISTS,
                "content_policy_fallbacks": LISTS,
                "model_group_alias": st.dictionaries(NAMES, NAMES),
                "routing_strategy": st.sampled_from(["least-busy", "x", "simple-shuffle"]),
                "provider_budget_config": st.fixed_dictionaries(
                    {"openai": st.just({"budget_limit": 1, "time_period": "1d"})}
                ),
                **dict.fromkeys(("num_retries", "cooldown_time", "timeout"), NUMBERS),
            },
        ),
        "litellm_settings": st.fixed_dictionaries(
            {},
            optional={
                "default_fallbacks": st.lists(NAMES),
                "fallbacks": LISTS,
                "request_timeout": NUMBERS,
                "allowed_fails": NUMBERS,
                "cache": st.booleans(),
                "cache_params": st.fixed_dictionaries(
                    {"type": st.sampled_from(["redis", "local"])},
                    optional={"ttl": NUMBERS, "host": NAMES, "port": NUMBERS},
                ),
            },
        ),
    },
)
CONFIGS = LIKELY_CONFIGS | st.dictionaries(KEYS, ANYTHING, max_size=5).flatmap(
    lambda config: st.lists(ENTRIES, max_size=4).map(lambda es: {**config, "model_list": es})
)


@settings(deadline=None, max_examples=150)
@given(CONFIGS)
def test_any_configuration_gives_sources_that_load_or_says_why_not(config: dict[str, Any]) -> None:
    imported = import_config(yaml.safe_dump(config))
    errors = [f for f in imported.findings if f.severity is Severity.ERROR]
    assert bool(imported.sources) is not bool(errors)
    if imported.sources:
        registry, findings = examine({n: t.encode() for n, t in imported.sources.items()})
        assert registry is not None, [str(finding) for finding in findings]


@settings(deadline=None, max_examples=100)
@given(CONFIGS)
def test_every_leaf_is_classified_once_in_the_order_of_the_file(config: dict[str, Any]) -> None:
    imported = import_config(yaml.safe_dump(config))
    if not imported.fields:
        return

    def leaves(value: Any, path: tuple[Any, ...]) -> Any:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for step, below in inner:
            if isinstance(below, dict | list) and below:
                yield from leaves(below, (*path, step))
            else:
                yield (*path, step)

    assert {field.path for field in imported.fields} == set(leaves(config, ()))
    places = [(field.place.line, field.place.column) for field in imported.fields]
    assert all(first < second for first, second in pairwise(places))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_configuration_are_refused_in_words(data: bytes) -> None:
    imported = import_config(data.decode("utf-8", "surrogateescape"))
    assert not imported.sources
    assert imported.findings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "model_list: []",
        "model_list: {}",
        "a: &a [*a]",
        "a: &a {b: *a}\nmodel_list: [*a]",
        "x: [1, 2",
        "\tx: 1",
        "{: }",
        "model_list: 3\n---\nmodel_list: 4",
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]" for a, b in pairwise("abcdefghi")),
    ],
)
def test_what_cannot_be_imported_says_so_and_where(text: str) -> None:
    imported = import_config(text)
    assert not imported.sources
    errors = [f for f in imported.findings if f.severity is Severity.ERROR]
    assert errors
    assert all(error.line >= 1 and error.remedy for error in errors)


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    (finding,) = import_config(tmp_path / "none.yaml").findings
    assert finding.rule == "GW500"
    assert "none.yaml" in finding.file


def test_a_file_is_read_and_named(tmp_path: Path, lab: Any) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({"model_list": [lab.deployment("a", "openai/m", **LOCAL)]}))
    imported = import_config(path)
    assert "made from old.yaml" in imported.sources["providers.yaml"]
    assert {finding.file for finding in imported.findings} == {str(path)}


def test_anchors_are_followed_and_the_values_are_those_of_yaml_1_1() -> None:
    text = """
model_list:
- &one
  model_name: 1e3
  litellm_params: &p {model: openai/m, api_base: "http://127.0.0.1:1/v1", api_key: none}
- {model_name: two, litellm_params: {<<: *p, model: openai/n}}
"""
    registry, _ = examine(
        {name: text.encode() for name, text in import_config(text).sources.items()}
    )
    assert registry is not None
    assert set(registry.routes.exact) == {"1e3", "two"}
    (provider,) = registry.providers.values()
    assert [model.name for model in provider.models] == ["m", "n"]


# Servers.


@pytest.mark.parametrize(
    ("model", "more", "type_", "where"),
    [
        ("ollama_chat/m", OLLAMA, "ollama", "http://127.0.0.1:11434"),
        ("ollama/m", {}, "ollama", "http://localhost:11434"),
        ("hosted_vllm/m", LOCAL, "vllm", "http://127.0.0.1:8001"),
        ("openai/m", LOCAL, "openai_compatible", "http://127.0.0.1:8001"),
        ("openai/m", {}, "openai", "https://api.openai.com"),
        ("gpt-4o", {}, "openai", "https://api.openai.com"),
        ("anthropic/m", {}, "anthropic", "https://api.anthropic.com"),
        ("openai/m", {"api_base": "https://far.example/x/v1"}, "openai_compatible",
         "https://far.example/x"),
        ("openai/m", {"api_base": "http://vllm:8000/v1"}, "vllm", "http://vllm:8000"),
    ],
)  # fmt: skip
def test_a_server_is_told_by_adapter_and_address(
    lab: Any, model: str, more: dict[str, str], type_: str, where: str
) -> None:
    registry = lab.registry_of(lab.imported(lab.deployment("a", model, **more)))
    ((name, provider),) = registry.providers.items()
    assert (provider.type, registry.origin(name)) == (type_, where)


def test_deployments_on_one_address_are_one_provider(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "openai/n", **LOCAL),
        lab.deployment("c", "openai/m", **LOCAL),
    )
    registry = lab.registry_of(imported)
    ((provider_id, provider),) = registry.providers.items()
    assert [model.name for model in provider.models] == ["m", "n"]
    assert registry.ports.services[provider_id].port == 8001
    assert {name: r.model for name, r in registry.routes.exact.items()} == {
        "a": "m",
        "b": "n",
        "c": "m",
    }


def test_two_keys_at_one_remote_address_are_two_providers(lab: Any) -> None:
    far = "https://far.example/v1"
    imported = lab.imported(
        lab.deployment("a", "openai/m", api_base=far, api_key="os.environ/ONE"),
        lab.deployment("b", "openai/m", api_base=far, api_key="os.environ/TWO"),
    )
    keys = {provider.api_key.env for provider in lab.registry_of(imported).providers.values()}
    assert keys == {"ONE", "TWO"}


def test_two_keys_at_one_port_are_one_provider_and_a_finding(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **{**LOCAL, "api_key": "os.environ/ONE"}),
        lab.deployment("b", "openai/n", **{**LOCAL, "api_key": "os.environ/TWO"}),
    )
    assert len(lab.registry_of(imported).providers) == 1
    assert kinds(imported)["model_list.1.litellm_params.api_key"] is Kind.APPROXIMATED


def test_the_gateway_does_not_get_a_port_that_a_server_has(lab: Any) -> None:
    taken = {"api_base": "http://127.0.0.1:4000/v1", "api_key": "none"}
    registry = lab.registry_of(lab.imported(lab.deployment("a", "openai/m", **taken)))
    assert registry.address("gateway")[1] == 4001


@pytest.mark.parametrize(
    "entry",
    [
        {"model_name": "b", "litellm_params": {"model": "bedrock/claude"}},
        {"model_name": "b", "litellm_params": {"model": "m"}},
        {"model_name": "b", "litellm_params": {"model": "openai/m", "api_base": "nowhere"}},
        {"model_name": "b", "litellm_params": {"model": "hosted_vllm/m"}},
        {"model_name": "b", "litellm_params": {"model": "openai/m", "api_base": "https://[::1]:1"}},
        {"model_name": "my model", "litellm_params": {"model": "openai/m"}},
        {"model_name": "*", "litellm_params": {"model": "openai/*"}},
        {"model_name": "b", "litellm_params": {"model": "openai/m"}, "model_info": {"mode": "ocr"}},
        {"model_name": "b"},
        {"litellm_params": {"model": "openai/m"}},
        "b",
        None,
    ],
)
def test_an_entry_that_cannot_be_described_is_left_out_and_reported(lab: Any, entry: Any) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", **LOCAL), entry)
    assert "GW505" in rules(imported)
    assert set(lab.registry_of(imported).routes.exact) == {"a"}
    assert {kind for path, kind in kinds(imported).items() if path.startswith("model_list.1")} == {
        Kind.UNSUPPORTED
    }


def test_a_secret_in_an_entry_that_is_left_out_is_still_reported(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "bedrock/claude", api_key=SECRET),
    )
    assert {"GW504", "GW505"} <= set(rules(imported))
    assert SECRET not in repr(imported)


def test_an_address_in_the_environment_is_asked_for(lab: Any) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", api_base="os.environ/LLAMA_URL"))
    assert kinds(imported)["model_list.0.litellm_params.api_base"] is Kind.MANUAL
    assert "llama-url.invalid  # UNKNOWN" in imported.sources["providers.yaml"]


# Secrets.


@pytest.mark.parametrize(
    ("entry", "sections"),
    [
        ({"api_key": SECRET}, {}),
        ({"api_base": f"http://user:{SECRET}@127.0.0.1:8001/v1"}, {}),
        ({"api_base": f"http://127.0.0.1:8001/v1?key={SECRET}"}, {}),
        ({"aws_secret_access_key": SECRET}, {}),
        ({"extra_headers": {"Authorization": SECRET}}, {}),
        ({}, {"general_settings": {"master_key": SECRET}}),
        ({}, {"litellm_settings": {"cache_params": {"password": SECRET}}}),
        ({}, {"environment_variables": {"LANGFUSE_SECRET": SECRET}}),
    ],
)
def test_a_literal_secret_is_reported_at_its_line_and_copied_nowhere(
    lab: Any, entry: dict[str, Any], sections: dict[str, Any]
) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", **{**LOCAL, **entry}), **sections)
    assert SECRET not in repr(imported)
    assert "GW504" in rules(imported)


def test_a_literal_key_becomes_a_variable_that_the_finding_names(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("coder", "hosted_vllm/m", **{**LOCAL, "api_key": SECRET})
    )
    key = lab.registry_of(imported).provider("vllm").api_key
    (finding,) = [f for f in imported.findings if f.rule == "GW504"]
    assert key.env == "VLLM_API_KEY"
    assert "VLLM_API_KEY" in finding.remedy
    assert finding.line == 4


@pytest.mark.parametrize("key", ["not-needed", "none", "EMPTY", "sk-no-key-required", ""])
def test_a_key_that_stands_for_none_is_none(lab: Any, key: str) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", **{**LOCAL, "api_key": key}))
    (provider,) = lab.registry_of(imported).providers.values()
    assert provider.api_key is None
    assert "GW504" not in rules(imported)


def test_a_shell_variable_is_meant_as_one(lab: Any) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", **{**LOCAL, "api_key": "${MY_KEY}"}))
    (provider,) = lab.registry_of(imported).providers.values()
    assert provider.api_key.env == "MY_KEY"
    assert kinds(imported)["model_list.0.litellm_params.api_key"] is Kind.APPROXIMATED


# Names.


def test_a_group_whose_members_have_names_is_exact(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        lab.deployment("both", "openai/m", **LOCAL, weight=0.75),
        lab.deployment("both", "ollama_chat/m", **OLLAMA, weight=0.25),
        router_settings={**ROUTER, "fallbacks": [{"both": ["a", "b"]}]},
    )
    registry = lab.registry_of(imported)
    members = {m.route: m.weight for m in registry.load_balancing["both"].members}
    assert members == {"a": 3, "b": 1}
    assert kinds(imported)["model_list.2.litellm_params.weight"] is Kind.EXACT
    assert kinds(imported)["router_settings.fallbacks.0.both.0"] is Kind.EXACT


def in_front_of_the_cloud(lab: Any, *after: str, **sections: Any) -> Imported:
    """Two deployments under one name, two names in the cloud, and what the former falls back to."""
    far = {"api_key": "os.environ/OPENAI_API_KEY"}
    router = {**ROUTER, **({"fallbacks": [{"both": [*after]}]} if after else {})}
    imported: Imported = lab.imported(
        lab.deployment("both", "openai/m", **LOCAL),
        lab.deployment("both", "ollama_chat/m", **OLLAMA),
        lab.deployment("cloud", "openai/gpt-4o-mini", **far),
        lab.deployment("far", "openai/gpt-4o", **far),
        router_settings=router,
        **sections,
    )
    return imported


def behind(lab: Any, imported: Imported) -> tuple[tuple[str, ...], list[str]]:
    """The fallbacks of the group in the sources, and what its generated gateway tries after it."""
    registry = lab.registry_of(imported)
    generated = compile_config(registry)["router_settings"]["fallbacks"]
    (after,) = (targets for entry in generated for name, targets in entry.items() if name == "both")
    return registry.load_balancing["both"].fallbacks, after


def test_what_a_balanced_group_falls_back_to_comes_after_its_members(lab: Any) -> None:
    imported = in_front_of_the_cloud(lab, "cloud", "far")
    fallbacks, after = behind(lab, imported)
    assert fallbacks == ("cloud", "far")
    (first, second, *rest) = after
    assert {first, second} == {
        m.route for m in lab.registry_of(imported).load_balancing["both"].members
    }
    assert rest == ["cloud", "far"]
    # LiteLLM would ask nobody of the group by name, so this is not the same, and it is said.
    assert kinds(imported)["router_settings.fallbacks.0.both.0"] is Kind.APPROXIMATED
    (told,) = (f for f in imported.findings if "falls back to" in f.message)
    assert f"{first}, {second}, cloud, far" in told.message


def test_members_asked_by_name_before_the_other_fallbacks_are_exact(lab: Any) -> None:
    first = in_front_of_the_cloud(lab, "cloud", "far")
    generated = compile_config(lab.registry_of(first))
    again = import_config(yaml.safe_dump(generated))
    assert behind(lab, again) == behind(lab, first)
    assert "both" not in {
        f.path[3]
        for f in again.fields
        if f.path[1:2] == ("fallbacks",) and f.kind is not Kind.EXACT
    }
    assert differences(generated, compile_config(lab.registry_of(again))) == []


def test_the_fallbacks_of_every_name_are_those_of_a_group_too(lab: Any) -> None:
    imported = in_front_of_the_cloud(lab, litellm_settings={"default_fallbacks": ["cloud"]})
    fallbacks, after = behind(lab, imported)
    assert fallbacks == ("cloud",)
    assert after[-1] == "cloud"


def test_a_fallback_of_a_group_that_leads_nowhere_is_named_and_the_others_stay(lab: Any) -> None:
    imported = in_front_of_the_cloud(lab, "gone", "cloud")
    assert behind(lab, imported)[0] == ("cloud",)
    assert "'gone' leads nowhere" in str(
        [f.message for f in imported.findings if f.rule == "GW506"]
    )


@pytest.mark.parametrize("drop", [True, False])
def test_whether_unknown_parameters_are_dropped_is_exact(lab: Any, *, drop: bool) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL), litellm_settings={"drop_params": drop}
    )
    registry = lab.registry_of(imported)
    assert kinds(imported)["litellm_settings.drop_params"] is Kind.EXACT
    assert registry.gateway.drop_params is drop
    assert compile_config(registry)["litellm_settings"].get("drop_params", False) is drop


def test_members_without_a_name_get_one_and_are_reported(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("both", "openai/m", **LOCAL),
        lab.deployment("both", "ollama_chat/m", **OLLAMA),
    )
    registry = lab.registry_of(imported)
    assert set(registry.load_balancing) == {"both"}
    assert set(registry.routes.exact) == {"both-server-8001", "both-ollama"}
    assert registry.public_models == ("both",)
    assert kinds(imported)["model_list.0.model_name"] is Kind.APPROXIMATED


def test_a_wildcard_to_one_model_is_a_pattern(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL), lab.deployment("gpt-*", "openai/m", **LOCAL)
    )
    (pattern,) = lab.registry_of(imported).routes.patterns
    assert (pattern.match, pattern.route) == ("gpt-*", "a")


def test_a_wildcard_to_a_server_reaches_the_models_that_are_known(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "ollama_chat/m", **OLLAMA),
        lab.deployment("ollama/*", "ollama_chat/*", **OLLAMA),
    )
    (pattern,) = lab.registry_of(imported).routes.patterns
    assert (pattern.match, pattern.provider) == ("ollama/*", "ollama")
    assert kinds(imported)["model_list.1.model_name"] is Kind.MANUAL


def test_an_alias_with_the_fallbacks_of_its_target_is_an_alias(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        router_settings={
            **ROUTER,
            "model_group_alias": {"fast": "a"},
            "fallbacks": [{"a": ["b"]}, {"fast": ["b"]}],
        },
    )
    assert lab.registry_of(imported).routes.aliases == {"fast": "a"}


def test_an_alias_with_fallbacks_of_its_own_is_a_capability(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        router_settings={
            **ROUTER,
            "model_group_alias": {"fast": {"model": "a", "hidden": False}},
            "fallbacks": [{"fast": ["b"]}],
        },
    )
    targets = lab.registry_of(imported).capabilities["fast"]
    assert [(t.route, t.priority) for t in targets] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("router", "rule"),
    [
        ({"fallbacks": [{"nope": ["a"]}]}, "GW506"),
        ({"fallbacks": [{"a": ["nope"]}]}, "GW506"),
        ({"model_group_alias": {"x": "nope"}}, "GW506"),
        ({"fallbacks": [{"a": ["b"]}, {"b": ["a"]}]}, "GW501"),
        ({"fallbacks": [{"a": ["a", "b", "b"]}]}, "GW501"),
        ({"default_fallbacks": ["b"]}, "GW501"),
        ({"routing_strategy": "cost-based-routing"}, "GW501"),
        ({"model_group_alias": {"a": "b"}}, "GW501"),
        ({"enable_tag_filtering": True}, "GW503"),
    ],
)
def test_what_is_not_kept_as_it_was_is_reported(
    lab: Any, router: dict[str, Any], rule: str
) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        router_settings={**ROUTER, **router},
    )
    where = next(iter(router))
    found = [
        f.rule
        for f in imported.findings
        if any(
            field.path[1:2] == (where,) and field.place.line >= f.line for field in imported.fields
        )
    ]
    assert rule in found
    lab.registry_of(imported)


@pytest.mark.parametrize(
    ("depth", "chain", "kind"),
    [
        (None, ["a", "b", "d", "c"], None),
        (5, ["a", "b", "d", "c"], Kind.EXACT),
        (2, ["a", "b", "d", "c"], Kind.APPROXIMATED),
        (1, ["a", "b", "c"], Kind.EXACT),
    ],
)
def test_the_fallbacks_of_a_fallback_stand_in_the_chain_where_the_router_tried_them(
    lab: Any, depth: int | None, chain: list[str], kind: Kind | None
) -> None:
    said = {} if depth is None else {"max_fallbacks": depth}
    lists = [{"a": ["b", "c"]}, {"b": ["d"]}]
    config = {
        "model_list": [lab.deployment(name, f"openai/{name}", **LOCAL) for name in "abcd"],
        "router_settings": {**ROUTER, **said, "fallbacks": lists},
    }
    imported = import_config(yaml.safe_dump(config))
    registry = lab.registry_of(imported)
    generated = compile_config(registry)
    assert generated["router_settings"]["fallbacks"][0] == {"a": chain[1:]}
    assert generated["router_settings"]["max_fallbacks"] == 1
    assert [each for each in differences(config, generated) if "fallbacks" in each] == []
    assert kinds(imported).get("router_settings.max_fallbacks") is kind


def test_default_fallbacks_are_what_every_other_name_falls_back_to(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        litellm_settings={"default_fallbacks": ["b"]},
    )
    registry = lab.registry_of(imported)
    assert registry.chain_after("a") == ("b",)
    assert registry.chain_after("b") == ()


def test_chains_share_their_tails(lab: Any) -> None:
    imported = lab.imported(
        *(lab.deployment(name, f"openai/{name}", **LOCAL) for name in "abc"),
        router_settings={**ROUTER, "fallbacks": [{"b": ["c"]}, {"a": ["b", "c"]}]},
    )
    assert list(lab.registry_of(imported).fallback_chains.values()) == [("a", "b", "c")]


def test_levels_of_a_group_are_kept(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        lab.deployment("b", "ollama_chat/m", **OLLAMA),
        lab.deployment("both", "ollama_chat/m", **OLLAMA, order=5),
        lab.deployment("both", "openai/m", **LOCAL, order=2),
    )
    members = lab.registry_of(imported).load_balancing["both"].members
    assert {member.route: member.order for member in members} == {"a": 1, "b": 2}
    assert kinds(imported)["model_list.2.litellm_params.order"] is Kind.EXACT


def test_one_way_of_picking_holds_for_all_groups(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("both", "openai/m", **LOCAL),
        lab.deployment("both", "ollama_chat/m", **OLLAMA),
        router_settings={"routing_strategy": "least-busy"},
    )
    assert lab.registry_of(imported).load_balancing["both"].strategy == "least-busy"
    assert kinds(imported)["router_settings.routing_strategy"] is Kind.EXACT


def test_two_models_of_one_server_may_share_a_group(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("both", "openai/m", **LOCAL), lab.deployment("both", "openai/n", **LOCAL)
    )
    members = lab.registry_of(imported).load_balancing["both"].members
    assert [member.weight for member in members] == [1, 1]


def test_a_deployment_listed_twice_keeps_both_shares(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("both", "openai/m", **LOCAL),
        lab.deployment("both", "ollama_chat/m", **OLLAMA),
        lab.deployment("both", "openai/m", **LOCAL),
    )
    members = lab.registry_of(imported).load_balancing["both"].members
    assert [member.weight for member in members] == [2, 1]
    assert kinds(imported)["model_list.2.model_name"] is Kind.APPROXIMATED


def windows(lab: Any, small: int, large: int) -> Any:
    return lab.imported(
        lab.deployment("a", "openai/m", **LOCAL, info={"max_input_tokens": small}),
        lab.deployment("b", "ollama_chat/m", **OLLAMA, info={"max_input_tokens": large}),
        router_settings={
            **ROUTER,
            "enable_pre_call_checks": True,
            "context_window_fallbacks": [{"a": ["b"]}],
            "content_policy_fallbacks": [{"b": ["a"]}],
        },
    )


def test_fallbacks_for_one_kind_of_error_are_chains_of_their_own(lab: Any) -> None:
    imported = windows(lab, 4096, 8192)
    registry = lab.registry_of(imported)
    routes = registry.routes.exact
    assert registry.follows("a", routes["a"].context_window_chain) == ("b",)
    assert registry.follows("b", routes["b"].content_policy_chain) == ("a",)
    assert routes["a"].chain is None
    assert kinds(imported)["router_settings.context_window_fallbacks.0.a.0"] is Kind.EXACT


def test_a_context_window_chain_that_does_not_grow_waits_for_a_person(lab: Any) -> None:
    imported = windows(lab, 8192, 4096)
    assert lab.registry_of(imported).routes.exact["a"].context_window_chain is None
    assert kinds(imported)["router_settings.context_window_fallbacks.0.a.0"] is Kind.MANUAL


def test_a_cache_on_this_machine_is_a_service(lab: Any) -> None:
    params = {"type": "redis", "host": "localhost", "port": 6379, "ttl": 60, "password": SECRET}
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        litellm_settings={"cache": True, "cache_params": params},
    )
    registry = lab.registry_of(imported)
    assert registry.cache is not None
    assert registry.address(registry.cache.service or "")[1] == 6379
    assert registry.cache.password.env == "REDIS_PASSWORD"
    assert SECRET not in repr(imported)


@pytest.mark.parametrize(
    "params",
    [
        {"type": "redis", "host": "far.example", "port": 6379, "ttl": 60},
        {"type": "qdrant", "ttl": 60},
        {"type": "local"},
    ],
)
def test_any_other_cache_is_left_out_and_reported(lab: Any, params: dict[str, Any]) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        litellm_settings={"cache": True, "cache_params": params},
    )
    assert lab.registry_of(imported).cache is None
    assert kinds(imported)["litellm_settings.cache_params.type"] is not Kind.EXACT


def test_a_budget_belongs_to_the_one_remote_provider_of_its_adapter(lab: Any) -> None:
    budget = {"openai": {"budget_limit": 10, "time_period": "1d"}}
    alone = lab.imported(
        lab.deployment("a", "openai/m"), router_settings={"provider_budget_config": budget}
    )
    shared = lab.imported(
        lab.deployment("a", "openai/m"),
        lab.deployment("b", "openai/m", **LOCAL),
        router_settings={"provider_budget_config": budget},
    )
    assert lab.registry_of(alone).budgets.providers["openai"].limit_usd == 10
    assert not lab.registry_of(shared).budgets.providers
    path = "router_settings.provider_budget_config.openai.budget_limit"
    assert (kinds(alone)[path], kinds(shared)[path]) == (Kind.EXACT, Kind.UNSUPPORTED)


# Numbers.


def test_what_the_file_leaves_to_litellm_is_written_out(lab: Any) -> None:
    registry = lab.registry_of(lab.imported(lab.deployment("a", "openai/m", **LOCAL)))
    numbers = registry.resilience
    assert (numbers.timeout_s, numbers.retries) == (6000, 2)
    assert (numbers.allowed_fails, numbers.cooldown_s) == (3, 5)


def test_numbers_are_found_where_litellm_looks_for_them(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/m", **LOCAL),
        litellm_settings={"num_retries": 4, "request_timeout": 77, "allowed_fails": 5},
        router_settings={"num_retries": 1},
    )
    numbers = lab.registry_of(imported).resilience
    assert (numbers.retries, numbers.allowed_fails) == (1, 5)
    assert (numbers.timeout_s, numbers.stream_timeout_s) == (77, 77)
    assert kinds(imported)["litellm_settings.num_retries"] is Kind.APPROXIMATED


def test_one_timeout_holds_for_all_and_the_odd_one_is_reported(lab: Any) -> None:
    imported = lab.imported(
        lab.deployment("a", "openai/a", **LOCAL, timeout=600),
        lab.deployment("b", "openai/b", **LOCAL),
        lab.deployment("c", "openai/c", **LOCAL),
        router_settings=ROUTER,
    )
    assert lab.registry_of(imported).resilience.timeout_s == 30
    assert kinds(imported)["model_list.0.litellm_params.timeout"] is Kind.APPROXIMATED
    assert kinds(imported)["router_settings.timeout"] is Kind.EXACT


def test_rate_limits_are_exact_where_litellm_enforces_them(lab: Any) -> None:
    entry = lab.deployment("a", "openai/m", **LOCAL, rpm=5, max_parallel_requests=2)
    enforced = lab.imported(
        entry, router_settings={"optional_pre_call_checks": ["enforce_model_rate_limits"]}
    )
    loose = lab.imported(entry)
    path = "model_list.0.litellm_params.rpm"
    assert (kinds(enforced)[path], kinds(loose)[path]) == (Kind.EXACT, Kind.APPROXIMATED)
    (provider,) = lab.registry_of(enforced).providers.values()
    assert (provider.rate_limits.rpm, provider.rate_limits.max_parallel) == (5, 2)


def test_an_unknown_context_length_is_a_question_in_the_file(lab: Any) -> None:
    imported = lab.imported(lab.deployment("a", "openai/m", **LOCAL))
    assert "context_length: 4096  # UNKNOWN" in imported.sources["providers.yaml"]
    assert "GW502" in rules(imported)


def test_a_context_length_that_is_told_is_taken(lab: Any) -> None:
    entry = lab.deployment("a", "openai/m", **LOCAL, info={"max_input_tokens": 9000})
    (provider,) = lab.registry_of(lab.imported(entry)).providers.values()
    assert provider.models[0].context_length == 9000


def test_every_rule_says_why_and_what_to_do() -> None:
    assert set(EXPLAINED) == set(RULES)
    for rule in RULES.values():
        assert rule.why
        assert f"Remedy: {rule.remedy}" in EXPLAINED[rule.id]
