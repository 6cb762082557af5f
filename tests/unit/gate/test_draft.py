from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.gate import Policy, draft_policy, judge, load_policy
from harness.registry import Registry, examine, load
from harness.registry.examples import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = load(Path(__file__).parents[3] / "config")


def of(change: str) -> Registry:
    registry, findings = examine(sources(change))
    assert registry is not None, findings
    return registry


def drafted(registry: Registry, tmp_path: Path) -> Policy:
    path = tmp_path / "gates.yaml"
    path.write_text(draft_policy(registry))
    return load_policy(path)


def needs(policy: Policy) -> Iterator[tuple[str, str, int]]:
    for gate in policy.gates:
        for need in gate.evidence:
            yield need.check, need.subject, need.at_least


def test_it_loads_and_asks_for_what_these_sources_promise(tmp_path: Path) -> None:
    policy = drafted(SHIPPED, tmp_path)
    asked = {(check, subject): count for check, subject, count in needs(policy)}

    assert asked["contract.*", "vllm"] == 10
    assert asked["gateway.cors", "*"] == len(SHIPPED.gateway.cors_origins) + 1
    assert asked["route.balance", "*"] == 1
    assert asked["fallback.kill-matrix", "* [[]down: *]"] == 2**3
    assert {limit.phase for limit in policy.limits} == {"TTFT", "ITL", "E2E"}


def test_every_row_of_the_shipped_policy_but_the_claims_is_drafted(tmp_path: Path) -> None:
    shipped = {gate.id for gate in load_policy(Path("config/gates.yaml")).gates}

    assert {gate.id for gate in drafted(SHIPPED, tmp_path).gates} == shipped - {"claims.capacity"}


def test_what_the_sources_do_not_promise_is_not_asked_for(tmp_path: Path) -> None:
    bare = of("model-mappings.yaml: {gateway: {metrics: false}}")
    asked = {check for check, _, _ in needs(drafted(bare, tmp_path))}

    assert not asked & {"fallback.kill-matrix", "route.balance", "gateway.metrics"}


def test_a_group_with_names_behind_it_has_its_own_kill_matrix(tmp_path: Path) -> None:
    group = "{strategy: weighted, members: [{route: tiny}, {route: spare}]%s}"
    cells = []
    for behind in ("", ", fallbacks: [far]"):
        registry = of(f"""
ports.yaml: {{services: {{third: {{port: 8090, protocol: http, owner: third}}}}}}
providers.yaml: {{providers: {{third: {{type: vllm, port: third, status: active,
  health: {{path: /health, timeout_s: 2}}, models: [{{name: far, served_as: far,
  context_length: 8192, capabilities: [chat], mode: chat, residency: always}}]}}}}}}
model-mappings.yaml: {{routes: {{exact: {{far: {{provider: third, model: far}}}}}},
  load_balancing: {{both: {group % behind}}}}}
""")
        asked = {check: count for check, _, count in needs(drafted(registry, tmp_path))}
        cells.append(asked.get("fallback.kill-matrix", 0))
    assert cells == [0, 2**3]


def test_a_server_that_speaks_another_api_is_held_to_it_through_the_gateway_only(
    tmp_path: Path,
) -> None:
    cloud = of(
        "providers.yaml: {providers: {cloud: {type: anthropic, status: active, "
        "base_url: 'https://api.example.com', api_key: {env: CLOUD_KEY}, models: ["
        "{name: big, served_as: big, context_length: 8192, capabilities: [chat], mode: chat, "
        "residency: always}]}}}"
    )

    assert "contract.cloud" not in {gate.id for gate in drafted(cloud, tmp_path).gates}


def test_without_evidence_every_row_of_a_draft_fails(tmp_path: Path) -> None:
    report = judge([], drafted(SHIPPED, tmp_path).of("emulated"))

    assert {row.verdict for row in report.rows} == {Verdict.FAIL}


def test_one_piece_of_evidence_too_few_fails_its_row(tmp_path: Path) -> None:
    policy = drafted(SHIPPED, tmp_path)
    (row,) = (gate for gate in policy.gates if gate.id == "config.valid")
    told = [
        Evidence(check="config.schema", subject=str(n), asked="?", verdict=Verdict.PASS, n=1)
        for n in range(row.evidence[0].at_least)
    ]

    assert next(judge(told, policy).rows.__iter__()).verdict is Verdict.PASS
    assert next(judge(told[1:], policy).rows.__iter__()).verdict is Verdict.FAIL
