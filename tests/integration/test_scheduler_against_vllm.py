"""Our scheduler and vLLM's own, step for step on the same loads: not one decision differs."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.scheduler import (
    Scheduler,
    SchedulerConfig,
    Sequence,
    StepPlan,
    chain_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable

THEIRS = Path(__file__).with_name("vllm_scheduler.py")
LOADS = int(os.environ.get("VLLM_SCHEDULER_LOADS", "200"))
MODEL = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "torch_dtype": "float32",
}
"""Read for its limits; it has no weights, and nothing is computed."""


def draw_load(seed: int, *, ahead: bool) -> dict[str, Any]:
    """A load that is hard on the cache: few blocks, shared prompts, aborts."""
    draw = random.Random(seed)
    block_size, longest = draw.choice([4, 8, 16]), draw.choice([64, 96, 128])
    seats = draw.choice([1, 3, 8, 16])
    chunked = draw.random() < 0.85
    budget = draw.choice([16, 32, 48, 200])
    config = SchedulerConfig(
        num_blocks=-(-longest // block_size) + 1 + draw.choice([0, 2, 6, 20]),
        block_size=block_size,
        max_model_len=longest,
        max_num_seqs=seats,
        max_num_batched_tokens=max(seats, budget if chunked else max(longest, budget)),
        long_prefill_token_threshold=draw.choice([0, 0, 0, 8, 20]),
        enable_chunked_prefill=chunked,
        enable_prefix_caching=draw.random() < 0.7,
        scheduler_reserve_full_isl=draw.random() < 0.7,
        watermark=draw.choice([0.0, 0.0, 0.0, 0.1]),
        policy=draw.choice(["fcfs", "priority"]),
        async_scheduling=ahead,
    )
    shared = [[draw.randrange(3, 900) for _ in range(longest)] for _ in range(3)]
    requests: list[dict[str, Any]] = []
    aborts: dict[str, list[int]] = {}
    for number in range(draw.choice([1, 3, 10, 25])):
        size = draw.randrange(1, longest - 1)
        known = draw.randrange(size + 1) if draw.random() < 0.6 else 0
        fresh = [draw.randrange(1000, 900_000) for _ in range(size - known)]
        step = draw.choice([0, 0, draw.randrange(40)])
        requests.append(
            {
                "step": step,
                "tokens": draw.choice(shared)[:known] + fresh,
                "length": draw.randrange(1, 60),
                "priority": draw.choice([0, 0, 1, 5]),
            }
        )
        if draw.random() < 0.05:
            aborts.setdefault(str(step + draw.randrange(20)), []).append(number)
    return {"config": config.to_json(), "requests": requests, "aborts": aborts}


def play(load: dict[str, Any]) -> dict[str, Any]:
    """What our scheduler decides, in the words of the other."""
    config = SchedulerConfig.from_json(load["config"])
    scheduler, requests = Scheduler(config), load["requests"]
    depth = 2 if config.async_scheduling else 1
    coming = sorted(range(len(requests)), key=lambda each: (requests[each]["step"], each))
    numbers: dict[Sequence, int] = {}
    known: dict[int, Sequence] = {}
    rows: list[dict[str, Any]] = []
    flying: list[StepPlan] = []
    step = 0
    while coming or flying or not scheduler.idle:
        while coming and requests[coming[0]]["step"] <= step:
            number = coming.pop(0)
            asked = requests[number]
            keys = chain_keys(asked["tokens"], config.block_size)
            known[number] = sequence = Sequence(
                len(asked["tokens"]), asked["length"], keys=keys, priority=asked["priority"]
            )
            numbers[sequence] = number
            scheduler.add(sequence)
        for number in load["aborts"].get(str(step), []):
            if number in known:
                scheduler.abort(known[number])
        plan = scheduler.step()
        row = {
            "scheduled": [[numbers[each], tokens] for each, tokens in plan.scheduled()],
            "preempted": sorted(numbers[each] for each in plan.preempted),
            "running": len(scheduler.running),
            "waiting": scheduler.waiting,
            "usage": round(scheduler.kv_usage, 6),
            "finished": [],
        }
        if plan.sequences:
            flying.append(plan)
        if flying and (len(flying) == depth or not plan.sequences):
            ended = scheduler.complete(flying.pop(0)).last
            row["finished"] = sorted(numbers[each] for each in ended)
        rows.append(row)
        step += 1
    counters = scheduler.counters
    return {"rows": rows, "queries": counters.prefix_queries, "hits": counters.prefix_hits}


@pytest.mark.engine("vllm")
@pytest.mark.parametrize("ahead", [False, True], ids=["one step at a time", "asynchronous"])
def test_every_decision_is_the_one_vllm_takes(
    program: Callable[[str, str], Path],
    tmp_path: Path,
    ahead: bool,
) -> None:
    python = program("vllm", "python")
    (tmp_path / "config.json").write_text(json.dumps(MODEL))
    loads = [draw_load(seed, ahead=ahead) for seed in range(LOADS)]
    told = "\n".join(map(json.dumps, loads)) + "\n"
    ran = subprocess.run(
        [python, THEIRS, tmp_path], input=told, capture_output=True, text=True, check=False
    )
    theirs = [json.loads(line[1:]) for line in ran.stdout.splitlines() if line.startswith("@")]
    assert len(theirs) == LOADS, ran.stderr[-2000:]
    preemptions = hits = 0
    for seed, (load, decided) in enumerate(zip(loads, theirs, strict=True)):
        ours = play(load)
        for step, (row, their_row) in enumerate(zip(ours["rows"], decided["rows"], strict=False)):
            assert row == their_row, f"load {seed}, step {step}"
        assert len(ours["rows"]) == len(decided["rows"]), f"load {seed}"
        preemptions += sum(len(row["preempted"]) for row in ours["rows"])
        hits += ours["hits"]
        if load["config"]["enable_prefix_caching"]:
            assert (ours["queries"], ours["hits"]) == (decided["queries"], decided["hits"])
    assert preemptions > LOADS
    assert hits > LOADS
