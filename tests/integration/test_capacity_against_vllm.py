"""`harness capacity` and vLLM's own functions, over a grid of models, lengths and settings."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.load.capacity.arithmetic import Ask, Fit, fit
from harness.load.capacity.catalogue import config_of, model, models
from harness.load.capacity.geometry import GIB

if TYPE_CHECKING:
    from collections.abc import Callable

THEIRS = Path(__file__).with_name("vllm_capacity.py")
LENGTHS = (512, 1000, 4096)


def fits(name: str) -> list[Fit]:
    """What we say of a model."""
    return [
        fit(
            model(name),
            Ask(
                memory_bytes=memory * GIB,
                length=length,
                utilisation=utilisation,
                reserved_bytes=GIB,
                cache_dtype=cache_dtype,
                block_size=block_size,
                batched_tokens=2048,
            ),
        )
        for length, cache_dtype, (memory, utilisation, block_size) in product(
            LENGTHS, ("auto", "fp8"), ((40, 0.85, 16), (80, 0.92, 32))
        )
    ]


def case(one: Fit) -> dict[str, Any]:
    """The same question for vLLM; the pool is what is left of the memory, which it measures."""
    return {
        "length": one.ask.length,
        "batched_tokens": one.ask.step_tokens,
        "block_size": one.ask.block_size,
        "cache_dtype": one.ask.cache_dtype,
        "pool_bytes": one.pool_bytes,
    }


def said(one: Fit) -> dict[str, Any]:
    """Our answer in vLLM's words."""
    return {
        "blocks": one.blocks,
        "tokens": one.tokens,
        "concurrency": one.concurrency,
        "in_flight": 2 * one.ask.step_tokens,
    }


def test_every_figure_is_vllms_own(program: Callable[[str, str], Path]) -> None:
    python = program("vllm", "python")
    ours = {name: fits(name) for name in models()}
    asked = {
        name: {
            # Weights have no part in it, and vLLM wants more of a quantised one than we read.
            "config": {k: v for k, v in config_of(name).items() if k != "quantization_config"},
            "cases": [case(one) for one in mine],
        }
        for name, mine in ours.items()
    }
    done = subprocess.run(
        [python, THEIRS], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("@")]
    assert lines, done.stderr[-3000:]
    theirs = json.loads(lines[0][1:])
    for name, mine in ours.items():
        for one, answer in zip(mine, theirs[name], strict=True):
            assert said(one) == answer, (name, one.ask)
