from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.engines.emulator.dialects import llama_cpp_state
from harness.engines.metrics import (
    FACTS,
    NAMES,
    Quantity,
    Series,
    dialect_of,
    labels_of,
    quantities,
    read_metrics,
    total,
)

RECORDED = Path(__file__).parents[2] / "recordings" / "vllm-0.32.0.jsonl"

PAGE = r"""# HELP a what it is
# TYPE a gauge
a 1
a{x="1"} 2.5 1700000000
b{path="C:\\dir",said="\"}\" or \n,"} +Inf
c_total{x="1",} 3e+06
d_bucket{le="1.0"} 4 # {trace_id="abc"} 0.5 1700000000.0
"""


def recorded_page() -> str:
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if said.get("probe") == "metrics":
            return str(said["body"])
    raise AssertionError("no metrics page was recorded")


def test_names_labels_and_values_are_read_and_the_rest_is_left() -> None:
    assert read_metrics(PAGE) == (
        Series("a", {}, 1.0),
        Series("a", {"x": "1"}, 2.5),
        Series("b", {"path": "C:\\dir", "said": '"}" or \n,'}, float("inf")),
        Series("c_total", {"x": "1"}, 3e6),
        Series("d_bucket", {"le": "1.0"}, 4.0),
    )


@pytest.mark.parametrize(
    "line", ["a", "a{", 'a{x="1} 2', "a one", "<html>", '{"error": 1}', "a 1 2 3"]
)
def test_what_is_no_sample_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is no sample"):
        read_metrics(f"a 1\n{line}\n")


def test_only_a_line_feed_ends_a_line() -> None:
    label = "a\x0bb\x85c\u2028d"
    page = f'# HELP a {label}\r\na{{x="{label}"}} 1\r\n'
    assert read_metrics(page) == (Series("a", {"x": label}, 1.0),)


def test_a_name_is_summed_over_its_series_and_an_unknown_one_is_unknown() -> None:
    series = read_metrics(PAGE)

    assert total(series, "a") == 3.5
    assert total(series, "aa") is None
    assert labels_of(series, "c_total") == {"x": "1"}
    assert labels_of(series, "nothing") == {}


def test_a_page_that_vllm_sent_tells_every_quantity() -> None:
    series = read_metrics(recorded_page())

    dialect = dialect_of(series)

    assert dialect == "vllm"
    assert set(quantities(series, dialect)) == set(NAMES["vllm"])
    assert quantities(series, dialect)[Quantity.GENERATED] > 0
    assert labels_of(series, FACTS["vllm"])["num_gpu_blocks"] == "4305"


def test_a_page_of_llama_cpp_tells_what_it_has_and_no_use_of_its_cache() -> None:
    page = llama_cpp_state.metrics({"requests_processing": 3, "tokens_predicted_total": 70})
    series = read_metrics(page)

    dialect = dialect_of(series)

    assert dialect == "llama_cpp_native"
    assert quantities(series, dialect) == {
        Quantity.RUNNING: 3,
        Quantity.WAITING: 0,
        Quantity.PREFIX_HITS: 0,
        Quantity.PROMPT_TOKENS: 0,
        Quantity.GENERATED: 70,
    }


def test_engines_behind_one_page_are_summed_and_the_fullest_cache_counts() -> None:
    page = "\n".join(
        f'vllm:{name}{{engine="{engine}"}} {value}'
        for name, values in {
            "num_requests_running": (3, 4),
            "num_requests_waiting": (0, 2),
            "kv_cache_usage_perc": (0.25, 0.75),
        }.items()
        for engine, value in enumerate(values)
    )

    assert quantities(read_metrics(page), "vllm") == {
        Quantity.RUNNING: 7,
        Quantity.WAITING: 2,
        Quantity.KV: 0.75,
    }


def test_the_newest_name_counts_where_a_page_has_two() -> None:
    page = "vllm:kv_cache_usage_perc 0.5\nvllm:gpu_cache_usage_perc 0.1\n"

    assert quantities(read_metrics(page), "vllm") == {Quantity.KV: 0.5}


def test_a_page_of_another_kind_has_no_dialect() -> None:
    assert dialect_of(read_metrics("process_cpu_seconds_total 1\nvllm_running 1\n")) is None
