"""Two emulated engines of known speed, compared live: judged in turn, and split into shares."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.evidence import read
from harness.load.journal.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDED_MS = 300.0


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """The API roots of an engine, and of one that takes so much longer for its first token."""
    specs = [
        EmulatorSpec(
            id=f"engine-{number}",
            dialect="vllm",
            models=(ServedModel("m", 4096),),
            settings=Settings(ttft_ms=ttft_ms, itl_ms=10),
        )
        for number, ttft_ms in enumerate((20.0, 20.0 + ADDED_MS))
    ]
    ready, over = threading.Event(), threading.Event()
    engines = [EmulatedEngine(spec) for spec in specs]

    async def hold() -> None:
        try:
            for engine in engines:
                await engine.start()
                await engine.ready()
            ready.set()
            await asyncio.to_thread(over.wait)
        finally:
            ready.set()
            for engine in engines:
                await engine.stop()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    ready.wait()
    yield f"{engines[0].endpoint}/v1", f"{engines[1].endpoint}/v1"
    over.set()
    thread.join()


def judged(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what `harness load compare` says of the first token."""
    asked = ("--metric", "ttft.p50", "--replays", "200", "--json")
    result = CliRunner().invoke(main, ["load", "compare", *arguments, *asked])
    assert result.exit_code in {0, 1, 3}, result.output
    said = json.loads(result.stdout)
    assert result.exit_code == {"pass": 0, "fail": 1}.get(said["verdict"], 3)
    assert said["interleaved"]
    return result.exit_code, said["compared"][0]


def test_an_engine_is_compared_with_itself(pair: tuple[str, str], tmp_path: Path) -> None:
    """Pass, or where the machine is too busy inconclusive; a fail is measured, or there is none."""
    asked = f"--model m --blocks 3 --run-s 0.2 --users 2 --answer-tokens 4 --out {tmp_path}"
    code, said = judged(pair[0], pair[0], *asked.split(), "--prompts", "chat")
    assert code in {0, 3} or said["low"] > 0.05
    assert said["worth"]["replays"] == 200
    journal = Journal.read(tmp_path / "compare")
    assert journal.facts.partial is None
    assert {row.labels["run"] for row in journal.rows} == {str(number) for number in range(12)}
    assert judged(str(tmp_path / "compare"))[1]["effect"] == said["effect"]


def test_a_share_is_measured_judged_and_drawn(pair: tuple[str, str], tmp_path: Path) -> None:
    direct, gateway = pair
    # A run is longer than the slower engine's answer: each user asks at least once in it.
    asked = f"--gateway {gateway} --direct {direct} --model m --blocks 3 --run-s 0.4 --users 2"
    more = f"--answer-tokens 4 --out {tmp_path} --json"

    result = CliRunner().invoke(
        main, ["load", "share", "--limit", "ttft < 20ms", *asked.split(), *more.split()]
    )

    assert result.exit_code in {1, 3}, result.output  # 3: the machine was too busy to say
    ttft = next(each for each in json.loads(result.output) if each["check"] == "load.share.ttft")
    assert ttft["value"] > ADDED_MS / 2
    assert (ttft["n"], ttft["unit"], ttft["bound"]) == (3, "ms", 20.0)
    folder = tmp_path / "share"
    assert [each.check for each in read(folder / "evidence.jsonl").records] == [
        "load.share.ttft",
        "load.share.itl",
        "load.share.e2e",
    ]
    assert '"dialect":"vllm"' in (folder / "engine-direct.jsonl").read_text()
    page = (folder / "index.html").read_text()
    assert "the gateway adds at most 20 ms to the time to first token" in page

    # The same runs as a comparison: the gateway's side is 16 times as slow.
    code, said = judged(str(folder))
    assert code in {1, 3}
    assert said["effect"] > 1
