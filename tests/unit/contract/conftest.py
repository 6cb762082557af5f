from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.contract.lane import Observations
from harness.contract.rewrite import body, events
from harness.contract.scenarios import SCENARIOS
from harness.wire.exchange import End, Exchange, Read

GOLDEN = Path(__file__).parent / "golden"
MS = 1_000_000
PACE_NS = 10 * MS


@pytest.fixture(scope="session")
def good() -> Observations:
    """A spec-perfect server: one readable file per scenario, framed as HTTP/1.1."""
    return Observations.of({s.id: golden(s.id) for s in SCENARIOS})


def golden(name: str) -> Exchange:
    """Read ``golden/<name>.http`` as an exchange; a stream arrives at 10 ms per event."""
    scenario = next(s for s in SCENARIOS if s.id == name)
    head, _, text = (GOLDEN / f"{name}.http").read_bytes().partition(b"\n\n")
    raw = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + text
    exchange = Exchange(
        id=f"golden-{name}",
        request=scenario.build("http://reference.test/v1", "reference-model", "reference-key"),
        started_ns=0,
        connected_ns=0,
        sent_ns=0,
        ended_ns=20 * PACE_NS,
        reads=(Read(20 * PACE_NS, raw),),
        end=End.EOF,
    )
    if b"event-stream" not in head:
        return body(exchange, lambda data: data)
    paced = replace(exchange, reads=(Read(PACE_NS, raw[:1]), Read(20 * PACE_NS, raw[1:])))
    return events(paced, lambda written: written)
