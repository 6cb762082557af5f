from __future__ import annotations

import json
import math
import random
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.load.goodput import Met
from harness.load.journal.journal import Facts, Row, Writer
from harness.statistics import order

if TYPE_CHECKING:
    from pathlib import Path


def load(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["load", *arguments])


def nobody() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


SLO = ("--slo", "p95 ttft < 500ms")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--slo", "p95 speed < 5ms"), "the metrics are"),
        (("--slo", "ttft < 500ms"), "no objective has a percentile"),
        ((*SLO, "--min", "0"), "--min"),
        ((*SLO, "--max", "inf"), "finite"),
        ((*SLO, "--max", "1e12"), "at most 100000"),
        ((*SLO, "--by", "users", "--max", "1e6"), "at most 4096"),
        ((*SLO, "--min", "9", "--max", "3"), "give 0 < least < most"),
        ((*SLO, "--by", "users", "--min", "0.5"), "give at least 1"),
        ((*SLO, "--resolution", "0.1%"), "a resolution of 0.001"),
        ((*SLO, "--confidence", "200%"), "not between 0 and 100 %"),
        ((*SLO, "--target", "http://192.0.2.1:1/v1", "--model", "m"), "load.target-not-live"),
        ((*SLO, "--target", "localhost", "--model", "m"), "is no URL"),
        (
            (*SLO, "--target", nobody(), "--model", "m", "--tokenizer", "http://192.0.2.1:1/v1"),
            "load.target-not-live",
        ),
        (
            (*SLO, "--target", nobody(), "--model", "m", "--prompts", "chat"),
            "load.tokenizer-missing",
        ),
        ((*SLO, "--target", nobody(), "--model", "m", "--key-env", "NO_SUCH"), "load.no-key"),
        ((*SLO, "--target", nobody(), "--model", "m", "--name", "../x"), "load.name"),
        ((*SLO, "--target", nobody(), "--model", "m", "--name", ""), "load.name"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    result = load("find", *arguments, "--out", str(tmp_path))
    assert result.exit_code == 2, result.output
    assert said.lower() in result.stderr.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_not_up_is_an_error_and_never_a_figure(tmp_path: Path) -> None:
    result = load("find", *SLO, "--target", nobody(), "--model", "m", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "load.target-down" in result.stderr
    assert "refused" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"find.json": '{"slo": ["p95 ttft < 9ms"]}', "visits.jsonl": "{}\n"}, "another slo"),
        ({"find.json": '{"over": true}'}, "a search that is over"),
        ({"find.json": "[]"}, "no search that can be read"),
        ({"run.json": "{}"}, "something else"),
    ],
)
def test_the_folder_of_something_else_is_refused_and_left_as_it_is(
    kept: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for name, text in kept.items():
        (folder / name).write_text(text)
    asked = ("--target", nobody(), "--model", "m", "--name", "f", "--out", str(tmp_path))
    result = load("find", *SLO, *asked)
    assert result.exit_code == 2
    assert said in result.stderr
    assert {path.name: path.read_text() for path in folder.iterdir()} == kept


def test_a_comparison_with_a_target_that_is_down_can_be_tried_again(tmp_path: Path) -> None:
    words = ("compare", nobody(), nobody(), "--model", "m", "--out", str(tmp_path))
    for _ in range(2):
        assert "load.target-down" in load(*words).stderr
    assert list(tmp_path.iterdir()) == []


def test_its_errors_are_explained() -> None:
    for name in (
        "load.target-down",
        "load.target-not-live",
        "load.interrupted",
        "load.tokenizer-missing",
        "load.tokenizer-mismatch",
        "load.prompt",
        "load.no-block",
    ):
        assert CliRunner().invoke(main, ["explain", name]).exit_code == 0


def write(
    folder: Path,
    effect: float,
    *,
    arms: str | None,
    noise: float = 0.02,
    partial: str | None = None,
) -> Path:
    """A record: in turn as ``arms`` say, or of one target."""
    source = random.Random(f"{folder.name}/{effect}")
    facts = Facts(
        profile="compare",
        seed=1,
        host="http://127.0.0.1",
        engine="emulated",
        begun_unix_ns=1,
        notes={"run_s": 4.0},
    )
    number = 0
    with Writer(folder, facts=facts) as writer:
        for run, arm in enumerate(arms or "B" * 32):
            slow = 100 * (1 + effect * (arm == "B")) * math.exp(source.gauss(0, noise))
            for _ in range(40):
                ms = slow * source.uniform(0.9, 1.1)
                number += 1
                writer.add(
                    Row(
                        due_unix_ns=number * 100_000_000,
                        ended_unix_ns=number * 100_000_000 + 1,
                        number=number,
                        name="m",
                        load=4.0,
                        worker="0",
                        labels={"arm": arm, "run": str(run)} if arms else {},
                        met=Met(whole=True, why="", ttft_ms=ms, itl_ms=ms, e2e_ms=ms, tokens=9),
                    )
                )
        writer.close(partial)
    return folder


@pytest.mark.parametrize(
    ("effect", "noise", "code"), [(0.0, 0.02, 0), (0.2, 0.02, 1), (0.05, 0.2, 3)]
)
def test_a_recorded_comparison_is_judged_again(
    effect: float, noise: float, code: int, tmp_path: Path
) -> None:
    folder = write(tmp_path / "c", effect, arms=order(8), noise=noise)
    result = load("compare", str(folder), "--metric", "ttft.p50", "--replays", "200")
    assert result.exit_code == code, result.output
    assert "200 replays of these runs" in result.output
    assert "of +10%" in result.output


def test_programs_get_the_figures_and_what_they_are_worth(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", 0.0, arms=order(8))
    said = json.loads(load("compare", str(folder), "--json").stdout)
    assert said["verdict"] == "pass"
    assert said["compared"][0]["worth"]["false_alarms"] < 0.01
    assert [one["unit"] for one in said["compared"]] == [*["ms"] * 4, "tokens/s", "share"]
    assert (said["confidence"], said["requests"]) == (0.98, 32 * 40)


def test_a_comparison_that_was_interrupted_never_passes_and_says_how_far_it_came(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "c", 0.0, arms=order(8), partial="interrupted")
    result = load("compare", str(folder), "--metric", "ttft.p50")
    assert result.exit_code == 3, result.output
    assert "inconclusive: interrupted: 7 blocks were measured" in result.output


def test_the_throughput_of_a_schedule_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", 0.0, arms=order(8))
    facts = json.loads((folder / "run.json").read_text())
    scheduled = {**facts["notes"], "users": False}
    (folder / "run.json").write_text(json.dumps({**facts, "notes": scheduled}))
    result = load("compare", str(folder))
    assert result.exit_code == 0, result.output
    assert "throughput," not in result.output
    assert "throughput is left out" in result.output


def test_one_without_a_whole_block_is_no_comparison(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", 0.0, arms="ABB", partial="interrupted")
    result = load("compare", str(folder))
    assert result.exit_code == 2
    assert "load.no-block: interrupted before the first block" in result.stderr
    assert "not measured in turn" not in result.output


def test_two_records_made_one_after_the_other_are_compared_and_it_is_said(tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, by, arms=None) for name, by in (("a", 0.0), ("b", 0.3)))
    result = load("compare", str(a), str(b), "--metric", "ttft.p50")
    assert result.exit_code == 1, result.output
    assert "not measured in turn" in result.output
    assert "what changed between the two is not in them" in result.output
    assert "the verdict is of these two records" in result.output


def test_a_search_is_no_record_of_one_load(tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, 0.0, arms=None) for name in ("a", "b"))
    facts = json.loads((b / "run.json").read_text())
    (b / "run.json").write_text(json.dumps({**facts, "profile": "find"}))
    result = load("compare", str(a), str(b))
    assert result.exit_code == 2
    assert "holds a search" in result.stderr


def test_a_partial_record_never_passes(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 0.0, arms=None)
    b = write(tmp_path / "b", 0.0, arms=None, partial="disk full")
    result = load("compare", str(a), str(b))
    assert result.exit_code == 3
    assert "disk full" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere"),
        (("http://127.0.0.1:1/v1",), "give two URLs"),
        (("http://127.0.0.1:1/v1", "folder"), "give two URLs"),
        (("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"), "name the --model"),
        (("http://192.0.2.1/v1", "http://127.0.0.1:2/v1", "--model", "m"), "load.target-not-live"),
        (("x", "--replays", "10"), "--replays"),
        (("x", "--users", "5000"), "--users"),
        (
            ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "--model", "m", "--rate", "1e9"),
            "at most 100000",
        ),
        (("x", "--min-effect", "0%"), "not between"),
        (
            (
                *("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "--model", "m"),
                *("--rate", "5", "--metric", "throughput"),
            ),
            "throughput is left out",
        ),
        (("x", "--metric", "speed"), "speed"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = load("compare", *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
