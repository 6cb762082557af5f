from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import Evidence
from harness.report.matrices import Tier, contract_matrix, kill_matrices, parse_subject
from harness.report.view import Item, Kind, items

if TYPE_CHECKING:
    Example = Any


def kill(down: str, value: str | None, verdict: str = "pass") -> Evidence:
    return Evidence(
        check="fallback.kill-matrix",
        subject=f"m [down: {down}]",
        asked="?",
        verdict=verdict,
        value=value,
    )


@pytest.mark.parametrize(
    ("subject", "parsed"),
    [
        ("qwen-coder-vllm [down: vllm, ollama]", ("qwen-coder-vllm", ("vllm", "ollama"))),
        ("llama3.1:8b [down: a]", ("llama3.1:8b", ("a",))),
        ("m [down: none]", ("m", ())),
        ("m [down: ]", ("m", ())),
        ("m [down:]", ("m", ())),
        ("m [revived: a]", ("m", ("a",))),
        ("m", None),
        ("[down: a]", None),
    ],
)
def test_a_subject_names_the_model_and_who_is_dead(subject: str, parsed: object) -> None:
    assert parse_subject(subject) == parsed


def test_cases_stand_with_the_fewest_dead_first_and_in_chain_order(green: Example) -> None:
    (matrix,) = kill_matrices(items(reversed(green.evidence)))

    assert matrix.tiers == ("vllm", "llama-cpp-native", "ollama")
    assert [case.down for case in matrix.cases[:5]] == [
        (),
        ("vllm",),
        ("llama-cpp-native",),
        ("ollama",),
        ("vllm", "llama-cpp-native"),
    ]
    assert len(matrix.cases) == 8


def test_the_case_with_the_most_dead_gives_the_order_of_the_chain() -> None:
    (matrix,) = kill_matrices(items([kill("c", "a"), kill("b", "a"), kill("a, b, c", "error 503")]))

    assert matrix.tiers == ("a", "b", "c")


def test_a_case_finds_its_latency(green: Example) -> None:
    (matrix,) = kill_matrices(items(green.evidence))

    for case in matrix.cases:
        assert case.latency is not None
        assert case.latency.evidence.subject == case.item.evidence.subject


def test_a_tier_is_down_answers_stands_by_or_is_skipped() -> None:
    records = [kill("a, b, c", "error 503"), kill("a", "c", "fail")]
    (matrix,) = kill_matrices(items(records))
    one, all_ = matrix.cases

    assert [matrix.tier(one, name) for name in "abc"] == [Tier.DOWN, Tier.SKIPPED, Tier.ANSWERED]
    assert [matrix.tier(all_, name) for name in "abc"] == [Tier.DOWN] * 3
    assert not matrix.answered(all_)


def test_an_error_while_tiers_live_skips_them_all() -> None:
    (matrix,) = kill_matrices(items([kill("a, b", "error 503"), kill("a", "error 429", "fail")]))

    assert matrix.tier(matrix.cases[0], "b") is Tier.SKIPPED


def test_several_outcomes_of_one_case_are_all_shown() -> None:
    (matrix,) = kill_matrices(
        items([kill("a, b, c", "error 503"), kill("a", "c | error 500", "fail")])
    )
    case = matrix.cases[0]

    assert matrix.tier(case, "c") is Tier.ANSWERED
    assert matrix.tier(case, "b") is Tier.SKIPPED
    assert case.outcome == "c | error 500"


def test_a_recovery_stands_with_its_chain(green: Example) -> None:
    (matrix,) = kill_matrices(items(green.evidence))

    assert [name for name, _ in matrix.recoveries] == ["vllm", "llama-cpp-native"]


def test_a_dead_tier_that_answers_is_shown_as_such() -> None:
    (matrix,) = kill_matrices(items([kill("a, b", "a", "fail")]))

    assert matrix.tier(matrix.cases[0], "a") is Tier.RISEN


def test_a_case_without_a_value_says_so() -> None:
    (matrix,) = kill_matrices(items([kill("a", None, "inconclusive")]))

    assert matrix.cases[0].outcome == "no answer recorded"


def test_without_evidence_there_is_no_matrix() -> None:
    assert kill_matrices([]) == ()
    assert contract_matrix([]) is None


def test_the_contract_is_split_into_direct_and_through_the_gateway(green: Example) -> None:
    matrix = contract_matrix(items(green.evidence))

    assert matrix is not None
    assert matrix.direct == ("vllm", "ollama", "llama-cpp-python", "llama-cpp-native")
    assert matrix.through == ("gateway:qwen-coder-vllm", "gateway:llama3.1:latest")
    assert len(matrix.checks) == 10
    assert matrix.kept("vllm") == (10, 10)
    assert matrix.kept("llama-cpp-python") == (8, 10)


def test_deviations_are_gathered_by_id(green: Example) -> None:
    matrix = contract_matrix(items(green.evidence))

    assert matrix is not None
    found = matrix.deviations()["litellm-unknown-model-400"]
    assert [item.evidence.subject for item in found] == list(matrix.through)


def test_of_several_answers_the_gravest_is_drawn() -> None:
    def record(verdict: str) -> Evidence:
        return Evidence(check="contract.a", subject="s", asked="?", verdict=verdict)

    matrix = contract_matrix(
        [Item(0, record("pass")), Item(1, record("fail")), Item(2, record("pass"))]
    )

    assert matrix is not None
    assert matrix.cells["a", "s"].kind is Kind.FAIL
