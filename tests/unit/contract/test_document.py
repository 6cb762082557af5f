from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.contract import fuzz
from harness.contract.document import contract, documented, schema_of

if TYPE_CHECKING:
    from harness.contract.lane import Observations


def references(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(references, value.values()))


def test_every_reference_points_at_something() -> None:
    document = contract("m")
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_the_request_is_narrowed_to_one_model() -> None:
    assert contract("m")["components"]["schemas"]["ModelName"]["enum"] == ["m"]
    assert "enum" not in json.dumps(contract("m")).split("ModelName")[0]


def test_every_answer_schema_says_where_it_comes_from_and_what_it_weighs() -> None:
    schemas = contract("m")["components"]["schemas"]
    for name in ("ChatCompletion", "ChatCompletionChunk", "ModelList", "ErrorEnvelope", "Usage"):
        assert schemas[name]["x-source"]
        assert schemas[name]["x-tier"] in {"must", "should", "record"}


@pytest.mark.parametrize("scenario", ["unary", "n2", "stream", "stream_usage", "models"])
def test_the_reference_is_valid(good: Observations, scenario: str) -> None:
    answer = good.seen[scenario]
    schema = schema_of(answer)
    assert schema is not None
    bodies = [e.json for e in answer.events if not e.is_done] if answer.streamed else [answer.body]
    assert [fuzz.first_error(schema, body) for body in bodies] == [""] * len(bodies)


def test_an_error_and_an_unknown_operation_have_no_schema_of_success(good: Observations) -> None:
    assert schema_of(good.seen["bad_type"]) is None


def test_each_operation_has_its_own_statuses(good: Observations) -> None:
    assert 404 in documented(good.seen["unary"])
    assert 404 not in documented(good.seen["models"])
    assert 500 not in documented(good.seen["unary"])
