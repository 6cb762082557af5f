"""The engines sampled along a run, over real connections and without Locust."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.load.journal.journal import Journal, JournalError, Writer
from harness.load.locusts import telling
from harness.load.locusts.engines import Engines
from harness.load.locusts.orders import Orders
from harness.load.locusts.run import Run
from harness.load.profiles import PROFILES, Setting, Target
from harness.load.sampling.sampling import Watch, path_of, sampled
from harness.process.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = b"vllm:num_requests_running 1\nvllm:num_requests_waiting 2\n"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def begun(folder: Path, *watches: Watch) -> Run:
    target = Target(name="chat", context=4096, providers=("vllm",))
    orders = Orders(
        profile="smoke",
        setting=Setting(targets=(target,)),
        base_url="http://g.test/v1",
        key=None,
        timeout_s=60.0,
    )
    plan = orders.plan(PROFILES)
    run = Run(plan, orders, folder, workers=("a",), slo=plan.slo, watches=watches)
    run.begin()
    run.complete = True
    run.done = {"a": {"rows": 0, "trouble": None}}
    return run


def told(run: Run, partial: str | None = None) -> str:
    return "\n".join(telling.lines(run, run.summary(), partial, None))


def test_a_run_is_sampled_from_its_beginning_to_its_end(tmp_path: Path, url: str) -> None:
    run = begun(tmp_path / "a run", Watch(name="vllm", url=url), Watch(name="ollama", url=None))
    run.engines.begin()
    assert run.close({}, "emulated") is None
    run.engines.end()

    ollama, vllm = sampled(run.folder)
    assert (vllm.dialect, vllm.cut, run.engines.trouble) == ("vllm", False, "")
    assert len(vllm.samples) >= 2
    assert f"engine vllm: {len(vllm.samples)} samples, {vllm.gaps} gaps" in told(run)
    assert f"engine ollama: not sampled, {ollama.absent}" in told(run)
    assert f"harness load report '{run.folder}'" in told(run)


@pytest.mark.parametrize("failing", [False, True])
def test_sampling_ends_with_a_run_that_cannot_be_written(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, failing: bool
) -> None:
    run = begun(tmp_path / "j", Watch(name="vllm", url=url))
    run.engines.begin()

    def full(*_: object) -> None:
        raise OSError("no space") if failing else JournalError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "close", full)
        if failing:
            with pytest.raises(OSError, match="no space"):
                run.close({}, "emulated")
        else:
            assert run.close({}, "emulated") == "no space"
    assert not sampled(run.folder)[0].cut


def test_an_engine_that_is_not_there_is_gaps_and_fails_nothing(tmp_path: Path) -> None:
    gone = Watch(name="gone", url=f"http://127.0.0.1:{free_port()}/metrics")
    run = begun(tmp_path / "j", gone)
    run.engines.begin()
    assert run.close({}, "unknown") is None
    assert "engine gone: 0 samples, " in told(run)
    assert "cannot connect" in told(run)


def test_samples_that_cannot_be_written_are_said_and_fail_nothing(tmp_path: Path, url: str) -> None:
    run = begun(tmp_path / "j", Watch(name="vllm", url=url))
    path_of(run.folder, "vllm").write_text("old")
    run.engines.begin()
    assert run.close({}, "unknown") is None
    assert Journal.read(run.folder).facts.partial is None
    assert "NOT SAMPLED: the engines cannot be sampled" in told(run)
    assert path_of(run.folder, "vllm").read_text() == "old"


def test_a_sampler_that_dies_is_said_and_fails_nothing(tmp_path: Path, url: str) -> None:
    run = begun(tmp_path / "j", Watch(name="vllm", url=url))
    run.engines.begin()
    sampler = run.engines._sampler
    assert sampler is not None
    assert sampler._child is not None
    sampler._child.kill()
    assert run.close({}, "unknown") is None
    assert "NOT SAMPLED: sampling the engines ended before its time" in told(run)
    assert "cut before its end" in told(run)


def test_a_run_that_ended_is_not_sampled_any_more(tmp_path: Path, url: str) -> None:
    engines = Engines(tmp_path, [Watch(name="vllm", url=url)])
    engines.end()
    engines.begin()
    assert sampled(tmp_path) == ()


def test_two_of_one_name_are_said_and_fail_nothing(tmp_path: Path, url: str) -> None:
    engines = Engines(tmp_path, [Watch(name="a b", url=url), Watch(name="a/b", url=url)])
    engines.begin()
    engines.end()
    assert "of one name" in engines.lines()[0]


def test_a_run_with_nothing_to_sample_says_how_to(tmp_path: Path) -> None:
    run = begun(tmp_path / "j")
    run.engines.begin()
    assert run.close({}, "unknown") is None
    assert "--engine-metrics URL" in told(run)
    assert json.loads((run.folder / "run.json").read_text())["partial"] is None
    assert list(run.folder.glob("engine-*")) == []
