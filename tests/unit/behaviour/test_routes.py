from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from harness import answer as answers
from harness.answer import Answer
from harness.behaviour.routes import judge_models_list, judge_refusal, judge_route
from harness.evidence import Verdict
from harness.routing import Deployment, Refusal, Route, Rule, Tier

Said = Callable[[str], Answer]


@pytest.fixture
def route() -> Route:
    deployment = Deployment(
        id="name@vllm",
        group="name",
        provider="vllm",
        model="m",
        served_as="m",
        context_length=1,
        resident=True,
    )
    tier = Tier(group="name", deployments=(deployment,), why="itself")
    return Route(
        name="name", rule=Rule.EXACT, target="name", place="a.yaml:1:1", tiers=(tier,), steps=()
    )


def test_the_predicted_engine_and_deployment_pass(route: Route, said: Said) -> None:
    found = judge_route(route, said("vllm: hello"), "name@vllm")
    assert (found.verdict, found.value) == (Verdict.PASS, "vllm")


@pytest.mark.parametrize(
    ("content", "reported", "reason"),
    [
        ("ollama: hello", "name@vllm", "ollama answered"),
        ("hello", "name@vllm", "nobody known"),
        ("vllm: hello", "other@vllm", "reports deployment other@vllm"),
        ("vllm: hello", None, "reports deployment None"),
    ],
)
def test_any_other_witness_fails(
    route: Route, said: Said, content: str, reported: str | None, reason: str
) -> None:
    found = judge_route(route, said(content), reported)
    assert found.verdict is Verdict.FAIL
    assert reason in found.reason


def test_half_an_answer_of_the_right_engine_fails(
    route: Route, failed: Callable[[int], Answer]
) -> None:
    assert judge_route(route, failed(500), "name@vllm").verdict is Verdict.FAIL


def test_an_unclaimed_name_must_be_refused_explicitly(
    said: Said, failed: Callable[[int], Answer]
) -> None:
    refusal = Refusal(name="nope", steps=())
    assert judge_refusal(refusal, failed(404)).verdict is Verdict.PASS
    assert judge_refusal(refusal, failed(500)).verdict is Verdict.FAIL
    assert judge_refusal(refusal, said("vllm: hello")).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("advertised", "verdict", "reason"),
    [
        (["a", "b"], Verdict.PASS, ""),
        (["a"], Verdict.FAIL, "not advertised: b"),
        (["a", "b", "ghost"], Verdict.FAIL, "unknown to routing: ghost"),
        ([], Verdict.FAIL, "not advertised: a, b"),
    ],
)
def test_the_catalogue_holds_what_is_public_and_nothing_unknown(
    recorded: Callable[..., object], advertised: list[str], verdict: Verdict, reason: str
) -> None:
    body = json.dumps({"object": "list", "data": [{"id": name} for name in advertised]}).encode()
    answer = answers.read(recorded(200, body, path="/v1/models"))  # type: ignore[arg-type]
    found = judge_models_list(("a", "b", "c"), ("a", "b"), answer)
    assert found.verdict is verdict
    assert reason in found.reason
