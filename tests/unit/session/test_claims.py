from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from harness.evidence import EVIDENCE_FILE, Evidence, Verdict, read, read_run
from harness.gate import load_policy
from harness.session.claims import ClaimOptions, ClaimsOutcome, judge_claims
from harness.session.events import Event, Found
from harness.session.outcome import of_claims, rejudge

CONFIG = Path(__file__).parents[3] / "config"

CLAIMS = """\
claims:
  - id: room
    quote: "33.63x"
    document: d.txt
    line: 1
    readings:
      - id: arithmetic
        means: It holds 33.63 requests.
        planned:
          {card: rtx5000-16g, model: qwen2.5-coder-7b-awq, utilisation: 0.85, figure: concurrency}
        expect: {equals: 33.63, within: 0.005, unit: x}
      - id: speed
        means: It is 33.63 times as fast.
        roofline: {card: rtx5000-16g, preset: rtx-5000, users: 33, context: 4096, figure: speed-up}
        expect: {at_least: 33.63, unit: x}
  - id: card
    quote: "12.6GB"
    document: d.txt
    line: 2
    readings:
      - id: seen
        means: The card shows 12.6 GB.
        unmeasured: {why: No card., how: nvidia-smi}
"""
GATES = """\
gates:
  - id: other
    title: Something that a run must show
    owner: nobody
    evidence:
      - {check: route.answered-by, subject: "*"}
  - id: room
    title: The room is there
    owner: nobody
    evidence:
      - {check: claim.room.arithmetic, subject: "*", tiers: [claims]}
"""
SPEED = GATES.replace("claim.room.arithmetic", "claim.room.speed")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    copy = tmp_path / "config"
    shutil.copytree(CONFIG, copy)
    (copy / "claims.yaml").write_text(CLAIMS)
    (copy / "gates.yaml").write_text(GATES)
    return copy


def options(config: Path, *only: str) -> ClaimOptions:
    return ClaimOptions(
        config=config, out=config.parent / "out", run=config.parent / "none", only=only
    )


def outcome(config: Path, *only: str) -> ClaimsOutcome:
    return asyncio.run(judge_claims(options(config, *only)))


def test_each_claim_gets_its_status_and_its_evidence(config: Path) -> None:
    found = outcome(config)
    assert {one.claim.id: str(one.status) for one in found.claims} == {
        "room": "refuted",
        "card": "not-run",
    }
    kept = read(found.directory / EVIDENCE_FILE).records
    assert [row.verdict for row in kept] == [Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN]
    assert all(row.replay.startswith("harness claims --only ") for row in kept)
    assert read_run(found.directory).status == "complete"


def test_a_refuted_claim_is_no_failure_unless_a_gate_says_so(config: Path) -> None:
    assert outcome(config).exit_code == 0
    (config / "gates.yaml").write_text(SPEED)
    assert outcome(config).exit_code == 1


def test_gates_of_a_run_are_not_asked_of_claims_nor_the_other_way_round(config: Path) -> None:
    assert [row.id for row in outcome(config).report.rows] == ["room"]
    policy = load_policy(config / "gates.yaml")
    assert [gate.id for gate in policy.of("emulated").gates] == ["other"]
    known = ["claim.room.speed", "claim.room.arithmetic"]
    assert of_claims(policy, ["claim.room.speed"], known=known).gates == ()


def test_a_gate_that_names_no_claim_fails_and_is_not_dropped(config: Path) -> None:
    (config / "gates.yaml").write_text(GATES.replace("room.arithmetic", "room.arithmetics"))
    found = outcome(config)
    assert found.exit_code == 1
    assert rejudge(found.directory, config).exit_code == 1


def test_a_gate_whose_reading_was_not_chosen_is_not_asked(config: Path) -> None:
    found = outcome(config, "card")
    assert found.report.rows == ()
    assert found.exit_code == 0


def test_inconclusive_is_3(config: Path) -> None:
    unfit = CLAIMS.replace("model: qwen2.5-coder-7b-awq", "model: llama-2-13b")
    (config / "claims.yaml").write_text(unfit)
    assert outcome(config, "room.arithmetic").exit_code == 3


def test_an_unknown_name_starts_nothing(config: Path) -> None:
    with pytest.raises(KeyError):
        outcome(config, "rooom")
    assert not (config.parent / "out").exists()


def test_the_page_shows_words_status_and_reason(config: Path) -> None:
    found = outcome(config)
    page = (found.directory / "index.html").read_text()
    for text in ('id="claim-room"', "33.63x", "refuted", "12.72 x", "To settle it: nvidia-smi"):
        assert text in page, text


def test_what_was_kept_is_judged_and_drawn_again_the_same(config: Path) -> None:
    found = outcome(config)
    page = (found.directory / "index.html").read_text()
    again = rejudge(found.directory, config)
    assert again.report.verdict is Verdict.PASS
    assert (found.directory / "index.html").read_text() == page
    (config / "gates.yaml").write_text(SPEED)
    assert rejudge(found.directory, config).exit_code == 1


def test_programs_get_claims_gates_and_evidence(config: Path) -> None:
    data = json.loads(json.dumps(outcome(config).data(), default=str))
    assert data["exit_code"] == 0
    assert data["claims"][0]["readings"][1]["status"] == "refuted"
    assert data["gates"] == [{"id": "room", "title": "The room is there", "verdict": "pass"}]
    assert Evidence.model_validate(data["evidence"][0]).value == pytest.approx(33.63, abs=0.005)


def test_interrupted_keeps_what_was_found_and_never_passes(config: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(judge_claims(options(config), stop_at_first))
        started.append(task)
        await task

    started: list[asyncio.Future[ClaimsOutcome]] = []

    def stop_at_first(event: Event) -> None:
        if isinstance(event, Found):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    (folder,) = [each for each in (config.parent / "out").iterdir() if each.name != "latest"]
    assert read_run(folder).interrupted
    assert len(read(folder / EVIDENCE_FILE).records) == 1
    told = json.loads((folder / "claims.json").read_text())
    assert told[0]["status"] == "not-run"
