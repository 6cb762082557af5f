from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.claims.claim import (
    Counted,
    Exported,
    Pinged,
    Planned,
    Recorded,
    Roofline,
    Stated,
    Unmeasured,
)
from harness.evidence import (
    EVIDENCE_FILE,
    Evidence,
    EvidenceStore,
    RunContext,
    Verdict,
    write_run,
)
from harness.registry import load
from harness.session.claim_plan import plain_fact

if TYPE_CHECKING:
    from harness.claims import Fact
    from harness.registry.models import Source

CONFIG = Path(__file__).parents[3] / "config"
REGISTRY = load(CONFIG)
SHEET: dict[str, Any] = {"card": "rtx5000-16g", "preset": "rtx-5000"}


def fact(measure: Source, run: Path = Path("nowhere")) -> Fact:
    found = plain_fact(measure, REGISTRY, run)
    assert found is not None
    return found


def planned(figure: Any) -> float:
    measure = Planned(
        card="rtx5000-16g", model="qwen2.5-coder-7b-awq", utilisation=0.85, figure=figure
    )
    value = fact(measure).value
    assert value is not None
    return value


def test_the_planner_gives_every_figure_of_the_card() -> None:
    assert planned("concurrency") == pytest.approx(33.63, abs=0.005)
    assert planned("requests") == 33
    assert planned("budget") == pytest.approx(13.6)
    assert planned("in-use") == pytest.approx(5.2032 + 7.357, abs=0.01)
    assert planned("need") == pytest.approx(5.2032 + 1.04 + 256 * 917_504 / 2**30, abs=0.01)
    assert planned("both-models") == 2 * planned("need")


def test_a_model_that_does_not_fit_is_doubt_and_no_figure() -> None:
    measure = Planned(card="t4-16g", model="llama-2-13b", utilisation=0.9, figure="concurrency")
    assert fact(measure).value is None
    assert "no room" in fact(measure).doubt


def test_at_full_contexts_33_streams_are_at_most_12_7_times_as_fast_as_one() -> None:
    found = fact(Roofline(**SHEET, users=33, context=4096, figure="speed-up"))
    assert found.value == pytest.approx(12.7, abs=0.05)


@pytest.mark.parametrize(("context", "expected"), [(256, 29.9), (1024, 23.3), (2048, 18.2)])
def test_it_is_more_where_contexts_are_short(context: int, expected: float) -> None:
    found = fact(Roofline(**SHEET, users=33, context=context, figure="speed-up"))
    assert found.value == pytest.approx(expected, abs=0.15)


def test_an_answer_takes_at_least_its_steps() -> None:
    found = fact(Roofline(**SHEET, answer=64, figure="answer-ms"))
    assert found.value == pytest.approx(640, abs=2)


def test_metrics_that_nobody_exports_are_told_from_those_that_exist() -> None:
    assert fact(Exported(metric="litellm_provider_errors_total")).value == 0
    assert fact(Exported(metric="vllm:num_requests_running")).value == 1
    assert fact(Exported(metric="nobody_knows")).value is None


def test_sources_are_counted_and_quoted() -> None:
    assert fact(Counted(what="providers")).value == len(REGISTRY.providers)
    timeout = Stated(file="model-mappings.yaml", path="resilience.stream_timeout_s", times=1000)
    assert fact(timeout).value == 1000 * REGISTRY.resilience.stream_timeout_s
    missing = fact(Stated(file="model-mappings.yaml", path="cache.ttl_s"))
    assert missing.value is None
    assert "states no cache.ttl_s" in missing.why


def test_what_cannot_be_measured_says_why_and_how() -> None:
    found = fact(Unmeasured(why="No card.", how="buy one"))
    assert found.why == "No card. To settle it: buy one"


def test_what_needs_an_engine_is_left_to_the_scene() -> None:
    assert plain_fact(Pinged(), REGISTRY, Path()) is None


# --- evidence of an earlier run


def leave(
    folder: Path, *rows: tuple[str, str, float | None, Verdict], interrupted: bool = False
) -> Path:
    context = RunContext(
        id="R", command="harness run", started=datetime.now(UTC), seed=1, engine="emulated"
    )
    write_run(folder, context.ended(interrupted=interrupted))
    with EvidenceStore(folder / EVIDENCE_FILE) as store:
        for check, subject, value, verdict in rows:
            store.append(
                Evidence(
                    check=check,
                    subject=subject,
                    asked="?",
                    verdict=verdict,
                    reason="" if verdict is Verdict.PASS else "r",
                    value=value,
                    interval=None if value is None else (value - 1, value + 1),
                    engine="emulated",
                )
            )
    return folder


def test_the_worst_of_what_a_run_left_counts(tmp_path: Path) -> None:
    run = leave(
        tmp_path,
        ("fallback.latency", "a", 20.0, Verdict.PASS),
        ("fallback.latency", "b", 90.0, Verdict.FAIL),
        ("fallback.latency", "c", None, Verdict.NOT_RUN),
        ("latency.ttft.p95", "a", 900.0, Verdict.PASS),
    )
    found = fact(Recorded(check="fallback.latency"), run)
    assert (found.value, found.subject, found.interval) == (90.0, "b", (89.0, 91.0))
    share = fact(Recorded(check="fallback.latency", figure="pass-share"), run)
    assert share.value == 50


def test_no_run_no_such_evidence_and_no_number_are_not_run(tmp_path: Path) -> None:
    assert "no run to look at" in fact(Recorded(check="x")).why
    run = leave(tmp_path, ("y", "a", None, Verdict.PASS))
    assert "has no such evidence" in fact(Recorded(check="x"), run).why
    assert "none with a number" in fact(Recorded(check="y"), run).why


def test_an_interrupted_run_is_doubt(tmp_path: Path) -> None:
    run = leave(tmp_path, ("y", "a", 1.0, Verdict.PASS), interrupted=True)
    found = fact(Recorded(check="y"), run)
    assert (found.value, bool(found.doubt)) == (None, True)
