from __future__ import annotations

from typing import Any

import pytest

from harness.contract.check import explain
from harness.evidence.record import Verdict


def test_contract(lab: Any, target: str, check_id: str) -> None:
    result = lab.results(target).get(check_id)
    unsent = lab.target(target).only_read and result and result.verdict is Verdict.NOT_RUN
    if result is None or unsent:
        pytest.skip(lab.unasked(target))
    if result.deviation:
        issue = lab.issue(result.deviation)
        pytest.xfail(f"known deviation {result.deviation} ({issue}): {result.reason}")
    if result.verdict is not Verdict.PASS:
        told = f"{target} {result.verdict}: {result.reason}\n\n{explain(check_id)}"
        pytest.fail(told, pytrace=False)
