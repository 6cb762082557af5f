from __future__ import annotations

import json
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from harness.cli import asking, main
from harness.registry import load
from harness.routing import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.registry.models import Provider

ROOT = Path(__file__).parents[3]
GATEWAY_KEY = "sk-of-this-test"


class Server(BaseHTTPRequestHandler):
    """Lists the models of its port, and remembers what it was asked for."""

    catalogues: dict[int, tuple[str, ...]]
    asked: list[tuple[str, str, str | None]]
    asked_at: list[int]

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        self.asked.append((self.command, self.path, self.headers["authorization"]))
        names = self.catalogues[int(port)]
        body = json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append((self.command, self.path, self.headers["authorization"]))
        self.asked_at.append(int(self.connection.getsockname()[1]))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(config: Path, *, forget: str = "") -> Iterator[type[Server]]:
    """One server for every service of the sources, on free ports written into the copy."""
    registry = load(config)

    class Here(Server):
        catalogues: dict[int, tuple[str, ...]] = {}  # noqa: RUF012 - one a test
        asked: list[tuple[str, str, str | None]] = []  # noqa: RUF012
        asked_at: list[int] = []  # noqa: RUF012

    names = {registry.gateway.port: listed(registry)}
    for provider in registry.enabled_providers().values():
        assert provider.port is not None
        served = tuple(model.served_as for model in provider.models if model.served_as != forget)
        names[provider.port] = served
    text = (config / "ports.yaml").read_text()
    servers = []
    for service, served in names.items():
        server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Here.catalogues[server.server_port] = served
        old = registry.ports.services[service].port
        assert f"port: {old}" in text
        text = text.replace(f"port: {old}", f"port: {server.server_port}", 1)
    (config / "ports.yaml").write_text(text)
    try:
        yield Here
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "config"
    shutil.copytree(ROOT / "config", copy)
    monkeypatch.setenv(load(copy).gateway.master_key.env, GATEWAY_KEY)
    return copy


def live(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["live", "--config", str(config), *options])


def test_servers_that_are_as_the_sources_say_pass_and_are_only_read(config: Path) -> None:
    with running(config) as server:
        result = live(config)
    assert result.exit_code == 0, result.output
    assert {(method, path) for method, path, _ in server.asked} == {("GET", "/v1/models")}
    assert f"Bearer {GATEWAY_KEY}" in {key for _, _, key in server.asked}
    assert GATEWAY_KEY not in result.output


def test_a_model_the_server_lists_under_another_name_fails_with_its_id(config: Path) -> None:
    with running(config, forget="workspace-coder"):
        result = live(config, "--json")
    assert result.exit_code == 1
    (failed,) = [one for one in json.loads(result.stdout) if one["verdict"] == "fail"]
    assert (failed["check"], failed["subject"]) == ("live.served", "vllm:workspace-coder")


def test_nobody_listening_is_a_failure_not_a_crash(config: Path) -> None:
    with running(config):
        pass  # the ports are free again
    result = live(config, "--no-gateway", "--timeout", "2")
    assert result.exit_code == 1
    assert "refused" in result.output.lower()


@pytest.mark.parametrize("allowed", [False, True])
def test_what_runs_elsewhere_is_asked_for_tokens_only_if_that_is_allowed(
    config: Path, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    def elsewhere(_: Mapping[str, Provider]) -> set[str]:
        return {"vllm"}

    monkeypatch.setattr(asking, "remotes", elsewhere)
    with running(config) as server:
        vllm = load(config).provider("vllm").port
        result = live(config, "--requests", *(["--live"] if allowed else []))
        port = load(config).ports.services[vllm or ""].port
    asked = {at == port for at in server.asked_at}
    assert asked == ({False, True} if allowed else {False})
    assert ("only read from: vllm; --live asks them too" in result.stderr) is not allowed


def test_live_alone_asks_for_nothing_and_says_so(config: Path) -> None:
    result = live(config, "--live")
    assert result.exit_code == 2
    assert "say --requests too" in result.stderr
