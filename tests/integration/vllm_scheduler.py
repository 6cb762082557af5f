"""Runs in vLLM's own environment: its scheduler, without a model, on loads from standard input.

One JSON line in for a load, one out, after ``@``, for what the scheduler decided in each step. The
worker is played here: a sequence that is through with its prompt gets a token no other has. With a
batch and a number of steps as arguments it says what they cost instead.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

FIRST_ANSWER_TOKEN = 1_000_000


def make(told: dict[str, Any], folder: str) -> Any:
    model = ModelConfig(
        model=folder,
        skip_tokenizer_init=True,
        max_model_len=told["max_model_len"],
        dtype="float32",
        seed=0,
    )
    cache = CacheConfig(
        block_size=told["block_size"], enable_prefix_caching=told["enable_prefix_caching"]
    )
    names = {"num_blocks", "block_size", "enable_prefix_caching"}
    limits = {name: value for name, value in told.items() if name not in names}
    config = VllmConfig(
        scheduler_config=SchedulerConfig(is_encoder_decoder=False, **limits),
        model_config=model,
        cache_config=cache,
        device_config=DeviceConfig("cpu"),
    )
    config.scheduler_config.async_scheduling = told["async_scheduling"]
    layer = FullAttentionSpec(
        block_size=told["block_size"], num_kv_heads=1, head_size=32, dtype=torch.float32
    )
    cache.num_gpu_blocks = told["num_blocks"]
    kind = AsyncScheduler if told["async_scheduling"] else Scheduler
    return kind(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=told["num_blocks"],
            kv_cache_tensors=[],
            kv_cache_groups=[KVCacheGroupSpec(["layer"], layer)],
        ),
        block_size=told["block_size"],
        log_stats=True,
        structured_output_manager=StructuredOutputManager(config),
    )


class Play:
    """One load: schedule, compute, update, until nothing is left."""

    def __init__(self, load: dict[str, Any], folder: str) -> None:
        self.load = load
        self.scheduler = make(load["config"], folder)
        self.hasher = get_request_block_hasher(load["config"]["block_size"], sha256)
        self.flying: list[tuple[Any, dict[str, list[int]]]] = []
        self.arrived = self.queries = self.hits = 0
        manager = self.scheduler.kv_cache_manager
        take = manager.make_prefix_cache_stats

        def count() -> Any:
            stats = take()
            self.queries += stats.queries
            self.hits += stats.hits
            return stats

        manager.make_prefix_cache_stats = count

    def add(self, number: int) -> None:
        asked = self.load["requests"][number]
        request = Request(
            request_id=str(number),
            prompt_token_ids=asked["tokens"],
            sampling_params=SamplingParams(max_tokens=asked["length"], ignore_eos=True),
            pooling_params=None,
            priority=asked["priority"],
            arrival_time=float(self.arrived),
            block_hasher=self.hasher,
        )
        self.arrived += 1
        self.scheduler.add_request(request)

    def schedule(self) -> dict[str, Any]:
        requests = self.scheduler.requests
        before = {name: request.num_preemptions for name, request in requests.items()}
        output = self.scheduler.schedule()
        sampled: dict[str, list[int]] = {}
        for name in output.num_scheduled_tokens:
            request = requests[name]
            token = FIRST_ANSWER_TOKEN + 4096 * int(name) + request.num_computed_tokens
            sampled[name] = [] if request.is_prefill_chunk else [token]
        if output.total_num_scheduled_tokens:
            self.flying.append((output, sampled))
        return {
            "scheduled": [[int(name), n] for name, n in output.num_scheduled_tokens.items()],
            "preempted": sorted(
                int(name)
                for name, request in requests.items()
                if request.num_preemptions > before[name]
            ),
            "running": len(self.scheduler.running),
            "waiting": len(self.scheduler.waiting),
            "usage": round(self.scheduler.kv_cache_manager.usage, 6),
        }

    def update(self) -> list[int]:
        output, sampled = self.flying.pop(0)
        names = list(sampled)
        before = set(self.scheduler.requests)
        result = ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: index for index, name in enumerate(names)},
            sampled_token_ids=[sampled[name] for name in names],
            logprobs=None,
            prompt_logprobs_dict={},
            pooler_output=[],
        )
        self.scheduler.update_from_output(output, result)
        return sorted(int(name) for name in before - set(self.scheduler.requests))

    def play(self) -> dict[str, Any]:
        requests, rows = self.load["requests"], []
        depth = 2 if self.load["config"]["async_scheduling"] else 1
        coming = sorted(range(len(requests)), key=lambda each: (requests[each]["step"], each))
        step = 0
        while coming or self.scheduler.requests or self.flying:
            while coming and requests[coming[0]]["step"] <= step:
                self.add(coming.pop(0))
            for number in self.load["aborts"].get(str(step), []):
                self.scheduler.finish_requests(str(number), RequestStatus.FINISHED_ABORTED)
            row = self.schedule()
            full = len(self.flying) == depth or not row["scheduled"]
            row["finished"] = self.update() if self.flying and full else []
            rows.append(row)
            step += 1
        self.scheduler.kv_cache_manager.make_prefix_cache_stats()
        return {"rows": rows, "queries": self.queries, "hits": self.hits}


def spend(folder: str, load: dict[str, Any], batch: int, steps: int) -> float:
    """CPU seconds of ``steps`` steps over a batch kept full with the requests of ``load``."""
    play = Play(load, folder)
    number, spent = 0, 0.0
    for _ in range(steps):
        while len(play.scheduler.requests) < batch:
            play.add(number)
            number += 1
        began = time.process_time()
        play.schedule()
        play.update()
        spent += time.process_time() - began
    return spent


if __name__ == "__main__":
    init_none_hash(sha256)
    if len(sys.argv) > 2:
        batch, steps = map(int, sys.argv[2:])
        sys.stdout.write(f"@{spend(sys.argv[1], json.loads(sys.stdin.readline()), batch, steps)}\n")
        sys.exit()
    for line in sys.stdin:
        sys.stdout.write("@" + json.dumps(Play(json.loads(line), sys.argv[1]).play()) + "\n")
        sys.stdout.flush()
