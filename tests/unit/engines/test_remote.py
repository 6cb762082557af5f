"""A remote engine, against a server on a real socket that is somebody else's."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines import remote
from harness.engines.emulator import dialects
from harness.engines.engine import EngineError
from harness.engines.remote import EXPLAINED, RemoteEngine, remotes
from harness.registry.models import Provider
from harness.wire import RecordingClient, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MODELS = {"object": "list", "data": [{"id": "m"}, {"id": "n"}]}
KEYS = {"SOME_KEY": "secret"}
Answers = dict[str, tuple[int, dict[str, str], Any]]


class Theirs:
    """Somebody's server: what it was asked, and an answer by path."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        self.asked.append((f"{method} {path}", headers))
        status, extra, value = self.answers.get(path, (404, {}, {}))
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {said}" for name, said in extra.items())]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()


def met(use: Callable[[str, Theirs], Awaitable[Any]], answers: Answers | None = None) -> Any:
    async def run() -> Any:
        theirs = Theirs({"/v1/models": (200, {}, MODELS)} if answers is None else answers)
        server = await asyncio.start_server(theirs, "127.0.0.1", 0)
        async with server:
            return await use(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", theirs)

    return asyncio.run(run())


def engine(endpoint: str, **settings: Any) -> RemoteEngine:
    words = {"dialect": "openai", "key_variable": "SOME_KEY", "environment": KEYS, **settings}
    return RemoteEngine("cloud", endpoint=endpoint, **words)


def ready(answers: Answers | None = None, **settings: Any) -> tuple[RemoteEngine, Theirs]:
    async def use(endpoint: str, theirs: Theirs) -> tuple[RemoteEngine, Theirs]:
        found = engine(endpoint, **settings)
        await found.start()
        await found.ready(5)
        await found.stop()
        return found, theirs

    pair: tuple[RemoteEngine, Theirs] = met(use, answers)
    return pair


def test_ready_reads_the_models_once_with_the_key_and_nothing_else() -> None:
    found, theirs = ready()
    assert [line for line, _ in theirs.asked] == ["GET /v1/models"]
    assert theirs.asked[0][1]["authorization"] == "bearer secret"
    assert found.models == ("m", "n")
    assert (found.kind, found.version) == ("remote", "")


@pytest.mark.parametrize(
    ("dialect", "path", "value", "version"),
    [
        ("vllm", "/version", {"version": "0.32.0"}, "0.32.0"),
        ("llama_cpp_native", "/props", {"build_info": "b1-abc"}, "b1-abc"),
        ("llama_cpp_python", "/openapi.json", {"info": {"version": "0.3.36"}}, "0.3.36"),
        ("ollama", "/api/version", {"version": "0.12.0"}, "0.12.0"),
        ("ollama", "/api/version", b"no JSON", ""),
    ],
)
def test_its_version_is_what_it_says(dialect: str, path: str, value: Any, version: str) -> None:
    answers: Answers = {"/v1/models": (200, {}, MODELS), path: (200, {}, value)}
    found, theirs = ready(answers, dialect=dialect)
    assert found.version == version
    assert [line for line, _ in theirs.asked] == ["GET /v1/models", f"GET {path}"]


def test_openai_tells_its_version_in_a_header() -> None:
    found, _ = ready({"/v1/models": (200, {"openai-version": "2020-10-01"}, MODELS)})
    assert found.version == "2020-10-01"


def test_another_path_below_the_root_and_no_key() -> None:
    answers: Answers = {"/openai/v1/models": (200, {}, MODELS)}
    _, theirs = ready(answers, api_path="/openai/v1", key_variable=None)
    assert "authorization" not in theirs.asked[0][1]


def test_what_generates_is_refused_unless_it_is_live() -> None:
    found = engine("https://api.test")
    with pytest.raises(EngineError, match="costs money") as caught:
        found.request("POST", "/v1/chat/completions", body=b"{}")
    assert caught.value.id == "engine.remote-not-live"
    live = engine("https://api.test", live=True)
    request = live.request("POST", "/v1/chat/completions", body=b"{}")
    assert request.url == "https://api.test/v1/chat/completions"
    assert ("authorization", "Bearer secret") in request.headers


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_nothing_is_ever_changed(method: str, live: bool) -> None:
    with pytest.raises(EngineError) as caught:
        engine("https://api.test", live=live).request(method, "/api/delete")
    assert caught.value.id == "engine.remote-change"


def test_reading_is_free() -> None:
    found = engine("https://api.test/")
    for method, path in (("GET", "/v1/models"), ("HEAD", "/"), ("POST", "/api/show")):
        assert found.request(method, path).url == f"https://api.test{path}"


def test_a_live_engine_answers() -> None:
    async def use(endpoint: str, _: Theirs) -> int | None:
        found = engine(endpoint, live=True)
        async with RecordingClient() as client:
            return parse(await client.send(found.request("POST", "/v1/chat/completions"))).status

    assert met(use, {"/v1/chat/completions": (200, {}, {})}) == 200


@pytest.mark.skipif("anthropic" not in dialects.names(), reason="no such dialect yet")
def test_anthropic_gets_its_key_and_version_in_headers_of_its_own() -> None:
    headers = dict(engine("https://api.test", dialect="anthropic").request("GET", "/x").headers)
    assert headers == {"x-api-key": "secret", "anthropic-version": "2023-06-01"}


def test_the_key_is_shown_nowhere() -> None:
    assert "secret" not in repr(engine("https://api.test"))


@pytest.mark.parametrize("environment", [{}, {"SOME_KEY": ""}])
def test_a_missing_key_is_found_before_anything_is_sent(environment: dict[str, str]) -> None:
    with pytest.raises(EngineError, match=r"\$SOME_KEY is not set") as caught:
        asyncio.run(engine("https://api.test", environment=environment).start())
    assert caught.value.id == "engine.remote-key"


@pytest.mark.parametrize(
    ("answers", "id_"),
    [
        ({"/v1/models": (401, {}, {})}, "engine.remote-key"),
        ({"/v1/models": (403, {}, {})}, "engine.remote-key"),
        ({"/v1/models": (503, {}, {})}, "engine.remote-not-ready"),
        ({"/v1/models": (200, {}, b"<html>")}, "engine.remote-not-ready"),
        ({"/v1/models": (200, {}, {"data": "?"})}, "engine.remote-not-ready"),
        ({}, "engine.remote-not-ready"),
    ],
)
def test_what_is_wrong_is_told_apart(answers: Answers, id_: str) -> None:
    with pytest.raises(EngineError, match="base_url") as caught:
        ready(answers)
    assert caught.value.id == id_


def test_nobody_there_is_said_so() -> None:
    async def closed(endpoint: str, _: Theirs) -> str:
        return endpoint

    endpoint = met(closed)
    with pytest.raises(EngineError) as caught:
        asyncio.run(engine(endpoint).ready(5))
    assert caught.value.id == "engine.remote-unreachable"
    assert engine(endpoint).log_tail() == ""


def test_every_error_is_explained_with_a_remedy() -> None:
    source = Path(remote.__file__).read_text("utf-8")
    assert {*re.findall(r'"(engine\.remote-[a-z-]+)"', source)} == EXPLAINED.keys()
    assert all(text.count("\n\n") == 2 and "Remedy: " in text for text in EXPLAINED.values())


def provider(**changes: Any) -> Provider:
    model = {"name": "m", "served_as": "m", "context_length": 8192, "capabilities": ["chat"]}
    cloud = {
        "type": "openai",
        "base_url": "https://api.test",
        "api_key": {"env": "SOME_KEY"},
        "status": "active",
        "models": [{**model, "mode": "chat", "residency": "always"}],
    }
    return Provider.model_validate({**cloud, **changes})


def test_enabled_providers_elsewhere_are_remote_engines() -> None:
    found = remotes(
        {
            "cloud": provider(),
            "compatible": provider(type="openai_compatible", api_path="/openai/v1"),
            "here": provider(base_url="http://127.0.0.1:9"),
            "off": provider(status="disabled"),
        }
    )
    assert list(found) == ["cloud", "compatible"]
    assert found["cloud"].key_variable == "SOME_KEY"
    assert not found["cloud"].live
