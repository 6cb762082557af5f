from __future__ import annotations

from typing import Any

import pytest

from harness.contract.fuzz import OPERATIONS, probe


def test_fuzz(lab: Any, target: str, operation_id: str) -> None:
    running = lab.target(target)
    operation = next(o for o in OPERATIONS if o.id == operation_id)
    if running.only_read and operation.method != "GET":
        pytest.skip(lab.unasked(target))
    tally = probe(
        operation,
        lab.send,
        running.base_url,
        running.model,
        running.key,
        known=lab.known(target),
    )
    assert tally.sent > 0
