"""The concurrency claim on real vLLM at the claimed budget: what it prints, and what it holds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.claims import Fact, load_claims
from harness.session.claim_scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.claims import Reading

CLAIMS = load_claims(Path(__file__).parents[2] / "config" / "claims.yaml")
READINGS = ("start-line", "metrics", "prompt-heavy")
"""Answers of 4,050 tokens take minutes: `harness claims --engines full` asks for them."""


@pytest.mark.engine("vllm")
def test_vllm_prints_33_63_and_holds_33_full_requests(
    program: Callable[[str, str], Path],
    tmp_path: Path,
    left_behind: Callable[[Path], dict[int, str]],
) -> None:
    python = program("vllm", "python")
    (claim,) = (each for each in CLAIMS.claims if each.id == "concurrency-33x")
    readings = [
        each.model_copy(update={"engines": ("real",)})
        for each in claim.readings
        if each.id in READINGS
    ]
    line, metrics, held = asyncio.run(_facts(python, tmp_path, readings))
    assert line.value == 33.63
    assert "137,760 tokens" in line.said
    assert metrics.value == pytest.approx(4305 / 128)
    assert held.value == 33, held.doubt or held.said
    assert not left_behind(tmp_path)


async def _facts(python: Path, folder: Path, readings: list[Reading]) -> list[Fact]:
    async with Scene(folder, real=python) as scene:
        return [fact for reading in readings async for fact in scene.facts(reading)]
