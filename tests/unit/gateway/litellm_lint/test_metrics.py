from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.litellm_lint import lint_dashboard, lint_rules
from harness.gateway.litellm_lint.metrics import judge_dashboard

if TYPE_CHECKING:
    from pathlib import Path


def rules(folder: Path, text: str) -> list[tuple[str, int, int]]:
    path = folder / "rules.yaml"
    path.write_text(text)
    return [(each.rule, each.line, each.column) for each in lint_rules(path)]


def dashboard(value: object) -> list[tuple[str, int]]:
    data = json.dumps(value, indent=1).encode()
    return [(each.rule, each.line) for each in judge_dashboard("d.json", data)]


def panel(expression: str, **more: object) -> dict[str, object]:
    return {"panels": [{"targets": [{"expr": expression, **more}]}]}


@pytest.mark.parametrize("name", ["litellm_provider_errors_total", "litellm_cache_hit_rate"])
def test_the_names_the_documents_quote_are_dead(name: str) -> None:
    assert [rule for rule, _ in dashboard(panel(f"rate({name}[5m])"))] == ["GW301"]


def test_the_place_is_that_of_the_name_inside_a_block(tmp_path: Path) -> None:
    text = """groups:
  - name: g
    rules:
      - alert: A
        expr: |
          up == 0
            or litellm_gone > 0
"""
    assert rules(tmp_path, text) == [("GW301", 7, 16)]


def test_a_recorded_name_is_known_in_its_file(tmp_path: Path) -> None:
    text = """groups:
  - name: g
    rules:
      - {alert: A, expr: litellm_share > 0.5}
      - {record: litellm_share, expr: sum(litellm_deployment_state)}
"""
    assert rules(tmp_path, text) == []


def test_rules_of_kubernetes_and_of_grafana_are_read(tmp_path: Path) -> None:
    nested = """kind: PrometheusRule
spec:
  groups: [{name: g, rules: [{alert: A, expr: litellm_gone}]}]
"""
    assert [rule for rule, *_ in rules(tmp_path, nested)] == ["GW301"]
    grafana = """groups:
  - name: g
    rules:
      - title: A
        data: [{refId: A, model: {expr: litellm_gone}}]
"""
    assert [rule for rule, *_ in rules(tmp_path, grafana)] == ["GW301"]


@pytest.mark.parametrize(
    "text",
    [
        "groups: 5",
        "groups: [{name: g}]",
        "groups: [{name: g, rules: [5]}]",
        "groups: [{name: g, rules: [{alert: A}]}]",
        "groups: [5]",
    ],
)
def test_a_file_of_the_wrong_shape_is_a_finding(text: str, tmp_path: Path) -> None:
    assert [rule for rule, *_ in rules(tmp_path, text)] == ["GW310"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("vllm:gpu_cache_usage_perc", "GW302"),
        ("vllm:num_preemptions", "GW302"),  # a counter shows as ..._total
        ("llamacpp:kv_cache_usage_ratio", "GW303"),
    ],
)
def test_metrics_of_the_servers_are_known_too(name: str, rule: str) -> None:
    assert [found for found, _ in dashboard(panel(name))] == [rule]


@pytest.mark.parametrize(
    "name",
    [
        "vllm:num_preemptions_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:nixl_num_failed_transfers_total",
        "vllm:request_success_total:rate5m",
        "llamacpp:requests_deferred",
        "litellm_redis_latency_bucket",
        "litellm_in_flight_requests",
        "node_cpu_seconds_total",
    ],
)
def test_names_that_exist_or_belong_to_others_pass(name: str) -> None:
    assert dashboard(panel(name)) == []


def test_panels_variables_and_annotations_are_read_and_texts_are_not() -> None:
    value = {
        "annotations": {"list": [{"expr": "litellm_gone_1"}]},
        "templating": {"list": [{"query": {"query": "label_values(litellm_gone_2, m)"}}]},
        "panels": [
            {"type": "row", "panels": [{"targets": [{"expr": "litellm_gone_3"}]}]},
            {"type": "text", "options": {"content": "litellm_gone_4"}},
            {"title": "litellm_gone_5", "description": "litellm_gone_6"},
        ],
    }
    assert [rule for rule, _ in dashboard(value)] == ["GW301"] * 3


def test_a_name_twice_in_one_expression_is_one_finding() -> None:
    assert len(dashboard(panel("litellm_gone / litellm_gone"))) == 1


def test_the_remedy_is_the_name_with_its_suffix() -> None:
    data = json.dumps(panel("litellm_cache_hits_metric")).encode()
    (finding,) = judge_dashboard("d.json", data)
    assert finding.remedy == "Did you mean 'litellm_cache_hits_metric_total'?"


@pytest.mark.parametrize(
    "data", [b"{", b"", b"[]", b"\xff", b'{"panels": ' + b"[" * 100_000, b"5", b'{"a": NaN,}']
)
def test_what_is_no_dashboard_is_a_finding(data: bytes) -> None:
    assert [each.rule for each in judge_dashboard("d.json", data)] == ["GW310"]


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    assert [each.rule for each in lint_rules(tmp_path / "none")] == ["GW001"]
    assert [each.rule for each in lint_dashboard(tmp_path / "none")] == ["GW001"]


@given(st.binary(max_size=300))
def test_any_bytes_give_findings_and_no_exception(data: bytes) -> None:
    judge_dashboard("d.json", data)
