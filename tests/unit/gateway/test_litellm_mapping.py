from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.litellm_mapping import TABLE, Fate, mapping_report
from harness.registry import RULES
from harness.registry.models import Mappings, Ports, Providers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.registry import Registry


def fields(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every scalar a schema knows, by its path."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if choices:
        yield from fields(choices[0], root, path)
    elif schema.get("type") == "array":
        yield from fields(schema["items"], root, f"{path}[]")
    elif "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from fields(inner, root, f"{path}.{name}" if path else name)
    elif schema.get("type") == "object":
        tables = schema.get("patternProperties") or {"": schema["additionalProperties"]}
        for inner in tables.values():
            yield from fields(inner, root, f"{path}.*")
    else:
        yield path


def test_every_field_of_the_schema_has_a_fate_and_no_other_has() -> None:
    known = set()
    for model in (Providers, Mappings, Ports):
        schema = model.model_json_schema()
        known |= set(fields(schema, schema))
    assert set(TABLE) == known


@pytest.mark.parametrize("field", TABLE)
def test_what_is_not_exact_says_why_or_is_not_for_the_gateway(field: str) -> None:
    fate, key, note = TABLE[field]
    assert key or note or fate is Fate.HARNESS or field == "gateway.port"
    assert not (fate is Fate.APPROXIMATED and not note)
    if fate is Fate.UNSUPPORTED:
        assert any(rule in note for rule in RULES), "a lint rule must say so where it matters"


def test_the_report_counts_what_the_sources_use(shipped: Registry) -> None:
    report = {each.field: each for each in mapping_report(shipped)}
    assert report["providers.*.type"].used == len(shipped.providers)
    assert report["fallback_chains.*[]"].used == 5
    assert "queue.max_size" not in report
    assert str(report["resilience.retries"]) == (
        "exact         resilience.retries -> router_settings.num_retries"
    )


def test_what_the_gateway_cannot_do_is_in_the_report(
    registry_of: Callable[[str], Registry],
) -> None:
    registry = registry_of(
        "model-mappings.yaml: "
        "{queue: {max_size: 9, max_wait_s: 3, priorities: [high], overflow: reject}}"
    )
    fates = {each.field: each.fate for each in mapping_report(registry)}
    assert fates["queue.max_size"] is Fate.UNSUPPORTED
    json.dumps([vars(each) for each in mapping_report(registry)])
