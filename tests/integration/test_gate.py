"""The main job on real parts, and each defect turning exactly its own row red."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.explanations import text as explanation
from harness.evidence import Verdict
from harness.faults import find
from harness.gateway import files
from harness.gateway.litellm_config import compile_files
from harness.registry import load
from harness.session import Options, Outcome, Rehearsal, run
from harness.wire.recording import read as read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.stack import Stack


def main_job(config: Path, out: Path, rehearsal: Rehearsal | None = None) -> Outcome:
    return asyncio.run(run(Options(config=config, out=out), rehearsal=rehearsal))


def red(outcome: Outcome) -> set[str]:
    return {row.id for row in outcome.report.rows if row.verdict is not Verdict.PASS}


@pytest.fixture(scope="module")
def green(shipped: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("green")
    return main_job(shipped(folder / "config"), folder / "out")


def test_the_shipped_configuration_passes_with_evidence_from_real_traffic(green: Outcome) -> None:
    assert red(green) == set(), green.report
    assert green.exit_code == 0
    from_traffic = [one for one in green.evidence if one.recordings]
    assert len(from_traffic) >= 40
    assert {one.engine for one in from_traffic} == {"emulated"}


def test_every_check_that_was_judged_can_be_explained(green: Outcome) -> None:
    unexplained = {one.check for one in green.evidence if explanation(one.check) is None}
    assert unexplained == set()


def test_evidence_rests_on_recordings_that_can_be_read_back(green: Outcome) -> None:
    recorded = {x.id for x in read_recording(green.directory / "recordings.jsonl.gz")}
    for one in green.evidence:
        assert recorded.issuperset(one.recordings), one.check


def test_all_reports_are_there_and_latest_leads_to_them(green: Outcome) -> None:
    latest = green.directory.parent / "latest"
    for name in ("index.html", "junit.xml", "summary.md", "verdict.json", "evidence.jsonl"):
        assert (latest / name).stat().st_size > 0
    assert (latest / "index.html").stat().st_size < 300 * 1024


@pytest.mark.apart
def test_a_hand_edit_of_the_generated_file_turns_the_drift_row_red(
    config: Path, tmp_path: Path
) -> None:
    generated = config / "litellm-unified.yaml"
    generated.write_text(generated.read_text().replace("num_retries: 0", "num_retries: 2"))
    outcome = main_job(config, tmp_path / "out")
    assert red(outcome) == {"config.drift"}
    assert outcome.exit_code == 1
    (drift,) = [one for one in outcome.evidence if one.check == "config.drift" and one.reason]
    assert "num_retries: 2" in drift.reason


@pytest.mark.apart
def test_a_lost_chain_target_turns_the_fallback_row_red(config: Path, tmp_path: Path) -> None:
    def forget_the_second(gateway: dict[str, Any]) -> None:
        for entry in gateway["router_settings"]["fallbacks"]:
            for targets in entry.values():
                if len(targets) > 1:
                    del targets[0]

    outcome = main_job(config, tmp_path / "out", Rehearsal(config=forget_the_second))
    assert red(outcome) == {"fallback"}


@pytest.mark.apart
def test_a_health_path_that_says_no_while_requests_succeed_turns_the_live_row_red(
    config: Path, tmp_path: Path
) -> None:
    providers = config / "providers.yaml"
    text = providers.read_text()
    asked = "health: {path: /health, expect_status: 200, timeout_s: 2}"
    assert asked in text
    providers.write_text(text.replace(asked, asked.replace("/health,", "/healthy,"), 1))
    files.write(config, compile_files(load(config)))
    outcome = main_job(config, tmp_path / "out")
    assert red(outcome) == {"live"}
    failed = [one for one in outcome.evidence if one.verdict is Verdict.FAIL]
    (wrong,) = [one for one in failed if one.deviation is None]
    assert (wrong.check, wrong.subject) == ("live.health", "vllm:workspace-coder")


@pytest.mark.apart
def test_a_stream_without_its_end_turns_the_row_of_its_engine_red(
    config: Path, tmp_path: Path
) -> None:
    async def forget_done(stack: Stack) -> None:
        await stack.engines["vllm"].inject(find("stream.no_done")())

    outcome = main_job(config, tmp_path / "out", Rehearsal(stack=forget_done))
    assert red(outcome) == {"contract.vllm"}


@pytest.mark.apart
def test_a_latency_limit_that_is_not_met_turns_the_latency_row_red(
    config: Path, tmp_path: Path
) -> None:
    gates = config / "gates.yaml"
    text = gates.read_text()
    limit = re.compile(r"(?<=latency.ttft.p50, subject: .{3}, max: )\d+")
    assert limit.search(text)
    gates.write_text(limit.sub("5", text, count=1))
    outcome = main_job(config, tmp_path / "out")
    assert red(outcome) == {"latency"}
