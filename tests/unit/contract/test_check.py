from __future__ import annotations

import re

import pytest

from harness.contract import check as registry
from harness.contract.check import Lane, Tier, UnknownCheckError, check, checks, explain, find
from harness.contract.conditions import ANY
from harness.contract.scenarios import SCENARIOS


def test_every_id_is_dotted_lower_case() -> None:
    ids = [c.id for c in checks(lane=None)]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(\.[a-z0-9-]+)+", i) for i in ids)


def test_every_title_is_one_sentence_and_every_check_names_its_source() -> None:
    for one in checks(lane=None):
        assert one.title[0].isupper() or one.title[0].isalpha()
        assert not one.title.endswith("."), one.id
        assert one.source, one.id
        assert len(one.about) > 40, one.id


def test_every_scenario_a_check_names_exists() -> None:
    known = {s.id for s in SCENARIOS}
    assert {s for c in checks(lane=None) for s in c.on} <= known


def test_a_check_that_compares_names_what_it_compares() -> None:
    assert all(len(c.on) > 1 for c in checks(lane=None) if c.across)


def test_the_fuzz_lane_keeps_to_itself() -> None:
    assert {c.lane for c in checks()} == {Lane.SCENARIO}
    assert {c.id for c in checks(lane=Lane.FUZZ)} == {
        "schema.body.valid",
        "schema.status.documented",
    }


def test_a_new_check_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    known = len(checks())
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))

    @check("demo.always", tier=Tier.RECORD, title="Nothing", source="here", condition=ANY)
    def judge(_: object) -> list[tuple[str, str]]:
        """It explains itself."""
        return [("no", "anywhere")]

    assert len(checks()) == known + 1
    assert find("demo.always").judge is judge


def test_two_checks_cannot_share_an_id() -> None:
    with pytest.raises(ValueError, match=r"two checks are called stream\.done\.last"):
        check("stream.done.last", tier=Tier.MUST, title="x", source="x", condition=ANY)(
            find("stream.done.last").judge
        )


def test_a_check_that_explains_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"demo\.mute explains nothing"):
        check("demo.mute", tier=Tier.MUST, title="x", source="x", condition=ANY)(lambda _: [])


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(UnknownCheckError, match=r"Did you mean stream\.done\.last"):
        find("stream.done.lost")


def test_explain_tells_rule_tier_reason_scope_and_source() -> None:
    told = explain("contract.stream.usage.final")
    assert told == explain("stream.usage.final")
    for part in ("stream.usage.final (must)", "one chunk", "Judges:", "Source: OpenAI API ref"):
        assert part in told
