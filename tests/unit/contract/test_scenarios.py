from __future__ import annotations

import json

import pytest

from harness.contract.scenarios import MAX_TOKENS, SCENARIOS, Scenario

URL, MODEL, KEY = "http://127.0.0.1:1/v1", "a-model", "a-key"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_a_scenario_builds_the_same_bytes_every_time(scenario: Scenario) -> None:
    assert scenario.build(URL, MODEL, KEY) == scenario.build(URL, MODEL, KEY)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.generates], ids=lambda s: s.id)
def test_what_generates_is_short_and_fixed(scenario: Scenario) -> None:
    body = json.loads(scenario.build(URL, MODEL, KEY).body)
    assert body["max_tokens"] == MAX_TOKENS
    assert body["temperature"] == (1 if body.get("n") else 0)  # vLLM: n must be 1 when greedy
    assert isinstance(body["seed"], int)


def test_stream_and_unary_differ_in_nothing_but_the_mode() -> None:
    built = {s.id: s.build(URL, MODEL, KEY) for s in SCENARIOS}
    unary, stream = (json.loads(built[name].body) for name in ("unary", "stream"))
    assert stream == unary | {"stream": True}


def test_bad_json_is_not_json_and_bad_type_is() -> None:
    built = {s.id: s.build(URL, MODEL, KEY) for s in SCENARIOS}
    with pytest.raises(json.JSONDecodeError):
        json.loads(built["bad_json"].body)
    assert isinstance(json.loads(built["bad_type"].body)["messages"], str)


def test_the_key_is_sent_except_where_its_absence_is_the_question() -> None:
    keyed = {s.id: dict(s.build(URL, MODEL, KEY).headers).get("authorization") for s in SCENARIOS}
    assert keyed.pop("no_key") is None
    assert keyed.pop("wrong_key") not in {None, f"Bearer {KEY}"}
    assert set(keyed.values()) == {f"Bearer {KEY}"}


def test_no_key_means_no_header() -> None:
    scenario = next(s for s in SCENARIOS if s.id == "unary")
    assert "authorization" not in dict(scenario.build(URL, MODEL, "").headers)
