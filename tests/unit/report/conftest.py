"""A run as the main job leaves it, in four moods: red, green, interrupted and empty."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import Evidence, GateReport, RunContext
from harness.gate import judge, limit, load_policy

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = load_policy(Path(__file__).with_name("gates.yaml"))
"""A policy of its own: what is drawn does not change with the promises that are shipped."""
START = datetime(2026, 11, 21, 0, 58, 45, tzinfo=UTC)
CHAIN = ("vllm", "llama-cpp-native", "ollama")
ENGINES = ("vllm", "ollama", "llama-cpp-python", "llama-cpp-native")
THROUGH = ("gateway:qwen-coder-vllm", "gateway:llama3.1:latest")
MODELS = {
    "llama3.1:latest": "ollama",
    "qwen2.5-coder:7b": "ollama",
    "qwen-coder-vllm": "vllm",
    "dolphin-uncensored-vllm": "vllm",
    "mythomax-l2-13b-q5_k_m": "ollama",
}
CLAUSES = {
    "error.envelope.object": "Every 4xx and 5xx is JSON with an error object",
    "error.model.unknown-404": "An unknown model is refused with 404 and model_not_found",
    "chat.finish-reason.enum": "finish_reason is one of the five values",
    "usage.present": "A whole answer carries usage",
    "usage.total-is-sum": "total_tokens is the sum of prompt and completion tokens",
    "stream.content-type": "A stream is text/event-stream",
    "stream.done.last": "Exactly one data: [DONE], and it is the last event",
    "stream.event.one-json": "Each data payload is one JSON object",
    "stream.id.constant": "One id and one model name per stream",
    "stream.finish-reason.once": "Exactly one finish_reason per choice",
}
DEVIATIONS = {
    ("error.envelope.object", "llama-cpp-python"): (
        "llama-cpp-python-detail",
        '401 and 503 answer {"detail": …} (abetlen/llama-cpp-python#187)',
    ),
    ("error.model.unknown-404", "llama-cpp-python"): (
        "llama-cpp-python-unknown-model",
        "an unknown model is answered with 400",
    ),
    **{
        ("error.model.unknown-404", subject): (
            "litellm-unknown-model-400",
            "the proxy answers 400 (BerriAI/litellm#39457)",
        )
        for subject in THROUGH
    },
}


@dataclass(frozen=True)
class Example:
    run: RunContext
    evidence: tuple[Evidence, ...]
    report: GateReport


class _Maker:
    """Collects records the way a session does."""

    def __init__(self) -> None:
        self.records: list[Evidence] = []
        self.random = random.Random(7)

    def add(
        self, check: str, subject: str, asked: str, verdict: str = "pass", **facts: Any
    ) -> None:
        traffic = not check.startswith(("config.", "deviation."))
        known = {
            "check": check,
            "subject": subject,
            "asked": asked,
            "verdict": verdict,
            "engine": "emulated" if traffic else "none",
            "replay": f"harness run --seed 7 --only {check}",
            "recordings": (f"x{len(self.records):04d}",) if traffic else (),
            "seed": 7,
            "config_hash": "sha256:4f1c09d2",
            "at": START + timedelta(seconds=10 + len(self.records) / 4),
        }
        self.records.append(Evidence.model_validate({**known, **facts}))

    def measure(self, check: str, subject: str, value: float, asked: str, *, n: int = 40) -> None:
        bound = limit(POLICY, check, subject)
        assert bound is not None
        spread = value * self.random.uniform(0.01, 0.06)
        met = value <= bound.max
        self.add(
            check,
            subject,
            asked,
            "pass" if met else "fail",
            reason="" if met else f"above the limit of {bound.max:g} {bound.unit}",
            value=value,
            unit=bound.unit,
            n=n,
            interval=(value - spread, value + 1.3 * spread),
            bound=bound.max,
        )


def _static(made: _Maker) -> None:
    for name in ("providers.yaml", "model-mappings.yaml", "ports.yaml"):
        made.add("config.schema", name, "valid, and consistent with the other source files")
    made.add("config.drift", "config/litellm-unified.yaml", "The generated file equals its sources")
    made.add("config.secrets", "config", "No secret stands in a source or generated file")


def _gateway(made: _Maker) -> None:
    made.add("gateway.loopback", "gateway", "It listens on loopback only", value="127.0.0.1")
    made.add("gateway.auth", "right key", "A request with the key is answered", value=200)
    made.add("gateway.auth", "no key", "A request without a key is refused", value=401)
    made.add("gateway.auth", "wrong key", "A request with a wrong key is refused", value=401)
    made.add("gateway.cors", "foreign origin", "A foreign origin is not allowed", value="none")
    made.add("gateway.cors", "http://localhost:5001", "A listed origin is allowed", value="itself")
    made.add("gateway.metrics", "gateway", "Metrics need the key", value=401)


def _routes(made: _Maker) -> None:
    for model, engine in MODELS.items():
        made.add("route.answered-by", model, f"answered by {engine} (exact)", value=engine)
    made.add("route.refused", "no-such-model", "refused, and no engine asked", value=400)
    made.add("route.models-list", "/v1/models", "lists the 5 public models", value=5, unit="models")
    made.add(
        "route.balance",
        "llama-cpp-balanced",
        "three in four answered by llama-cpp-native",
        value=0.7421875,
        unit="share",
        n=128,
        interval=(0.6601, 0.8107),
    )


def _contract(made: _Maker) -> None:
    for subject in (*ENGINES, *THROUGH):
        for clause, asked in CLAUSES.items():
            deviation, reason = DEVIATIONS.get((clause, subject), (None, ""))
            made.add(
                f"contract.{clause}",
                subject,
                asked,
                "fail" if deviation else "pass",
                deviation=deviation,
                reason=reason,
                replay=f"harness run --seed 7 --only contract.{clause} --subject {subject}",
            )
    for deviation in sorted({name for name, _ in DEVIATIONS.values()}):
        made.add("deviation.observed", deviation, "It is still there and has not expired")


def _fallback(made: _Maker, *, broken: bool) -> None:
    for size in range(len(CHAIN) + 1):
        for down in combinations(CHAIN, size):
            subject = f"qwen-coder-vllm [down: {', '.join(down) or 'none'}]"
            alive = [tier for tier in CHAIN if tier not in down]
            due = alive[0] if alive else "error 503"
            skips = broken and down == ("vllm",)
            made.add(
                "fallback.kill-matrix",
                subject,
                f"answered by {due}" if alive else "an explicit error, no empty answer",
                "fail" if skips else "pass",
                reason="ollama answered, llama-cpp-native stood before it" if skips else "",
                value="ollama" if skips else due,
            )
            took = 41.2 + 34 * len(down) + made.random.uniform(0, 9)
            made.measure("fallback.latency", subject, took, "answered in time", n=6)

    for tier, seconds in (("vllm", 3.12), ("llama-cpp-native", 3.08)):
        made.add(
            "fallback.recovery",
            f"qwen-coder-vllm [revived: {tier}]",
            "used again within 8 s of its return",
            value=seconds,
            unit="s",
            n=1,
            bound=8.0,
        )


def _latency(made: _Maker, *, broken: bool) -> None:
    for subject, ttft, itl in (
        ("gateway:qwen-coder-vllm", 131.4, 20.31),
        ("gateway:llama3.1:latest", 168.9, 33.87),
        ("vllm", 101.2, 20.04),
        ("ollama", 142.6, 33.21),
    ):
        slow = 2.291 if broken and subject == "gateway:llama3.1:latest" else 1.0
        made.measure("latency.ttft.p50", subject, ttft * slow, "first token, median")
        made.measure("latency.ttft.p95", subject, ttft * 1.27, "first token, 95th percentile")
        made.measure("latency.itl.p50", subject, itl, "gap between tokens, median", n=1240)
        made.measure("latency.e2e.p50", subject, ttft + 31 * itl, "whole answer, median")
    made.measure(
        "latency.gateway-overhead.p50", "gateway:qwen-coder-vllm", 99.96, "added to first token"
    )
    made.measure(
        "latency.gateway-overhead.p50", "gateway:llama3.1:latest", 26.3, "added to first token"
    )


def _run(*, interrupted: bool = False) -> RunContext:
    trouble = "ollama died while the run went on" if interrupted else ""
    run = RunContext(
        id="20261121T005845Z-7",
        command="harness run --seed 7 --out reports/20261121T005845Z-7",
        started=START,
        seed=7,
        engine="emulated",
        versions={"harness": "0.1.0", "litellm": "1.106.2", "python": "3.11.7"},
        config_hash="sha256:4f1c09d2b7a35e86",
    )
    return run.ended(interrupted=interrupted, at=START + timedelta(seconds=41.24), trouble=trouble)


def _example(records: list[Evidence], *, interrupted: bool = False) -> Example:
    report = judge(records, POLICY, interrupted=interrupted)
    return Example(_run(interrupted=interrupted), tuple(records), report)


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compares text with the file of that name; UPDATE_SNAPSHOTS=1 writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "snapshots" / name
        if os.environ.get("UPDATE_SNAPSHOTS"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session")
def green() -> Example:
    made = _Maker()
    _static(made)
    _gateway(made)
    _routes(made)
    _contract(made)
    _fallback(made, broken=False)
    _latency(made, broken=False)
    return _example(made.records)


@pytest.fixture(scope="session")
def red() -> Example:
    made = _Maker()
    _static(made)
    _gateway(made)
    _routes(made)
    _contract(made)
    _fallback(made, broken=True)
    _latency(made, broken=True)
    made.add(
        "contract.stream.utf8.intact",
        "llama-cpp-native",
        "Each event decodes strictly",
        "inconclusive",
        reason="no event held a character of more than one byte",
    )
    made.add(
        "gateway.cors",
        "http://localhost:3000",
        "A listed origin is allowed",
        "not-run",
        reason="no preflight could be sent",
    )
    made.add("engine.ledger", "vllm", "Every byte sent arrived", value=18342, unit="bytes")
    return _example(made.records)


@pytest.fixture(scope="session")
def interrupted() -> Example:
    made = _Maker()
    _static(made)
    _gateway(made)
    _routes(made)
    return _example(made.records, interrupted=True)


@pytest.fixture(scope="session")
def empty() -> Example:
    return _example([])
