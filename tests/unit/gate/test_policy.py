from __future__ import annotations

from pathlib import Path

import pytest

from harness.gate import Policy, PolicyError, limit, load_policy
from harness.registry import load

ROOT = Path(__file__).parents[3]

GOOD = """\
gates:
  - id: config.drift
    title: Generated config equals its sources
    owner: devops
    evidence:
      - {check: config.drift, subject: "*"}
limits:
  - {check: latency.ttft.p50, subject: "gateway:*", max: 300, unit: ms, phase: TTFT}
  - {check: "latency.ttft.*", subject: "*", max: 500, unit: ms, phase: TTFT}
"""


def policy_of(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    return load_policy(path)


def test_a_policy_is_read(tmp_path: Path) -> None:
    (gate,) = policy_of(tmp_path, GOOD).gates

    assert gate.evidence[0].at_least == 1
    assert not gate.evidence[0].may_be_not_run
    assert not gate.allow_inconclusive


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("owner:", "onwer:", r"gates\.yaml:4:5  GW020  .*'onwer' .* Did you mean 'owner'"),
        ("    owner: devops\n", "", r"gates\.yaml:2:5  GW021  .*'owner' is missing in gates\.0"),
        ('subject: "*"}', "at_least: 0}", r"gates\.yaml:6:41  GW023  .*greater than 0"),
        ('subject: "*"}', "at_least: '2'}", r"gates\.yaml:6:41  GW022  .*whole number"),
        ('"gateway:*"', "*", r"gates\.yaml:8:41  GW008"),
        ("owner: devops", "title: again", r"gates\.yaml:4:5  GW010  .*'title'"),
        ("max: 300", "max: .nan", r"gates\.yaml:8:58  GW023  limits\.0\.max"),
        ("max: 300", "max: -1", r"gates\.yaml:8:58  GW023  limits\.0\.max"),
        ("phase: TTFT}", "phase: latency}", r"gates\.yaml:8:80  GW023  .*'TTFT'"),
        ("config.drift\n", "unclaimed\n", r"gates\.yaml:2:9  GW023  The id 'unclaimed' is kept"),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, old: str, new: str, error: str) -> None:
    assert old in GOOD
    with pytest.raises(PolicyError, match=error):
        policy_of(tmp_path, GOOD.replace(old, new, 1))


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("owner:", "onwer:").replace("max: 500", "max: much")
    with pytest.raises(PolicyError) as caught:
        policy_of(tmp_path, text)

    assert [finding.line for finding in caught.value.findings] == [2, 4, 9]


def test_a_gate_without_evidence_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('\n      - {check: config.drift, subject: "*"}', " []")
    with pytest.raises(PolicyError, match=r"gates\.yaml:5:15  .* would pass without evidence"):
        policy_of(tmp_path, text)


def test_two_gates_of_one_id_are_refused(tmp_path: Path) -> None:
    gate = GOOD[GOOD.index("  - id") : GOOD.index("limits:")]
    with pytest.raises(PolicyError, match=r"gates\.yaml:7:9  .*'config\.drift' is taken"):
        policy_of(tmp_path, GOOD.replace("limits:", gate + "limits:"))


def test_a_limit_that_can_never_hold_is_refused(tmp_path: Path) -> None:
    first, second = GOOD.splitlines(keepends=True)[-2:]
    with pytest.raises(PolicyError, match=r"gates\.yaml:9:5  .*never applies"):
        policy_of(tmp_path, GOOD.replace(first + second, second + first))


@pytest.mark.parametrize("text", ["", "- a\n", "gates: 3\n", "gates: &a [*a]\n", "a: b: c\n"])
def test_a_file_that_is_no_policy_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError, match=r"gates\.yaml"):
        policy_of(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.yaml:1:1  .*cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_the_first_limit_that_matches_holds(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, GOOD)

    through = limit(policy, "latency.ttft.p50", "gateway:llama3.1:8b")
    direct = limit(policy, "latency.ttft.p50", "vllm")
    assert through is not None
    assert through.max == 300
    assert direct is not None
    assert direct.max == 500


def test_a_measurement_without_a_limit_has_none(tmp_path: Path) -> None:
    assert limit(policy_of(tmp_path, GOOD), "latency.itl.p50", "vllm") is None


def test_the_shipped_policy_is_valid_and_limits_every_latency() -> None:
    policy = load_policy(ROOT / "config" / "gates.yaml")

    for check in ("ttft.p50", "ttft.p95", "itl.p50", "e2e.p50", "gateway-overhead.p50"):
        assert limit(policy, f"latency.{check}", "gateway:any") is not None
    assert limit(policy, "fallback.latency", "m [down: a]") is not None


def test_the_shipped_policy_asks_for_every_kill_of_a_chain_of_three() -> None:
    policy = load_policy(ROOT / "config" / "gates.yaml")
    (need,) = [
        need for gate in policy.gates for need in gate.evidence if "kill-matrix" in need.check
    ]

    assert need.at_least == 2**3
    assert need.matches("fallback.kill-matrix", "qwen-coder-vllm [down: vllm, ollama]")
    assert not need.matches("fallback.kill-matrix", "qwen-coder-vllm")


def test_the_shipped_policy_asks_every_provider_that_may_run_for_its_contract() -> None:
    policy = load_policy(ROOT / "config" / "gates.yaml")
    asked = {
        need
        for gate in policy.gates
        for need in gate.evidence
        if need.check == "contract.*" and not need.subject.startswith("gateway:")
    }

    def rows(name: str) -> int:
        return sum(need.matches("contract.chat.whole", name) for need in asked)

    for name, provider in load(ROOT / "config").providers_source.providers.items():
        assert rows(name) == provider.enabled
        # A second server of the kind, named after the first, needs no edit here.
        assert rows(f"{name}-2") == provider.enabled


def test_a_policy_that_asks_for_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="would pass without evidence"):
        Policy(gates=())


TIERED = """\
gates:
  - id: always
    title: Always
    owner: devops
    evidence:
      - {check: a, tiers: [emulated]}
      - {check: a, tiers: [native, full], may_be_not_run: true}
  - id: sometimes
    title: Only where the real one runs
    owner: devops
    evidence: [{check: b, tiers: [full]}]
limits:
  - {check: a, max: 5, unit: ms, phase: TTFT, engine: emulated}
  - {check: a, max: 9, unit: ms, phase: TTFT}
"""


def test_what_must_be_proven_depends_on_the_tier(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, TIERED)
    assert [gate.id for gate in policy.of("full").gates] == ["always", "sometimes"]
    for tier, may_be_not_run in (("emulated", False), ("native", True)):
        (gate,) = policy.of(tier).gates
        assert [need.may_be_not_run for need in gate.evidence] == [may_be_not_run]


def test_a_limit_of_emulated_engines_does_not_bind_real_ones(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, TIERED)
    found = [limit(policy, "a", "x", engine) for engine in ("emulated", "real", "mixed")]
    assert [one.max for one in found if one] == [5, 9, 9]


def test_a_limit_for_all_hides_a_later_one_for_some(tmp_path: Path) -> None:
    lines = TIERED.splitlines()
    lines[-2:] = reversed(lines[-2:])
    with pytest.raises(PolicyError, match="The limit never applies"):
        policy_of(tmp_path, "\n".join(lines))
