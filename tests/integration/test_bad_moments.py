"""What may go wrong around the main job: a clear error, the evidence kept, no process left."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import read
from harness.session import Options, Outcome, Rehearsal, run
from harness.session.events import Event, Found, PhaseStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.stack import Stack


pytestmark = pytest.mark.apart
Left = Callable[[Path], dict[int, str]]


def harness(*arguments: str, mark: Path, **more: Any) -> subprocess.Popen[str]:
    """The command in a session of its own, every child of it bearing ``mark``."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        env={**os.environ, "HARNESS_TEST_MARK": str(mark)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def until_said(child: subprocess.Popen[str], pattern: str) -> None:
    assert child.stderr is not None
    for line in child.stderr:
        if re.search(pattern, line):
            return
    pytest.fail(f"never said {pattern!r}")


@pytest.fixture
def long_run(config: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A main job on its way, and where it writes."""
    child = harness("run", "--config", "config", "--out", "out", mark=tmp_path, cwd=config.parent)
    yield child, tmp_path / "out"
    child.kill()
    child.communicate()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("config", signal.SIGINT),
        ("start", signal.SIGTERM),
        ("access", signal.SIGINT),
        ("contract", signal.SIGINT),
    ],
)
def test_an_interrupted_run_keeps_its_evidence_and_leaves_no_process(
    long_run: tuple[subprocess.Popen[str], Path],
    tmp_path: Path,
    left_behind: Left,
    moment: str,
    number: signal.Signals,
) -> None:
    child, out = long_run
    # A phase's line is printed when it ends: the signal falls into the phase after it.
    until_said(child, rf"^{moment} ")
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "kept" in errors
    assert left_behind(tmp_path) == {}
    kept = read(out / "latest" / "evidence.jsonl")
    assert len(kept.records) >= 3
    assert "interrupted" in (out / "latest" / "index.html").read_text()


def test_a_harness_that_is_killed_takes_everything_with_it(
    long_run: tuple[subprocess.Popen[str], Path],
    tmp_path: Path,
    bearing: Left,
    left_behind: Left,
) -> None:
    child, out = long_run
    until_said(child, "^start ")
    assert len(bearing(tmp_path)) > 5, "the stack should be up"
    child.kill()
    child.wait()
    assert left_behind(tmp_path) == {}
    (run_folder,) = [path for path in out.iterdir() if path.name != "latest"]
    assert read(run_folder / "evidence.jsonl").records


def job(config: Path, out: Path, rehearsal: Rehearsal, port: int | None = None) -> Outcome:
    return asyncio.run(run(Options(config=config, out=out, port=port), rehearsal=rehearsal))


def test_an_engine_that_dies_is_named_with_its_last_lines_and_fails_the_run(
    config: Path, tmp_path: Path
) -> None:
    async def murder(stack: Stack) -> None:
        stack.engines["ollama"].kill()

    outcome = job(config, tmp_path / "out", Rehearsal(stack=murder))
    assert outcome.exit_code == 1
    assert "ollama" in outcome.trouble
    assert "died while the run went on" in outcome.trouble
    assert {one.check for one in outcome.evidence} >= {"config.schema", "gateway.auth"}


def test_a_gateway_that_does_not_start_shows_its_last_lines(config: Path, tmp_path: Path) -> None:
    def break_it(gateway: dict[str, Any]) -> None:
        gateway["router_settings"]["routing_strategy"] = "no-such-strategy"

    outcome = job(config, tmp_path / "out", Rehearsal(config=break_it))
    assert outcome.exit_code == 1
    assert "the gateway did not start" in outcome.trouble
    assert "no-such-strategy" in outcome.trouble
    assert "sk-" not in outcome.trouble


def test_a_taken_port_names_its_holder_and_a_free_one(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = job(config, tmp_path / "out", Rehearsal(), port=port)
    assert outcome.exit_code == 1
    assert re.search(rf"port {port} .* held by .*\(process {os.getpid()}\)", outcome.trouble)


def test_a_key_without_a_value_is_named_with_its_place(config: Path, tmp_path: Path) -> None:
    def ask_for_more(gateway: dict[str, Any]) -> None:
        gateway["model_list"][0]["litellm_params"]["api_key"] = "os.environ/UNSET_KEY"

    outcome = job(config, tmp_path / "out", Rehearsal(config=ask_for_more))
    assert "UNSET_KEY" in outcome.trouble


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a tiny disk"
)
def test_a_full_disk_stops_the_run_and_keeps_what_was_found(
    config: Path, tmp_path: Path, left_behind: Left
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not allow a mount")
    try:
        child = harness("run", "--config", str(config), "--out", str(disk), mark=tmp_path)
        _, errors = child.communicate(timeout=240)
        assert child.returncode in (1, 2), errors
        assert "Traceback" not in errors
        assert re.search(r"No space left|[Ff]ree some space", errors)
        (folder,) = [path for path in disk.iterdir() if path.name != "latest"]
        assert read(folder / "evidence.jsonl").records
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert left_behind(tmp_path) == {}


def test_broken_sources_end_with_2_before_anything_is_started(config: Path, tmp_path: Path) -> None:
    (config / "ports.yaml").write_text("host: 127.0.0.1\nservices: {gateway: {port: x}}\n")
    (config / "providers.yaml").write_text("providers:\n\tx: 1\n")
    child = harness("run", "--config", str(config), "--out", str(tmp_path / "out"), mark=tmp_path)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 2
    assert re.search(r"ports\.yaml:2:\d+ .*GW\d+", errors)
    assert re.search(r"providers\.yaml:2:\d+ .*GW\d+", errors)
    assert not (tmp_path / "out").exists()


def test_the_same_seed_tells_the_same_story(config: Path, tmp_path: Path) -> None:
    """Everything but times and what a clock or a port decides."""

    def story(out: Path) -> list[tuple[str, str, str]]:
        told: list[tuple[str, str, str]] = []

        def listen(event: Event) -> None:
            if isinstance(event, PhaseStarted):
                told.append((event.name, "", ""))
            if isinstance(event, Found):
                one = event.evidence
                told.append((one.check, one.subject, str(one.verdict)))

        asyncio.run(run(Options(config=config, out=out, phases=("routes",)), listen))
        return told

    assert story(tmp_path / "first") == story(tmp_path / "second")
