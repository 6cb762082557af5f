from __future__ import annotations

from harness.behaviour.monitoring import judge_scrape
from harness.engines.real.prometheus import Scrape
from harness.evidence import Verdict


def scrape(health: str, error: str = "") -> Scrape:
    return Scrape(name="vllm", url="http://127.0.0.1:8001/metrics", health=health, error=error)


def test_a_target_that_is_up_passes() -> None:
    assert judge_scrape("vllm", scrape("up")).verdict is Verdict.PASS


def test_one_that_is_down_unread_or_unknown_fails_with_the_reason() -> None:
    down = judge_scrape("vllm", scrape("down", "server returned HTTP status 401"))
    unread, unknown = judge_scrape("vllm", scrape("unknown")), judge_scrape("vllm", None)
    assert {each.verdict for each in (down, unread, unknown)} == {Verdict.FAIL}
    assert "401" in down.reason
    assert "not read yet" in unread.reason
    assert "no such target" in unknown.reason
