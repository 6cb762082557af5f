"""Engines sampled over real connections; no test waits for a length of time."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.answer import ask
from harness.engines.emulated import EmulatedEngine
from harness.engines.metrics import NAMES, Quantity
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel
from harness.load.sampling.sampler import Watcher
from harness.load.sampling.sampling import (
    Sample,
    Sampled,
    Sampler,
    SamplingError,
    Watch,
    dump,
    path_of,
    sampled,
    shown,
)
from harness.process.ports import free_port
from harness.wire import blocking, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "sk-not-in-a-file"
Answer = tuple[int, str]


def vllm(running: float, generated: float = 0) -> Answer:
    page = (
        'vllm:cache_config_info{num_gpu_blocks="8610",block_size="16"} 1.0\n'
        f"vllm:num_requests_running {running}\nvllm:num_requests_waiting 2\n"
        f"vllm:generation_tokens_total {generated}\n"
    )
    return 200, page


class Pages:
    """A server whose page changes with every question; the last one stays."""

    def __init__(self) -> None:
        self.pages: list[Answer] = []
        self.keys: list[str | None] = []
        self.asked = threading.Semaphore(0)
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages.keys.append(self.headers.get("authorization"))
                status, text = pages.pages[0] if len(pages.pages) == 1 else pages.pages.pop(0)
                body = text.encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                pages.asked.release()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def pages() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., Sampled]:
    """Sample in this process until ``until`` says so, then read what was written."""

    def run(
        url: str | None, until: Callable[[], object], *, every_s: float = 0.01, most: int = 1000
    ) -> Sampled:
        over = threading.Event()
        order = {"folder": str(tmp_path), "every_s": every_s, "within_s": 60, "most": most}
        watcher = Watcher(order, {"name": "engine/1", "url": url, "key": SECRET}, over)
        thread = threading.Thread(target=watcher.run)
        thread.start()
        watcher.asked.wait()
        until()
        over.set()
        thread.join()
        assert watcher.trouble is None
        (found,) = sampled(tmp_path)
        return found

    return run


def test_samples_are_written_with_the_moment_between_asking_and_answer(
    pages: Pages, watch: Callable[..., Sampled]
) -> None:
    pages.pages = [vllm(1, 10), vllm(2, 30), vllm(3, 60)]

    found = watch(pages.url, lambda: [pages.asked.acquire() for _ in range(4)])

    assert (found.name, found.dialect, found.cut) == ("engine/1", "vllm", False)
    assert found.facts == {"num_gpu_blocks": "8610", "block_size": "16"}
    assert [sample.said[Quantity.RUNNING] for sample in found.samples[:3]] == [1, 2, 3]
    assert found.samples[1].said[Quantity.GENERATED] == 30
    assert all(sample.asked_unix_ns <= sample.at_unix_ns for sample in found.samples)
    assert Quantity.KV not in found.samples[0].said


def test_the_key_goes_to_the_engine_and_into_no_file(
    pages: Pages, watch: Callable[..., Sampled], tmp_path: Path
) -> None:
    pages.pages = [vllm(1)]

    watch(f"{pages.url}?key={SECRET}", lambda: None)

    assert set(pages.keys) == {f"Bearer {SECRET}"}
    assert all(SECRET not in path.read_text() for path in tmp_path.iterdir())
    assert shown("http://u:p@host:1/metrics?k=v#x") == "http://host:1/metrics"


def test_an_engine_that_falls_silent_leaves_gaps_and_is_sampled_again(
    pages: Pages, watch: Callable[..., Sampled]
) -> None:
    pages.pages = [vllm(1), (500, "no"), (200, "<html>"), vllm(4)]

    found = watch(pages.url, lambda: [pages.asked.acquire() for _ in range(5)])

    first, broken, foreign, again, *_ = found.samples
    assert (first.said[Quantity.RUNNING], again.said[Quantity.RUNNING]) == (1, 4)
    assert broken.said == foreign.said == {}
    assert broken.why == "its metrics page answers 500"
    assert "no sample of a metrics page" in foreign.why
    assert len(found.stretches()[0]) == 1
    assert found.gaps >= 2


def test_an_engine_that_does_not_listen_yet_is_a_gap_and_no_absence(
    watch: Callable[..., Sampled],
) -> None:
    found = watch(f"http://127.0.0.1:{free_port()}/metrics", lambda: None)

    assert found.samples
    assert found.stretches() == ()
    assert "cannot connect" in found.samples[0].why
    assert found.absent == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, "none"), "its metrics page answers 404"),
        ((401, "no"), "its metrics page answers 401: it wants a key"),
        ((200, "process_cpu_seconds_total 1\n"), "its metrics page tells nothing of its load"),
    ],
)
def test_an_engine_without_such_metrics_is_said_to_have_none(
    pages: Pages, watch: Callable[..., Sampled], answer: Answer, why: str
) -> None:
    pages.pages = [answer]

    found = watch(pages.url, lambda: None)

    assert found.absent == why
    assert (found.samples, found.dialect, found.cut) == ((), None, False)
    assert len(pages.keys) == 1


def test_a_server_that_still_starts_is_asked_again(
    pages: Pages, watch: Callable[..., Sampled]
) -> None:
    pages.pages = [(503, "loading"), vllm(1)]

    found = watch(pages.url, lambda: [pages.asked.acquire() for _ in range(3)])

    assert found.samples[0].why == "its metrics page answers 503"
    assert found.dialect == "vllm"


def test_a_kind_of_engine_without_a_page_is_said_so(watch: Callable[..., Sampled]) -> None:
    assert watch(None, lambda: None).absent == "engines of its kind have no metrics page"


def test_a_long_load_doubles_the_beat_and_keeps_what_it_has(
    pages: Pages, watch: Callable[..., Sampled]
) -> None:
    pages.pages = [vllm(1)]

    found = watch(
        pages.url, lambda: [pages.asked.acquire() for _ in range(9)], every_s=0.001, most=4
    )

    beats = [sample.every_s for sample in found.samples]
    assert beats[:8] == [0.001] * 4 + [0.002] * 2 + [0.004] * 2


def test_the_process_samples_from_its_first_moment_to_its_last(
    pages: Pages, tmp_path: Path
) -> None:
    pages.pages = [vllm(1)]

    with Sampler(tmp_path, [Watch(name="a", url=pages.url, key=SECRET)], every_s=60) as sampler:
        assert len(pages.keys) == 1

    (found,) = sampled(tmp_path)
    assert sampler.trouble == ""
    assert (len(found.samples), found.cut) == (2, False)
    assert SECRET not in repr(Watch(name="a", url=None, key=SECRET))


def test_samples_of_an_earlier_run_are_never_written_over(pages: Pages, tmp_path: Path) -> None:
    pages.pages = [vllm(1)]
    path_of(tmp_path, "a").write_text("old")

    with pytest.raises(SamplingError, match="File exists"):
        Sampler(tmp_path, [Watch(name="a", url=pages.url)]).__enter__()
    assert path_of(tmp_path, "a").read_text() == "old"


def test_nothing_to_watch_starts_nothing(tmp_path: Path) -> None:
    with Sampler(tmp_path / "none", []) as sampler:
        assert sampler.trouble == ""
    assert sampled(tmp_path / "none") == ()


def test_orders_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    twice = [Watch(name="a b", url=None), Watch(name="a/b", url=None)]
    with pytest.raises(ValueError, match="of one name"):
        Sampler(tmp_path, twice)
    with pytest.raises(ValueError, match="every 0 s within"):
        Sampler(tmp_path, [], every_s=0)


def at(second: float, **said: float) -> Sample:
    ns = round(second * 1e9)
    return Sample(
        asked_unix_ns=ns,
        at_unix_ns=ns + 1000,
        every_s=1.0,
        said={Quantity(name): value for name, value in said.items()},
        why="" if said else "no answer",
    )


def test_a_gap_parts_the_samples_whether_it_was_asked_or_not() -> None:
    asked = Sampled(name="a", url="", samples=(at(0, running=1), at(1), at(2, running=1)))
    missed = Sampled(
        name="a", url="", samples=(at(0, running=1), at(1, running=2), at(4, running=1))
    )

    assert [len(run) for run in asked.stretches()] == [1, 1]
    assert asked.gaps == 1
    assert [len(run) for run in missed.stretches()] == [2, 1]
    assert missed.gaps == 2


def written(tmp_path: Path, *lines: str) -> Path:
    head = '{"samples":"llm-gateway-harness engine samples","schema":1,"name":"a","url":"u"}'
    path = path_of(tmp_path, "a")
    path.write_text("\n".join([head, *lines]))
    return path


def test_a_torn_last_line_leaves_the_samples_before_it(tmp_path: Path) -> None:
    written(tmp_path, json.dumps(dump(at(0, running=1))), '{"asked": 12')

    (found,) = sampled(tmp_path)

    assert found.cut
    assert len(found.samples) == 1


@pytest.mark.parametrize("line", ["{}x", '{"asked": 1}', "[]", '{"asked":1,"at":2,"running":"x"}'])
def test_a_line_in_the_middle_that_is_no_sample_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, line, '{"ended":1}', "")

    with pytest.raises(SamplingError, match=f"{path}:2 is no line"):
        sampled(tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path_of(tmp_path, "a").write_text('{"journal":"x"}\n')

    with pytest.raises(SamplingError, match=":1 is no line"):
        sampled(tmp_path)


def test_an_answer_that_comes_too_late_is_a_gap(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
        order = {"folder": str(tmp_path), "every_s": 60, "within_s": 0.05, "most": 9}
        over = threading.Event()
        watcher = Watcher(order, {"name": "a", "url": url, "key": None}, over, first_s=0.05)
        over.set()
        watcher.run()

    (found,) = sampled(tmp_path)
    assert "no end of the answer within 0.05 s" in found.samples[0].why


def test_emulated_engines_are_sampled_under_the_names_of_the_real_ones(tmp_path: Path) -> None:
    scheduler = SchedulerConfig(num_blocks=400, block_size=16, max_model_len=512)
    batching = BatchingSpec(scheduler=scheduler, step_time=Fitted(constant_s=0.0001))
    specs = [
        EmulatorSpec(id="a", dialect="vllm", models=(ServedModel("m", 512),), batching=batching),
        EmulatorSpec(id="b", dialect="llama_cpp_native", models=(ServedModel("m", 512),)),
        EmulatorSpec(id="c", dialect="ollama", models=(ServedModel("m", 512),)),
    ]

    async def scenario() -> None:
        engines = [EmulatedEngine(spec) for spec in specs]
        try:
            for engine in engines:
                await engine.start()
                await engine.ready()
            watches = [Watch.of(engine) for engine in engines]
            with Sampler(tmp_path, watches, every_s=60, within_s=60) as sampler:
                url = f"{engines[0].endpoint}/v1"
                request = ask.chat(url, model="m", content="hi", key=None, max_tokens=20)
                exchange = await asyncio.to_thread(blocking.exchange, request)
                assert parse(exchange).status == 200
            assert sampler.trouble == ""
        finally:
            for engine in engines:
                await engine.stop()

    asyncio.run(scenario())

    vllm, llama, ollama = sampled(tmp_path)
    assert (vllm.dialect, llama.dialect) == ("vllm", "llama_cpp_native")
    assert set(vllm.samples[0].said) == set(NAMES["vllm"])
    assert vllm.facts["num_gpu_blocks"] == "400"
    before, after = (sample.said[Quantity.GENERATED] for sample in vllm.samples)
    assert (before, after) == (0, 20)
    assert llama.samples[-1].said[Quantity.RUNNING] == 0
    assert ollama.absent == "engines of its kind have no metrics page"


def test_a_fork_that_holds_the_pipe_does_not_hold_up_the_end(pages: Pages, tmp_path: Path) -> None:
    pages.pages = [vllm(1)]

    sampler = Sampler(tmp_path, [Watch(name="a", url=pages.url)], every_s=60, within_s=60)
    with sampler:
        assert sampler._child is not None
        assert sampler._child.stdin is not None
        held = os.dup(sampler._child.stdin.fileno())
    os.close(held)

    (found,) = sampled(tmp_path)
    assert (sampler.trouble, len(found.samples), found.cut) == ("", 2, False)


def test_a_sampler_that_dies_leaves_what_it_has_and_says_so(pages: Pages, tmp_path: Path) -> None:
    pages.pages = [vllm(1)]

    with Sampler(tmp_path, [Watch(name="a", url=pages.url)], every_s=60, within_s=60) as sampler:
        assert sampler._child is not None
        sampler._child.kill()

    (found,) = sampled(tmp_path)
    assert sampler.trouble == "it ended with -9"
    assert (len(found.samples), found.cut) == (1, True)
