from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from harness.engines.emulator.server import Emulator
from harness.engines.metrics import total
from harness.engines.spec import EmulatorSpec, ServedModel
from harness.load.calibrate.metering import Gauge, metrics, watched
from harness.wire import End, Exchange, Read, Request
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING = "vllm:num_requests_waiting"
ENOUGH = 3


def page(at_ns: int, text: str, status: int = 200) -> Exchange:
    head = f"HTTP/1.1 {status} OK\r\ncontent-length: {len(text)}\r\n\r\n"
    return Exchange(
        id=str(at_ns),
        request=Request(method="GET", url="http://engine/metrics"),
        started_ns=at_ns - 1,
        ended_ns=at_ns,
        reads=(Read(at_ns, (head + text).encode()),),
        end=End.EOF,
    )


def gauge(*readings: tuple[int, float]) -> Gauge:
    found = Gauge("waiting")
    found.pages = [page(at_ns, f"waiting {value}\nother 9\n") for at_ns, value in readings]
    return found


def test_a_reading_holds_until_the_next_one() -> None:
    assert gauge((100, 4), (150, 2), (190, 0)).mean(100, 200) == (4 * 50 + 2 * 40) / 100
    assert gauge((120, 5)).mean(100, 200) == 5 * 80 / 100
    assert gauge().mean(100, 200) == 0


def test_what_was_read_before_and_after_counts_for_the_time_between() -> None:
    assert gauge((10, 7), (90, 3), (150, 1), (900, 50)).mean(100, 200) == (3 * 50 + 50) / 100
    assert gauge((900, 50)).mean(100, 200) == 0


def test_a_page_that_cannot_be_read_is_no_zero() -> None:
    found = gauge((100, 4))
    found.pages += [page(150, "waiting 0\n", status=503), page(160, "waiting"), page(170, "x 1\n")]
    assert found.mean(100, 200) == 4


def against(dialect: str, act: Callable[[LoadEngine, str, Emulator], None]) -> None:
    async def main() -> None:
        emulator = Emulator(EmulatorSpec(id="e", dialect=dialect, models=(ServedModel("m", 256),)))
        emulator.up()
        try:
            with LoadEngine() as client:
                url = f"http://127.0.0.1:{emulator.port}"
                await asyncio.to_thread(act, client, url, emulator)
        finally:
            emulator.down()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("dialect", "name", "lines"),
    [("vllm", WAITING, 1), ("llama_cpp_native", "llamacpp:requests_deferred", None)],
)
def test_one_sample_is_asked_for_where_the_server_can_tell_it_apart(
    dialect: str, name: str, lines: int | None
) -> None:
    def act(client: LoadEngine, url: str, emulator: Emulator) -> None:
        with watched(client, url, name) as found:
            while len(found.pages) < ENOUGH:
                threading.Event().wait(0.001)
        for each in found.pages:
            samples = [
                line
                for line in each.reads[-1].data.decode().splitlines()
                if line.startswith(name.partition(":")[0] + ":")
            ]
            assert (len(samples) == lines) if lines else len(samples) > ENOUGH
        asked = len(found.pages)
        assert found.mean(found.pages[0].started_ns, found.pages[-1].ended_ns) == 0
        assert len(found.pages) == asked  # nobody reads on
        assert (total(metrics(client, url), name)) == 0
        assert emulator.requests >= ENOUGH

    against(dialect, act)
