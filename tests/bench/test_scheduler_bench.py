"""What a simulated engine step costs, and a simulated day of a fleet.

The batch size is part of every figure: a step costs what is in it. The alternative is vLLM's own
scheduler on the same sequences, where vLLM is installed; it keeps statistics and builds inputs for
a worker, which a simulation does not need. Nothing is asserted about speed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import KNOWN
from harness.engines.scheduler import Scheduler, SchedulerConfig, Sequence
from harness.engines.scheduler.presets import preset
from harness.engines.scheduler.simulate import Arrival, simulate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PROMPT, ANSWER = 512, 200
DAY_S = 86_400
THEIRS = Path(__file__).parents[1] / "integration" / "vllm_scheduler.py"
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


def scheduler(batch: int, *, caching: bool) -> Scheduler:
    return Scheduler(
        SchedulerConfig(
            num_blocks=batch * (PROMPT + 2 * ANSWER) // 16 + 65,
            max_model_len=1024,
            max_num_seqs=batch,
            max_num_batched_tokens=2048,
            enable_prefix_caching=caching,
        )
    )


def play(steps: int, batch: int, *, caching: bool) -> float:
    """Step a full batch of prompts of 512 and answers of 100 to 299 tokens; return CPU seconds."""
    engine = scheduler(batch, caching=caching)
    number = 0
    began = time.process_time()
    for _ in range(steps):
        while engine.waiting + len(engine.running) < batch:
            number += 1
            engine.add(Sequence(PROMPT, ANSWER // 2 + number * 37 % ANSWER))
        engine.complete(engine.step())
    return time.process_time() - began


def play_vllm(steps: int, batch: int, folder: Path) -> float | None:
    """The same with vLLM's scheduler, prefix cache included; None where it is not installed."""
    python = os.environ.get("BENCH_VLLM_PYTHON")
    if python is None and KNOWN["vllm"].installed():
        python = str(KNOWN["vllm"].program("python"))
    if python is None:
        return None
    (folder / "config.json").write_text(json.dumps(MODEL))
    requests = [
        {
            "step": 0,
            "tokens": [number * PROMPT + k for k in range(PROMPT)],
            "length": ANSWER // 2 + number * 37 % ANSWER,
            "priority": 0,
        }
        for number in range(2 * batch + steps * batch // (ANSWER // 2))
    ]
    config = {**scheduler(batch, caching=True).config.to_json(), "async_scheduling": False}
    load = json.dumps({"config": config, "requests": requests, "aborts": {}})
    ran = subprocess.run(
        [python, THEIRS, folder, str(batch), str(steps)],
        input=load + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return float(next(line[1:] for line in ran.stdout.splitlines() if line.startswith("@")))


@pytest.mark.parametrize("caching", [True, False], ids=["prefix cache", "no prefix cache"])
@pytest.mark.parametrize("batch", [1, 8, 32, 128, 256])
def test_steps_per_minute(
    benchmark: BenchmarkFixture, tmp_path: Path, batch: int, caching: bool
) -> None:
    steps = 160_000 // (batch + 7)
    spent = benchmark.pedantic(play, args=(steps, batch), kwargs={"caching": caching}, rounds=3)
    found = {"batch": batch, "caching": caching, "steps_per_minute": round(steps / spent * 60)}
    fewer = steps // 10
    theirs = play_vllm(fewer, batch, tmp_path) if caching else None
    if theirs is not None:
        found["vllm_steps_per_minute"] = round(fewer / theirs * 60)
    benchmark.extra_info.update(found)
    print(found)  # noqa: T201 - shown with -s


def test_a_day_of_a_fleet(benchmark: BenchmarkFixture) -> None:
    draw = random.Random(1)
    arrivals = []
    at_s = 0.0
    while at_s < DAY_S:
        at_s += draw.expovariate(0.5)
        arrivals.append(Arrival(at_s, draw.randrange(100, 1500), draw.randrange(20, 400)))
    engine = preset("rtx-5000")
    began = time.process_time()
    run = benchmark.pedantic(
        simulate,
        args=(arrivals, engine.scheduler, engine.step_time),
        kwargs={"replicas": 2},
        rounds=1,
    )
    spent = time.process_time() - began
    benchmark.extra_info.update(
        requests=len(arrivals),
        replicas=2,
        steps=run.steps,
        cpu_s=round(spent, 1),
        steps_per_minute=round(run.steps / spent * 60),
    )
    print(dict(benchmark.extra_info))  # noqa: T201 - shown with -s
