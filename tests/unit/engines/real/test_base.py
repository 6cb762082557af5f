"""The life of a real server, of a program that stands for all of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.engine import EngineError
from harness.engines.real import asking
from harness.engines.real.base import RealServer
from harness.process.child import ProcessError
from harness.process.ports import PortTaken

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = """
import http.server, json, os, sys
print("loading with", os.environ.get("SERVER_API_KEY"), flush=True)
if sys.argv[2] == "breaks":
    sys.exit("the weights are torn")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        loading = sys.argv[2] == "loads" and self.path == "/health"
        self.send_response(503 if loading else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"version": "7.1", "environ": dict(os.environ)}).encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
KEY = "sk-canary-key"


class Server(RealServer):
    program = "server"
    installation = "server"
    start_s = 0.1
    health = "/health"
    behaviour = "works"

    def command(self) -> list[str]:
        return [str(self.executable), "-c", SERVER, str(self.port), self.behaviour]

    def environment(self) -> dict[str, str]:
        return {"SERVER_API_KEY": KEY}

    async def discover(self) -> str:
        said = await self._ask("/version")
        assert isinstance(said, dict)
        return str(said["version"])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Server]:
    def make(behaviour: str = "works", port: int = 0) -> Server:
        server = Server("one", executable=Path(sys.executable), directory=tmp_path, port=port)
        server.behaviour = behaviour
        return server

    return make


def refused(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((server.host, server.port)) != 0


def test_it_says_its_version_once_it_is_ready(make: Callable[..., Server]) -> None:
    async def story() -> None:
        server = make()
        assert server.version == ""
        async with server:
            assert (server.version, server.kind, server.running) == ("7.1", "real", True)
            assert server.endpoint == f"http://127.0.0.1:{server.port}"
        assert not server.running
        await server.stop()

    asyncio.run(story())


def test_killed_it_refuses_on_its_port_and_comes_back_there(make: Callable[..., Server]) -> None:
    async def story() -> None:
        async with make() as server:
            port, pid = server.port, server.pid
            server.kill()
            await server.gone()
            assert not server.running
            assert refused(server)
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
            await server.restart()
            await server.ready()
            assert server.port == port
            assert server.pid != pid
            assert not refused(server)

    asyncio.run(story())


def test_a_taken_port_is_named_with_its_holder(make: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} .*\(process {os.getpid()}\)"):
            asyncio.run(make(port=port).start())


def test_one_that_never_becomes_ready_ends_with_its_log_and_no_process(
    make: Callable[..., Server],
) -> None:
    async def story() -> int:
        server = make("loads")
        await server.start()
        pid = server.pid
        assert pid is not None
        with pytest.raises(ProcessError, match=r"not ready within 1 s[^$]*loading with") as caught:
            await server.ready(1.0)
        assert caught.value.id == "process.not-ready"
        await server.stop()
        return pid

    pid = asyncio.run(story())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_ends_at_once_says_so_with_its_last_lines(make: Callable[..., Server]) -> None:
    async def story() -> None:
        async with make("breaks"):
            pass

    with pytest.raises(ProcessError, match="the weights are torn") as caught:
        asyncio.run(story())
    assert caught.value.id == "process.exited"


def test_its_key_is_hidden_in_what_is_shown_of_its_log(make: Callable[..., Server]) -> None:
    async def story() -> str:
        async with make() as server:
            return server.log_tail()

    tail = asyncio.run(story())
    assert "loading with <SERVER_API_KEY>" in tail
    assert KEY not in tail


def test_our_environment_does_not_reach_it(
    make: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "ours")
    monkeypatch.setenv("PORT", "1")

    async def story() -> dict[str, str]:
        async with make() as server:
            _, body = await asking.get(server.host, server.port, "/")
            environ: dict[str, str] = json.loads(body)["environ"]
            return environ

    environ = asyncio.run(story())
    assert not {"API_KEY", "PORT"} & environ.keys()
    assert environ["HF_HUB_OFFLINE"] == environ["OMP_NUM_THREADS"] == "1"


def test_before_the_start_it_has_no_port_and_cannot_be_killed(make: Callable[..., Server]) -> None:
    server = make()
    for ask in (lambda: server.endpoint, server.kill):
        with pytest.raises(EngineError) as caught:
            ask()
        assert caught.value.id == "engine.not-started"


def test_it_is_not_started_twice(make: Callable[..., Server]) -> None:
    async def story() -> None:
        async with make() as server:
            with pytest.raises(EngineError, match="runs already"):
                await server.start()

    asyncio.run(story())
