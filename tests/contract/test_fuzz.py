from __future__ import annotations

from typing import Any

from harness.contract.fuzz import OPERATIONS, probe


def test_fuzz(lab: Any, target: str, operation_id: str) -> None:
    running = lab.target(target)
    operation = next(o for o in OPERATIONS if o.id == operation_id)
    tally = probe(
        operation,
        lab.send,
        running.base_url,
        running.model,
        running.key,
        known=lab.known(target),
    )
    assert tally.sent > 0
