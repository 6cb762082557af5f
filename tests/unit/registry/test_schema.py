from __future__ import annotations

import pytest

from harness.registry import Finding, examine
from harness.registry.examples import sources


def findings(example: str) -> list[Finding]:
    return examine(sources(example))[1]


def only(example: str) -> Finding:
    (finding,) = findings(example)
    return finding


def test_an_unknown_key_is_shown_at_the_key_with_the_one_that_was_meant() -> None:
    finding = only("model-mappings.yaml: {resilience: {timeout: 5}}")
    assert (finding.rule, finding.remedy) == ("GW020", "Did you mean 'timeout_s'?")
    assert finding.message == "The key 'timeout' is not known in resilience."


def test_an_unknown_key_deep_in_a_list_is_compared_with_the_keys_known_there() -> None:
    finding = only(
        "providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, "
        "context_length: 8192, capabilities: [chat], mode: chat, residency: always, "
        "quantisation: AWQ}]}}}"
    )
    assert finding.remedy == "Did you mean 'quantization'?"


def test_a_missing_key_is_shown_at_its_entry_and_says_what_it_is_for() -> None:
    text = "host: 127.0.0.1\nservices:\n  cache:\n    port: 6379\n    protocol: tcp\n"
    (finding,) = examine(sources("{}") | {"ports.yaml": text.encode()})[1]
    assert (finding.rule, finding.line, finding.column) == ("GW021", 3, 3)
    assert finding.remedy == "Add 'owner': Who binds the port: a unit, a container, a program."


def test_a_number_in_quotes_is_not_a_number() -> None:
    finding = only("ports.yaml: {services: {local: {port: '8001'}}}")
    assert finding.rule == "GW022"
    assert finding.message == "services.local.port must be a whole number, not text."
    assert finding.remedy == "Write it as digits, without quotes."


@pytest.mark.parametrize(("word", "meant"), [("yes", "true"), ("On", "true"), ("no", "false")])
def test_a_boolean_of_old_yaml_is_answered_with_the_new_one(word: str, meant: str) -> None:
    raw = sources("{}")
    text = raw["model-mappings.yaml"].replace(b"metrics: true", b"metrics: " + word.encode())
    (finding,) = examine(raw | {"model-mappings.yaml": text})[1]
    assert (finding.rule, finding.remedy) == ("GW022", f"Write {meant}.")


@pytest.mark.parametrize(
    ("example", "rule", "words"),
    [
        ("providers.yaml: {providers: {local: {type: vlm}}}", "GW023", "Did you mean 'vllm'?"),
        (
            "providers.yaml: {providers: {local: {status: no}}}",
            "GW023",
            "must be 'active', 'optional'",
        ),
        ("providers.yaml: {providers: {Big One: {}}}", "GW023", "lower case letters"),
        ("providers.yaml: {providers: {local: {models: []}}}", "GW023", "at least 1 item"),
        ("providers.yaml: {providers: {local: {models: {}}}}", "GW022", "a list, not a mapping"),
        ("providers.yaml: {providers: []}", "GW022", "must be a mapping, not a list"),
        ("providers.yaml: {providers: {local: {api_path: v1}}}", "GW023", "starts with '/'"),
        ("providers.yaml: {providers: {local: {base_url: 'https://x.y'}}}", "GW024", "exactly one"),
        ("providers.yaml: {providers: {local: {port: ~}}}", "GW024", "exactly one address"),
        ("providers.yaml: {providers: {local: {health: ~}}}", "GW024", "so it needs health"),
        ("providers.yaml: {providers: {local: {rate_limits: {}}}}", "GW024", "holds no limit"),
        ("providers.yaml: {hosts: {box: {vram_gb: ~}}}", "GW024", "only one of gpu and vram_gb"),
        ("ports.yaml: {services: {local: {port: 0}}}", "GW023", "greater than or equal to 1"),
        ("ports.yaml: {services: {local: {port: 8000.0}}}", "GW022", "whole number, not a number"),
        ("ports.yaml: {services: {local: {port: true}}}", "GW022", "whole number, not a boolean"),
        ("ports.yaml: {host: 127}", "GW022", "must be text, not a whole number"),
        ("model-mappings.yaml: {resilience: {timeout_s: .inf}}", "GW023", "finite number"),
        ("model-mappings.yaml: {resilience: {timeout_s: '30'}}", "GW022", "a number, not text"),
        ("model-mappings.yaml: {resilience: {timeout_s: 0}}", "GW023", "greater than 0"),
        ("model-mappings.yaml: {routes: {exact: {a b: {}}}}", "GW023", "a model name"),
        ("model-mappings.yaml: {fallback_chains: {c: [tiny]}}", "GW023", "at least 2 items"),
        ("model-mappings.yaml: {gateway: {master_key: {env: 1key}}}", "GW023", "upper case"),
        ("model-mappings.yaml: {cache: {type: redis, ttl_s: 9}}", "GW024", "needs service"),
        (
            "model-mappings.yaml: {cache: {type: local, ttl_s: 9, password: {env: P}}}",
            "GW024",
            "nobody to send a password to",
        ),
        (
            "model-mappings.yaml: {rules: [{name: tiny, route: spare, when: {}}]}",
            "GW024",
            "no condition",
        ),
        (
            "model-mappings.yaml: {budgets: {total: {limit_usd: 1, period: monthly}}}",
            "GW023",
            "a period",
        ),
        ("model-mappings.yaml: {budgets: {total: {limit_usd: 0, period: 1d}}}", "GW023", "than 0"),
        (
            "model-mappings.yaml: {routes: {patterns: [{match: a*, regex: a, route: tiny}]}}",
            "GW024",
            "exactly one of match",
        ),
        (
            "model-mappings.yaml: {routes: {patterns: [{regex: 'a(', route: tiny}]}}",
            "GW023",
            "the group is not closed",
        ),
        ("providers.yaml: {providers: {local: {priority: 0}}}", "GW023", "greater than or equal"),
        ("providers.yaml: {providers: {local: {region: EU West}}}", "GW023", "lower case letters"),
    ],
)
def test_each_kind_of_bad_value_is_named(example: str, rule: str, words: str) -> None:
    lines = [str(finding) for finding in findings(example) if finding.rule == rule]
    assert any(words in line for line in lines), lines or findings(example)


