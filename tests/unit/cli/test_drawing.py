from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from harness.cli.main import main
from harness.load.goodput import Met
from harness.load.journal.journal import Facts, Writer
from harness.load.journal.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(profile="smoke", seed=1, host="http://127.0.0.1:1", engine="real", begun_unix_ns=0)


def recorded(folder: Path, partial: str | None = None) -> Path:
    writer = Writer(folder, facts=FACTS)
    met = Met(whole=True, why="", queue_ms=0.0, ttft_ms=9.0, e2e_ms=20.0, tokens=3)
    writer.add(
        Row(
            due_unix_ns=0,
            ended_unix_ns=20_000_000,
            number=0,
            name="m",
            load=1,
            worker="0",
            met=met,
        )
    )
    writer.close(partial)
    return folder


def test_a_recorded_load_is_drawn_beside_its_rows(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "run")

    result = CliRunner().invoke(main, ["load", "report", str(folder), "--capacity", "33.63"])

    assert result.exit_code == 0
    assert result.output.strip() == str(folder / "index.html")
    assert (folder / "index.html").read_text(encoding="utf-8").count("<figure>") >= 2


def test_a_partial_load_is_drawn_and_says_so(tmp_path: Path) -> None:
    folder = recorded(tmp_path, partial="the disk is full")

    assert CliRunner().invoke(main, ["load", "report", str(folder)]).exit_code == 0
    assert "the disk is full" in (folder / "index.html").read_text(encoding="utf-8")


def test_a_folder_without_a_load_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["load", "report", str(tmp_path)])

    assert result.exit_code == 2
    assert "run.json cannot be read" in result.output


def test_samples_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    (folder / "engine-vllm.jsonl").write_text("nonsense\n")

    result = CliRunner().invoke(main, ["load", "report", str(folder)])

    assert result.exit_code == 2
    assert "engine-vllm.jsonl:1 is no line of engine samples" in result.output
