from __future__ import annotations

import json
import random

import pytest
import yaml

from harness.registry import Registry, examine
from harness.registry.examples import sources


def registry(example: str = "{}") -> Registry:
    loaded, findings = examine(sources(example))
    assert loaded is not None, findings
    return loaded


CHAIN = """
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}, spare: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
"""


def test_a_local_provider_is_reached_over_host_and_port_of_its_service() -> None:
    assert registry().base_url("local") == "http://127.0.0.1:8000/v1"
    assert registry().origin("local") == "http://127.0.0.1:8000"
    assert registry("ports.yaml: {host: '::1'}").base_url("local") == "http://[::1]:8000/v1"


def test_a_remote_provider_is_reached_over_its_url_and_api_path() -> None:
    example = "providers.yaml: {providers: {spare: {port: ~, base_url: 'https://x.y/z', %s}}}"
    assert registry(example % "").base_url("spare") == "https://x.y/z/v1"
    assert registry(example % "api_path: /api").base_url("spare") == "https://x.y/z/api"


def test_disabled_providers_are_known_but_not_enabled() -> None:
    loaded = registry("providers.yaml: {providers: {spare: {status: disabled}}}")
    assert list(loaded.providers) == ["local", "spare"]
    assert list(loaded.enabled_providers()) == ["local"]


def test_the_chain_of_a_route_is_what_follows_it() -> None:
    assert registry(CHAIN).chain_after("tiny") == ("spare",)
    assert registry(CHAIN).chain_after("spare") == ()
    assert registry().chain_after("tiny") == ()


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (lambda r: r.provider("locl"), "no provider 'locl'. Did you mean 'local'?"),
        (lambda r: r.model("local", "tini"), "called 'tini'. Did you mean 'tiny'?"),
        (lambda r: r.route("tin"), "no exact route 'tin'. Did you mean 'tiny'?"),
        (lambda r: r.address("gatway"), "no service 'gatway'. Did you mean 'gateway'?"),
        (lambda r: r.position(("nothing",)), "root key"),
    ],
)
def test_a_lookup_of_an_unknown_name_says_what_was_perhaps_meant(lookup, message) -> None:  # noqa: ANN001
    with pytest.raises(LookupError) as error:
        lookup(registry())
    assert message in str(error.value)


def test_a_position_is_found_in_the_file_that_holds_it() -> None:
    place = registry().position(("services", "local", "port"), key=True)
    assert (place.file, place.line, place.column) == ("ports.yaml", 8, 5)
    assert registry().position(("gateway", "port")).file == "model-mappings.yaml"
    assert registry().position(("providers", "local", "api_path")).file == "providers.yaml"


def shuffled(value: object, seed: random.Random) -> object:
    if isinstance(value, dict):
        keys = list(value)
        seed.shuffle(keys)
        return {key: shuffled(value[key], seed) for key in keys}
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_ignores_key_order_comments_and_style(seed: int) -> None:
    rewritten = {}
    for name, content in sources(CHAIN).items():
        value = shuffled(yaml.safe_load(content), random.Random(seed))
        text = json.dumps(value, indent=2) if seed % 2 else yaml.safe_dump(value, sort_keys=False)
        rewritten[name] = f"# seed {seed}\n{text}\n# end\n".encode()
    other, _ = examine(rewritten)
    assert other is not None
    assert other.sha256 == registry(CHAIN).sha256


@pytest.mark.parametrize(
    "example",
    [
        "ports.yaml: {services: {local: {port: 8002}}}",
        "ports.yaml: {services: {local: {optional: true}}}",
        "model-mappings.yaml: {public_models: [tiny, spare]}",
        "model-mappings.yaml: {public_models: [spare, tiny]}",
        "providers.yaml: {providers: {local: {features: [tools]}}}",
    ],
)
def test_the_hash_changes_with_what_is_said(example: str) -> None:
    hashes = {
        registry().sha256,
        registry("model-mappings.yaml: {public_models: [tiny, spare]}").sha256,
    }
    base = registry().sha256
    assert registry(example).sha256 != base
    assert len(hashes) == 2


def test_the_order_of_a_list_is_part_of_what_is_said() -> None:
    first = registry("model-mappings.yaml: {public_models: [tiny, spare]}")
    second = registry("model-mappings.yaml: {public_models: [spare, tiny]}")
    assert first.sha256 != second.sha256
