from __future__ import annotations

from pathlib import Path

import pytest

from harness.claims import ClaimError, Claims, load_claims
from harness.claims.claim import Exported

ROOT = Path(__file__).parents[3]

GOOD = """\
claims:
  - id: fast
    quote: "It is fast."
    document: report.txt
    line: 7
    readings:
      - id: ping
        means: It answers a ping in a second.
        pinged: {times: 3}
        expect: {at_most: 1000, unit: ms}
      - id: metric
        means: It has the metric.
        exported: {metric: litellm_x}
        expect: {equals: 1, unit: series}
"""


def claims_of(tmp_path: Path, text: str) -> Claims:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    return load_claims(path)


def test_a_claim_is_read(tmp_path: Path) -> None:
    (claim,) = claims_of(tmp_path, GOOD).claims
    assert [each.id for each in claim.readings] == ["ping", "metric"]
    assert claim.readings[1].measure == Exported(metric="litellm_x")
    assert claim.readings[0].engines == ("emulated", "real")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    line: 7\n", "", "claims.yaml:2:5  GW021"),
        ("line: 7", "line: seven", "claims.yaml:5:11"),
        ("pinged:", "pinget:", "claims.yaml:9:9"),
        ("        pinged: {times: 3}\n", "", "says nothing of how it is measured"),
        (
            "        pinged: {times: 3}\n",
            "        pinged: {times: 3}\n        counted: {what: models}\n",
            "names pinged and counted",
        ),
        ("        expect: {at_most: 1000, unit: ms}\n", "", "needs 'expect'"),
        ("at_most: 1000, unit", "at_most: 1000, at_least: 2000, unit", "nothing is both"),
        ("id: metric", "id: ping", "'fast.ping' is taken"),
        ("id: fast", "id: Fast One", "lower case"),
        ("means: It has the metric.", "meant: It has the metric.", "'meant' is not known"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ClaimError) as error:
        claims_of(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(error.value), str(error.value)


def test_no_file_and_no_yaml_say_so(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match="cannot be read"):
        load_claims(tmp_path / "claims.yaml")
    with pytest.raises(ClaimError):
        claims_of(tmp_path, "claims: [")


def test_a_staircase_goes_up_and_reaches_what_was_claimed(tmp_path: Path) -> None:
    climbed = "climbed: {levels: [1, 33, 8], claimed: 33, prompt: 8, answer: 8}"
    with pytest.raises(ClaimError, match="do not ascend"):
        claims_of(tmp_path, GOOD.replace("pinged: {times: 3}", climbed))
    climbed = "climbed: {levels: [1, 8], claimed: 33, prompt: 8, answer: 8}"
    with pytest.raises(ClaimError, match="none of its levels"):
        claims_of(tmp_path, GOOD.replace("pinged: {times: 3}", climbed))


def test_claims_and_readings_are_picked_by_name(tmp_path: Path) -> None:
    claims = claims_of(tmp_path, GOOD)
    assert claims.only(()) is claims
    assert [each.id for each in claims.only(["fast"]).claims[0].readings] == ["ping", "metric"]
    assert [each.id for each in claims.only(["fast.metric"]).claims[0].readings] == ["metric"]
    with pytest.raises(KeyError, match=r"slow"):
        claims.only(["fast", "slow"])


def test_the_shipped_claims_load_and_each_can_be_told_apart() -> None:
    claims = load_claims(ROOT / "config" / "claims.yaml").claims
    assert len(claims) >= 40
    assert all(each.document.endswith(".txt") for each in claims)
    figures = " ".join(each.quote for each in claims)
    for number in ("33.63x", "12-13GB", "12.6GB", "50-200ms", "100-200ms", "<500ms", ">70%", "9.5"):
        assert number in figures, number
