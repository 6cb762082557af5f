from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harness.engines.emulator.dialects import vllm_metrics
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, ServedModel

GOLDEN = Path(__file__).parent / "golden" / "vllm-0.32.0-metrics.txt"
"""Every ``vllm:`` line of a real server started with a context of 1,024 tokens, but its values."""

BATCHING = BatchingSpec(
    scheduler=SchedulerConfig(
        num_blocks=400,
        block_size=32,
        max_model_len=1024,
        max_num_seqs=2,
    ),
    step_time=Fitted(constant_s=0.0005),
)


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def total(found: dict[str, float], name: str, **labels: str) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for series, value in found.items()
        if series.partition("{")[0] == f"vllm:{name}" and all(each in series for each in wanted)
    )


def batched(lab: Any, scenario: Any) -> None:
    models = (ServedModel("tiny", 1024), ServedModel("large", 1024))
    lab.run(scenario, dialect="vllm", models=models, batching=BATCHING)


def test_names_labels_order_buckets_and_helps_are_those_of_the_real_server(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        found = [
            line if line.startswith("#") else line[: line.rindex("}") + 1]
            for line in vllm_metrics.render(it.emulator.dialect).splitlines()
        ]
        *known, config = GOLDEN.read_text().splitlines()
        assert found[:-1] == known
        *_, last = found
        for label in last.partition("{")[2][:-1].split(","):
            assert label.partition("=")[0] + '="' in config
        for shown in ('num_gpu_blocks="400"', 'kv_cache_size_tokens="12800"', 'block_size="32"'):
            assert shown in last
            assert shown in config

    batched(lab, scenario)


def test_a_wrong_name_would_be_seen(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_metrics, "_REASONS", ("stop", "length", "abort", "error"))
    with pytest.raises(AssertionError):
        test_names_labels_order_buckets_and_helps_are_those_of_the_real_server(lab)


def test_it_counts_what_was_served(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        words = " ".join(f"w{k}" for k in range(64))
        for _ in range(2):
            answered = await it.chat(
                stream=True, max_tokens=20, messages=[{"role": "user", "content": words}]
            )
            assert answered.whole
        found = values(vllm_metrics.render(it.emulator.dialect))
        assert total(found, "request_success_total", finished_reason="length") == 2
        assert total(found, "generation_tokens_total") == 40
        assert total(found, "prefix_cache_queries_total") > 2 * 60
        assert total(found, "prefix_cache_hits_total") >= 32
        assert total(found, "time_to_first_token_seconds_count") == 2
        assert total(found, "inter_token_latency_seconds_count") == 38
        assert total(found, "request_queue_time_seconds_count") == 2
        assert total(found, "kv_cache_usage_perc") == 0
        assert total(found, "e2e_request_latency_seconds_sum") > 0

    batched(lab, scenario)


def test_tokens_are_counted_as_they_come_and_prompts_with_the_first(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        asking = asyncio.ensure_future(it.chat(stream=True, max_tokens=200))
        found: dict[Any, float] = {}
        while not found or not total(found, "generation_tokens_total"):
            await asyncio.sleep(0)
            found = values(vllm_metrics.render(it.emulator.dialect))
        assert total(found, "generation_tokens_total") < 200
        assert total(found, "prompt_tokens_total") > 0
        assert total(found, "request_success_total") == 0
        await asking
        found = values(vllm_metrics.render(it.emulator.dialect))
        assert total(found, "generation_tokens_total") == 200

    batched(lab, scenario)


def test_it_counts_without_batching_too(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        await it.chat(stream=True, max_tokens=4)
        found = values(vllm_metrics.render(it.emulator.dialect))
        assert total(found, "request_success_total", finished_reason="length") == 1
        assert total(found, "inter_token_latency_seconds_count") == 3

    lab.run(scenario, dialect="vllm")


def test_asleep_it_lets_wait_and_awake_it_goes_on(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        dialect = it.emulator.dialect
        routes = vllm_metrics.routes(dialect)

        def ask(path: str, query: str = "") -> tuple[int, Any]:
            class Asked:
                target = path + query

            answer = routes[path][1](Asked())  # type: ignore[arg-type]
            return answer.status, json.loads(answer.frames[0].data)  # type: ignore[union-attr]

        assert ask("/is_sleeping") == (200, {"is_sleeping": False})
        assert ask("/sleep", "?level=2") == (200, {"status": "sleeping", "level": 2})
        assert ask("/is_sleeping") == (200, {"is_sleeping": True})
        found = values(vllm_metrics.render(dialect))
        assert total(found, "engine_sleep_state", sleep_state="awake") == 0
        assert total(found, "engine_sleep_state", sleep_state="discard_all") == 1
        waiter = asyncio.ensure_future(it.chat(max_tokens=2))
        await it.until(lambda: it.emulator.turns.waiting == 1)
        told = total(values(vllm_metrics.render(dialect)), "num_requests_waiting")
        assert told == (it.emulator.batch is None)  # asleep vLLM makes no step, and tells nothing
        assert ask("/wake_up") == (200, {"status": "awake", "tags": None})
        assert (await waiter).status == 200
        assert ask("/sleep", "?level=9")[0] == 422

    batched(lab, scenario)
    lab.run(scenario, dialect="vllm")


def test_some_samples_can_be_asked_for_by_name(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        await it.chat(max_tokens=4)
        dialect = it.emulator.dialect

        class Asked:
            target = (
                "/metrics/?name[]=vllm:num_requests_waiting"
                "&name[]=vllm:e2e_request_latency_seconds_count&name[]=none"
            )

        answer = vllm_metrics.routes(dialect)["/metrics/"][1](Asked())  # type: ignore[arg-type]
        labels = '{engine="0",model_name="tiny"}'
        assert answer.frames[0].data.decode().splitlines() == [  # type: ignore[union-attr]
            "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.",
            "# TYPE vllm:num_requests_waiting gauge",
            f"vllm:num_requests_waiting{labels} 0.0",
            "# HELP vllm:e2e_request_latency_seconds Histogram of e2e request latency in seconds.",
            "# TYPE vllm:e2e_request_latency_seconds histogram",
            f"vllm:e2e_request_latency_seconds_count{labels} 1.0",
        ]
        Asked.target = "/metrics/"
        answer = vllm_metrics.routes(dialect)["/metrics/"][1](Asked())  # type: ignore[arg-type]
        assert answer.frames[0].data.decode() == vllm_metrics.render(dialect)  # type: ignore[union-attr]
        Asked.target = "/metrics/?name[]=none"
        answer = vllm_metrics.routes(dialect)["/metrics/"][1](Asked())  # type: ignore[arg-type]
        assert answer.frames[0].data == b""  # type: ignore[union-attr]

    batched(lab, scenario)


def test_who_arrives_amid_a_step_is_told_of_when_it_has_ended(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        def told() -> float:
            return total(values(vllm_metrics.render(it.emulator.dialect)), "num_requests_waiting")

        asking = [asyncio.ensure_future(it.chat(max_tokens=300)) for _ in range(5)]
        seen = [(0.0, 0, 0.0)]
        while not all(each.done() for each in asking):
            stepper = it.emulator.batch.stepper
            seen.append((told(), stepper.waiting, stepper.steps))
            await asyncio.sleep(0)
        assert max(seen)[0] == 3  # two have a place
        assert all(shown == 0 for shown, _, steps in seen if steps < 2)
        assert any(now > shown for shown, now, _ in seen)
        assert told() == 0

    batched(lab, scenario)


def test_it_is_not_healthy_while_it_warms_up(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        dialect = it.emulator.dialect
        assert vllm_metrics.health(dialect).status == 503
        it.emulator.turns.ready_ns = 0
        assert vllm_metrics.health(dialect).status == 200

    lab.run(scenario, dialect="vllm", warm_up_ms=1e9)