@pytest.mark.parametrize(
    ("glob", "words"),
    [
        ("w/*-chat", "litellm#42090"),
        ("*/x", "litellm#42090"),
        ("a*b*", "litellm#42090"),
        ("plain", "exactly one '*'"),
        ("*", "every misspelt model name"),
        ("a?*", "may hold only letters"),
    ],
)
def test_a_glob_that_the_gateway_would_read_differently_is_refused(glob: str, words: str) -> None:
    finding = only(
        f"model-mappings.yaml: {{routes: {{patterns: [{{match: '{glob}', route: tiny}}]}}}}"
    )
    assert finding.rule == "GW023"
    assert words in finding.message


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://x.y", "https://", "https://x.y/", "https://x.y?k=v", "http://[::1",
     "http://x:99999"],
)  # fmt: skip
def test_a_base_url_that_is_no_server_root_is_refused(url: str) -> None:
    finding = only(
        f"providers.yaml: {{providers: {{spare: {{port: ~, health: ~, base_url: '{url}'}}}}}}"
    )
    assert (finding.rule, finding.message.split()[0]) == ("GW023", "providers.spare.base_url")


@pytest.mark.parametrize(
    "example",
    [
        "providers.yaml: {providers: {local: {api_key: sk-verysecret}}}",
        "providers.yaml: {providers: {local: {api_key: {env: sk-verysecret}}}}",
        "providers.yaml: {providers: {local: {base_url: 'sk-verysecret'}}}",
        "providers.yaml: {providers: {local: {base_url: 'https://u:sk-verysecret@x.y/'}}}",
        "providers.yaml: {providers: {local: {base_url: 'https://u:sk-verysecret@x.y'}}}",
        "providers.yaml: {providers: {local: {status: sk-verysecret}}}",
        "model-mappings.yaml: {gateway: {master_key: sk-verysecret}}",
        "model-mappings.yaml: {gateway: {master_key: [sk-verysecret]}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_never_repeated(example: str) -> None:
    assert findings(example)
    assert "verysecret" not in "\n".join(str(finding) for finding in findings(example))


def test_a_literal_key_is_answered_with_how_to_name_a_variable() -> None:
    finding = only("providers.yaml: {providers: {local: {api_key: sk-verysecret}}}")
    assert finding.remedy.startswith("Write {env: NAME}")


def test_all_errors_of_all_files_are_reported_at_once() -> None:
    example = """
providers.yaml: {providers: {local: {type: vlm, status: up, prot: local}}}
model-mappings.yaml: {resilience: {retries: '0'}, gatway: {}}
ports.yaml: {host: ~, services: {local: {port: -1}, spare: {port: '1'}}}
"""
    assert [(finding.file, finding.rule) for finding in findings(example)] == [
        ("model-mappings.yaml", "GW022"),
        ("model-mappings.yaml", "GW020"),
        ("ports.yaml", "GW021"),
        ("ports.yaml", "GW023"),
        ("ports.yaml", "GW022"),
        ("providers.yaml", "GW023"),
        ("providers.yaml", "GW023"),
        ("providers.yaml", "GW020"),
    ]
