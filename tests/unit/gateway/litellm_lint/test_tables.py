from __future__ import annotations

import re

import pytest

from harness.gateway import environment
from harness.gateway.litellm_lint.tables import KEYS, exported, tables


def test_there_are_tables_for_the_pinned_version() -> None:
    assert tables().version == environment.version()


def test_a_version_without_tables_says_how_to_derive_them() -> None:
    with pytest.raises(FileNotFoundError, match=r"litellm_lint\.derive > 0\.0\.0\.json"):
        tables("0.0.0")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("top", "model_list"),
        ("top", "include"),
        ("litellm_settings", "drop_params"),
        ("litellm_settings", "success_callback"),
        ("litellm_settings", "cache_params"),
        ("router_settings", "cooldown_time"),
        ("router_settings", "model_group_alias"),
        ("general_settings", "master_key"),
        ("general_settings", "database_url"),
        ("litellm_params", "api_base"),
        ("litellm_params", "num_ctx"),
        ("model_info", "mode"),
        ("model_info", "max_input_tokens"),
        ("model", "litellm_params"),
        ("cache_params", "namespace"),
        ("cache_params", "ssl_cert_reqs"),
        ("retry_policy", "TimeoutErrorRetries"),
        ("allowed_fails_policy", "RateLimitErrorAllowedFails"),
    ],
)
def test_a_key_that_is_read_comes_with_the_place_that_reads_it(section: str, key: str) -> None:
    places = tables().sections[section][key]["read"]
    assert places
    assert all(re.fullmatch(r"[\w./]+\.py:\d+|[\w]+", place) for place in places)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("top", "cache"),
        ("top", "cors"),
        ("litellm_settings", "model_limits"),
        ("litellm_settings", "max_budget_per_day"),
        ("litellm_settings", "telemetry"),
        ("general_settings", "queue_config"),
        ("general_settings", "masterkey"),
        ("router_settings", "model_list"),
        ("litellm_params", "failover_only"),
        ("litellm_params", "api_bas"),
        ("cache_params", "cache_key_pattern"),
    ],
)
def test_a_key_nobody_reads_is_in_no_table(section: str, key: str) -> None:
    assert not tables().reads(section, key)


def test_counters_gauges_and_histograms_show_other_names() -> None:
    names = exported({"c": "counter", "d_total": "counter", "g": "gauge", "h": "histogram"})
    assert {name for name, metric in names.items() if metric == "c"} == {"c_total", "c_created"}
    assert "d_total" in names
    assert "d_total_total" not in names
    assert names["g"] == "g"
    assert {"h_bucket", "h_sum", "h_count"} <= names.keys()
    assert "h" not in names


def test_the_names_the_documents_quote_are_not_exported() -> None:
    known = tables().exported
    assert "litellm_provider_errors_total" not in known
    assert "litellm_cache_hit_rate" not in known
    assert {"litellm_cache_hits_metric_total", "litellm_deployment_state"} <= known.keys()


def test_the_tables_of_servers_name_their_source() -> None:
    text = (KEYS / "servers.json").read_text()
    assert "vllm/v1/metrics/loggers.py" in text
    assert "tools/server/README.md" in text
