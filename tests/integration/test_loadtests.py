"""``locust -f loadtests/`` as a person types it, only shorter and without its page."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.load.journal.journal import Journal
from harness.load.sampling.sampling import sampled
from harness.process.ports import free_port
from harness.registry import load

ROOT = Path(__file__).parents[2]
Left = Callable[[Path], dict[int, str]]
HEADLESS = ("--headless", "--users=2", "--only-summary", "--error-bar=off")


class Answers(BaseHTTPRequestHandler):
    """Metrics, and a short stream to every question: half of one where the server is broken."""

    protocol_version = "HTTP/1.1"
    broken = False

    def do_GET(self) -> None:
        page = b"vllm:num_requests_running 1\n"
        self.send_response(200)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for last in (False, False, True):
            delta = {"delta": {"content": "a "}, "finish_reason": "stop" if last else None}
            self._say(json.dumps({"model": "m", "choices": [{"index": 0, **delta}]}))
            time.sleep(0.02)
        if not self.broken:
            self._say("[DONE]")
        self.close_connection = True

    def _say(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(*, broken: bool = False) -> Iterator[str]:
    handler = type("Handler", (Answers,), {"broken": broken})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with answering() as url:
        yield url


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """An emulated vLLM, which says what a text is in tokens."""
    spec = EmulatorSpec(
        id="engine",
        dialect="vllm",
        models=(ServedModel("m", 4096),),
        settings=Settings(ttft_ms=5, itl_ms=1),
    )
    stands: queue.SimpleQueue[str] = queue.SimpleQueue()
    over = threading.Event()

    async def hold() -> None:
        async with EmulatedEngine(spec) as running:
            stands.put(running.endpoint)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        yield stands.get(timeout=60)
    finally:
        over.set()
        thread.join()


def command(*options: str, files: str = "loadtests/") -> list[str]:
    return [sys.executable, "-m", "locust", "-f", files, *options]


def locust(
    *options: str, files: str = "loadtests/", mark: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options, files=files),
        cwd=ROOT,
        env={**os.environ, "HARNESS_TEST_MARK": str(mark)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(*options),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def until(seen: Callable[[], object]) -> None:
    """Wait for something another process does."""
    for _ in range(600):
        if seen():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen within a minute")


def assert_sampled(folder: Path, said: str) -> None:
    """The one engine gave samples, from the first to one more at the end of the run."""
    (engine,) = sampled(folder)
    assert engine.stretches()
    assert not engine.cut
    assert f"engine {engine.name}: " in said


def rows_by_worker(folder: Path) -> list[int]:
    return [max(0, file.read_bytes().count(b"\n") - 1) for file in folder.glob("requests-*.jsonl")]


def rows_in(folder: Path) -> int:
    return sum(rows_by_worker(folder))


def test_without_a_host_it_brings_its_own_gateway_and_takes_it_away(
    tmp_path: Path, left_behind: Left
) -> None:
    folder = tmp_path / "journal"
    done = locust(
        *("--headless", "--users=2", "--run-time=2s", "--only-summary", f"--journal={folder}"),
        mark=tmp_path,
    )
    # 3: the machine was too busy to measure on, which the run must say and not hide.
    assert done.returncode in {0, 3}, done.stderr
    assert "TTFT" in done.stdout
    assert "load.client." in done.stdout
    assert ("INCONCLUSIVE" in done.stdout) is (done.returncode == 3)
    found = Journal.read(folder)
    rows = list(found.rows)
    assert found.facts.partial is None
    assert found.facts.engine == "emulated"
    assert rows
    assert all(row.met.whole for row in rows)
    engines = sampled(folder)
    assert {engine.name for engine in engines} == set(load(ROOT / "config").enabled_providers())
    assert any(engine.stretches() for engine in engines)
    for engine in engines:
        assert not engine.cut
        assert engine.absent or engine.stretches(), engine
        assert f"engine {engine.name}: " in done.stdout
    assert f"harness load report {folder}" in done.stdout
    assert left_behind(tmp_path) == {}


def test_answers_that_are_not_whole_are_failures_and_set_the_exit_code(tmp_path: Path) -> None:
    with answering(broken=True) as url:
        done = locust(*HEADLESS, "--run-time=1s", f"--host={url}", f"--journal={tmp_path}/j")
    assert done.returncode == 1
    assert "truncated: the stream ends without [DONE]" in done.stderr + done.stdout
    assert {row.failure for row in Journal.read(tmp_path / "j").rows} == {"truncated"}


def test_an_open_loop_plays_its_schedule_whole_in_exact_prompts_over_two_processes(
    tmp_path: Path, engine: str
) -> None:
    port = free_port()
    folder = tmp_path / "j"
    done = locust(
        *(*HEADLESS, "--run-time=2s", f"--host={engine}", f"--journal={folder}", "--rate=40"),
        *("--model=m", "--prompts=chat"),
        *("--processes=2", f"--master-port={port}", f"--master-bind-port={port}"),
        "--load-profile=open_loop",
    )
    assert done.returncode == 0, done.stderr
    found = Journal.read(folder)
    assert found.facts.partial is None
    assert len(found.facts.workers) == 2
    assert {row.worker for row in found.rows} == set(found.facts.workers)
    numbers = sorted(row.number for row in found.rows)
    assert numbers == list(range(len(numbers))), "no arrival is left out, none is played twice"
    assert len(numbers) > 40
    assert f"prompts: {len(numbers)} of exactly the tokens asked for, by usage" in done.stdout
    assert all(row.labels["asked_tokens"] == str(row.prompt_tokens) for row in found.rows)


def test_prompts_of_exact_counts_need_somebody_who_counts(tmp_path: Path, host: str) -> None:
    done = locust(*HEADLESS, "--prompts=chat", f"--host={host}", f"--journal={tmp_path}/j")
    assert done.returncode == 2
    assert "load.tokenizer-missing: --prompts chat: " in done.stderr
    assert "--tokenizer" in done.stderr
    assert not (tmp_path / "j").exists()


def test_a_worker_that_is_killed_makes_the_journal_partial(tmp_path: Path, host: str) -> None:
    port = free_port()
    folder = tmp_path / "j"
    reach = (f"--master-port={port}", "--master-host=127.0.0.1")
    master = (
        *(*HEADLESS, "--run-time=5s", f"--host={host}", f"--journal={folder}"),
        *(
            f"--engine-metrics={host}/metrics",
            "--master",
            "--expect-workers=2",
            f"--master-bind-port={port}",
        ),
        "--master-bind-host=127.0.0.1",
    )
    with (
        started(*master) as running,
        started("--worker", *reach),
        started("--worker", *reach) as victim,
    ):
        until(lambda: sum(rows > 2 for rows in rows_by_worker(folder)) == 2)
        victim.kill()
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 1, said
    assert "was lost" in said
    found = Journal.read(folder)
    assert found.facts.partial is not None
    assert "was lost" in found.facts.partial
    assert len(found.facts.workers) == 2
    assert {row.worker for row in found.rows} == set(found.facts.workers)
    assert_sampled(folder, said)


def test_ctrl_c_keeps_what_there_is_and_marks_it_partial(tmp_path: Path, host: str) -> None:
    folder = tmp_path / "j"
    told = (f"--host={host}", f"--engine-metrics={host}/metrics", f"--journal={folder}")
    with started(*HEADLESS, "--run-time=60s", *told) as running:
        until(lambda: rows_in(folder) > 4)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "PARTIAL: stopped before its end" in said
    assert "Traceback" not in said
    found = Journal.read(folder)
    assert found.facts.partial is not None
    assert list(found.rows)
    assert_sampled(folder, said)


def test_ctrl_c_while_answers_are_judged_keeps_those_and_counts_the_rest(
    tmp_path: Path, host: str
) -> None:
    folder = tmp_path / "j"
    told = (f"--host={host}", "--error-bar=off", f"--journal={folder}")
    with started(*HEADLESS, "--run-time=1s", *told) as running:
        until(lambda: rows_in(folder) > 4)
        (judging,) = (
            child
            for child in psutil.Process(running.pid).children()
            if "harness.load.journal.parsing" in child.cmdline()
        )
        judging.suspend()
        said = ""
        assert running.stdout is not None
        for line in running.stdout:
            said += line
            if "judging: " in line:
                running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130, said
    partial = Journal.read(folder).facts.partial or ""
    assert "answers were not judged: given up by Ctrl-C" in partial
    assert f"PARTIAL: {partial}" in said
    kept, of = re.findall(r"judging: (\d+) of (\d+) answers", said)[-1]
    assert rows_in(folder) - 1 == int(kept)
    assert f"{int(of) - int(kept)} of {of} answers" in partial


def test_the_page_starts_a_profile_and_shows_its_phases(tmp_path: Path, engine: str) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"

    def ask(path: str, **form: str) -> dict[str, object]:
        data = urlencode(form).encode() if form else None
        with urllib.request.urlopen(page + path, data, 10) as answer:  # noqa: S310 - http, ours
            return dict(json.load(answer))

    def up() -> bool:
        try:
            ask("/stats/requests")
        except OSError:
            return False
        return True

    with started(
        f"--web-port={port}", f"--host={engine}", f"--journal={tmp_path}/j", "--error-bar=off"
    ) as running:
        until(up)
        form = {"load_profile": "mixed", "model": "m", "prompts": "chat", "run_time": "2s"}
        began = ask("/swarm", user_count="3", spawn_rate="3", **form)
        assert began["success"], began
        until(lambda: ask("/stats/requests")["state"] == "stopped")
        stats = ask("/stats/requests")["stats"]
        running.terminate()
        running.communicate(timeout=60)
    assert isinstance(stats, list)
    assert {"TTFT", "ITL", "TPOT", "E2E"} <= {row["method"] for row in stats}
    found = Journal.read(tmp_path / "j")
    assert found.facts.profile == "mixed"
    assert found.facts.partial is None
    assert {row.load for row in found.rows} == {3.0}
    assert {row.labels["asked_tokens"] == str(row.prompt_tokens) for row in found.rows} == {True}


def test_a_new_profile_is_one_new_file(tmp_path: Path, host: str) -> None:
    (tmp_path / "mine.py").write_text(
        """
from harness.load.workload.arrival import steady
from harness.load.locusts.play import play
from harness.load.profiles import Ask, Plan, Profile, Setting


def mine(setting: Setting) -> Plan:
    \"\"\"One user who says hello.\"\"\"
    model = setting.targets[0].name
    ask = Ask(model=model, messages=(("user", "hello"),), max_tokens=2)
    return Plan(stages=steady(1, 1.0), ask=lambda _: ask)


LoadUser, LoadShape = play(Profile.of(mine))
"""
    )
    folder = tmp_path / "j"
    done = locust(
        *(*HEADLESS, f"--host={host}", f"--journal={folder}", "--load-profile=mine"),
        files=f"loadtests/,{tmp_path}/mine.py",
    )
    assert done.returncode == 0, done.stderr
    found = Journal.read(folder)
    assert found.facts.profile == "mine"
    assert {row.load for row in found.rows} == {1.0}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--load-profile=nope"], "invalid choice: 'nope'"),
        (["--host=http://192.0.2.1:80"], "--live"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(options: list[str], why: str) -> None:
    done = locust("--headless", *options)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr
