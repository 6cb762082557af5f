"""`harness load find` on a served engine whose answer is known: it has four seats."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from harness.cli import main
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.load.journal.journal import Journal
from harness.load.overview.overview import overview

if TYPE_CHECKING:
    from pathlib import Path

SEATS = 4


async def served(work: list[Result], out: Path, budgets: tuple[int, ...]) -> None:
    engine = EmulatedEngine(
        EmulatorSpec(
            id="seats",
            dialect="openai",
            models=(ServedModel("m"),),
            settings=Settings(ttft_ms=40, itl_ms=5, max_concurrency=SEATS),
        )
    )
    await engine.start()
    try:
        await engine.ready()
        for budget in budgets:
            command = (
                f"load find --target {engine.endpoint}/v1 --model m --by users --min 1 --max 8 "
                f"--answer-tokens 16 --stretch-s 1 --budget-s {budget} --json --out {out}"
            )
            asked = [*command.split(), "--slo", "p80 ttft < 60ms"]
            work.append(await asyncio.to_thread(CliRunner().invoke, main, asked))
    finally:
        await engine.stop()


def test_the_bracket_holds_the_known_number_of_seats(tmp_path: Path) -> None:
    """The fifth user waits a quarter of an answer, 30 ms. A busy machine may leave it open."""
    results: list[Result] = []
    asyncio.run(served(results, tmp_path, (3, 12)))
    first, second = (json.loads(result.stdout) for result in results)
    assert second["resumed"] == len(first["visits"]) >= 1
    assert second["visits"][: len(first["visits"])] == first["visits"]
    found = second["found"]
    assert results[1].exit_code == (0 if found["sure"] and found["held"] else results[1].exit_code)
    if found["sure"]:
        assert (found["held"] or 0) <= SEATS
        assert found["broke"] is None or found["broke"] > 1
    judged = overview(tmp_path / "find-users-m").evidence
    assert [one.check for one in judged] == ["load.find"]
    assert judged[0].value == found["held"]
    journal = Journal.read(tmp_path / "find-users-m")
    assert journal.facts.partial is None
    rows = list(journal.rows)
    assert {row.load for row in rows} <= {float(users) for users in range(1, 9)}
    assert len(rows) >= sum(visit["requests"] for visit in second["visits"])
