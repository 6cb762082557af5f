from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from harness.discovery import discover
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel
from harness.process.ports import Reservation
from harness.registry import Registry, examine
from harness.registry.models import Ports, Service
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.discovery import Discovered, Server

KINDS = {
    "ollama": "ollama",
    "vllm": "vllm",
    "llama_cpp_native": "llama_cpp_native",
    "llama_cpp_python": "llama_cpp_python",
    "openai": "openai_compatible",
}
"""Every dialect we emulate, and what it must be taken for."""


def spec(dialect: str, **more: Any) -> EmulatorSpec:
    models = (ServedModel("tiny", 8192), ServedModel("vendor/large:7b", 32_768))
    told = {"id": dialect.replace("_", "-"), "dialect": dialect, "models": models, **more}
    return EmulatorSpec(**told)


def found(*specs: EmulatorSpec, more: dict[str, str] | None = None, **options: Any) -> Discovered:
    """What is discovered of these engines, running, and of ``more`` addresses."""

    async def main() -> Discovered:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(RecordingClient())
            engines = [await stack.enter_async_context(EmulatedEngine(each)) for each in specs]
            named = {engine.id: engine.endpoint for engine in engines}
            return await discover({**named, **(more or {})}, client, **options)

    return asyncio.run(main())


def loaded(discovered: Discovered) -> Registry:
    registry, findings = examine({name: text.encode() for name, text in discovered.sources.items()})
    assert registry is not None, [str(finding) for finding in findings]
    return registry


@pytest.mark.parametrize(("dialect", "kind"), KINDS.items())
def test_each_dialect_is_told_by_what_it_says(dialect: str, kind: str) -> None:
    (server,) = found(spec(dialect)).servers
    assert (server.kind, server.models) == (kind, ("tiny", "vendor/large:7b"))
    assert server.evidence
    assert not server.problem


@pytest.mark.parametrize("dialect", KINDS)
def test_what_is_written_loads_and_names_every_model(dialect: str) -> None:
    registry = loaded(found(spec(dialect)))
    (provider,) = registry.providers.values()
    assert provider.type == KINDS[dialect]
    assert [model.served_as for model in provider.models] == ["tiny", "vendor/large:7b"]
    assert set(registry.routes.exact) == {"tiny", "vendor/large:7b"}
    assert registry.public_models == ("tiny", "vendor/large:7b")


@pytest.mark.parametrize("dialect", ["ollama", "vllm", "llama_cpp_native"])
def test_a_context_length_that_is_told_is_taken(dialect: str) -> None:
    (provider,) = loaded(found(spec(dialect))).providers.values()
    # llama-server loads one model, so what /props says holds for whatever it lists.
    second = 8192 if dialect == "llama_cpp_native" else 32_768
    assert [model.context_length for model in provider.models] == [8192, second]


@pytest.mark.parametrize("dialect", ["llama_cpp_python", "openai"])
def test_a_context_length_nobody_tells_is_asked_for(dialect: str) -> None:
    text = found(spec(dialect)).sources["providers.yaml"]
    assert text.count("UNKNOWN: the context the server is run with?") == 2


def test_ollama_tells_its_version() -> None:
    (server,) = found(spec("ollama")).servers
    assert server.version == "main of 2026-08-21"


def test_every_server_of_a_machine_goes_into_one_set_of_sources() -> None:
    registry = loaded(found(*(spec(dialect) for dialect in KINDS)))
    assert set(registry.providers) == {dialect.replace("_", "-") for dialect in KINDS}
    assert "tiny" in registry.routes.exact
    assert "tiny-vllm" in registry.routes.exact, "one name cannot lead to two servers"
    assert len(registry.routes.exact) == 2 * len(KINDS)


@pytest.mark.parametrize("dialect", ["ollama", "vllm", "llama_cpp_python", "openai"])
def test_a_server_that_hides_its_models_behind_a_key_is_reported_not_guessed(dialect: str) -> None:
    discovered = found(spec(dialect, api_key="sk-hidden"))
    (server,) = discovered.servers
    assert server.needs_key
    assert "asks for a key" in server.problem
    assert not discovered.sources


def test_a_server_that_lists_its_models_but_wants_a_key_for_the_rest_is_marked() -> None:
    """Older llama-servers: theirs was open while /props and the rest were not."""
    cards = b'{"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 4096}}]}'
    registry = loaded(stub(("/v1/models", cards, ""), locked={"/props", "/v1/chat/completions"}))
    key = registry.provider("llama-cpp-native").api_key
    assert key is not None
    assert key.env == "LLAMA_CPP_NATIVE_API_KEY"


def test_where_nobody_listens_nothing_is_written() -> None:
    with Reservation() as nobody:
        discovered = found(more={"ghost": f"http://127.0.0.1:{nobody.port}"})
    (server,) = discovered.servers
    assert server.kind is None
    assert "nobody listens" in server.problem
    assert not discovered.sources


def test_one_dead_address_does_not_hide_the_others() -> None:
    with Reservation() as nobody:
        discovered = found(spec("vllm"), more={"ghost": f"http://127.0.0.1:{nobody.port}"})
    assert [server.kind for server in discovered.servers] == ["vllm", None]
    assert set(loaded(discovered).providers) == {"vllm"}


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "127.0.0.1", "http://[::1", "http://u:p@h"])
def test_an_address_that_cannot_be_asked_says_so(url: str) -> None:
    (server,) = found(more={"odd": url}).servers
    assert server.kind is None
    assert server.problem
    assert "u:p" not in repr(server)


def stub(*pages: tuple[str, bytes, str], locked: Collection[str] = ()) -> Discovered:
    """What is discovered of a server that answers these paths; 401 for the locked, else 404."""

    async def main() -> Discovered:
        known = {path: (body, head) for path, body, head in pages}

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            body, head = known.get(asked, (b"", ""))
            missing = "401 Unauthorized" if asked in locked else "404 Not Found"
            status = "200 OK" if asked in known else missing
            writer.write(
                f"HTTP/1.1 {status}\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body
            )
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with RecordingClient() as client:
                return await discover([f"http://127.0.0.1:{port}"], client)

    return asyncio.run(main())


def answering(*pages: tuple[str, bytes, str]) -> Callable[[], Server]:
    """The server that `stub` finds."""
    return lambda: stub(*pages).servers[0]


def test_a_web_page_is_no_model_server() -> None:
    server = answering(("/health", b"<html>", ""))()
    assert server.kind == "unknown"
    assert "no model server" in server.problem


def test_a_gateway_is_not_taken_for_one_of_the_servers_behind_it() -> None:
    cards = b'{"data": [{"id": "m", "owned_by": "vllm"}]}'
    server = answering(("/v1/models", cards, "x-litellm-version: 1.106.2\r\n"))()
    assert (server.kind, server.version) == ("gateway", "1.106.2")
    assert "harness import" in server.problem


def test_props_of_llama_cpp_give_context_and_version() -> None:
    props = b'{"default_generation_settings": {"n_ctx": 4096}, "build_info": "b1-0c1e570"}'
    cards = b'{"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131072}}]}'
    server = answering(("/props", props, ""), ("/v1/models", cards, ""))()
    assert (server.kind, server.version) == ("llama_cpp_native", "b1-0c1e570")


def test_an_id_that_is_a_path_cannot_be_a_name() -> None:
    server = answering(("/v1/models", b'{"data": [{"id": "/models/a b.gguf"}]}', ""))()
    assert "--alias" in server.problem


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'{"data": 1}', b'{"data": [1, null]}', b"\xff\xfe", b"{" * 9999]
)
def test_nonsense_is_no_model_server(body: bytes) -> None:
    paths = ("/v1/models", "/api/tags", "/props", "/api/version", "/metrics", "/version")
    assert answering(*((path, body, "") for path in paths))().kind == "unknown"


def test_the_services_of_a_ports_file_are_asked_and_keep_their_names() -> None:
    async def main() -> tuple[Discovered, int]:
        async with RecordingClient() as client, EmulatedEngine(spec("vllm")) as engine:
            with Reservation() as nobody:
                ports = Ports(
                    host="127.0.0.1",
                    services={
                        "gateway": Service(port=nobody.port, protocol="http", owner="litellm"),
                        "coder": Service(port=engine.port, protocol="http", owner="coder.service"),
                        "cache": Service(port=1, protocol="tcp", owner="redis"),
                    },
                )
                return await discover(ports, client), nobody.port

    discovered, gateway = asyncio.run(main())
    registry = loaded(discovered)
    assert [server.name for server in discovered.servers] == ["gateway", "coder"]
    assert registry.providers["coder"].type == "vllm"
    assert registry.ports.services["coder"].owner == "coder.service"
    assert registry.address("gateway") == ("127.0.0.1", gateway)


def test_two_spellings_of_one_address_are_one_server() -> None:
    async def main() -> Discovered:
        async with RecordingClient() as client, EmulatedEngine(spec("vllm")) as engine:
            port = engine.port
            return await discover(
                [f"http://127.0.0.1:{port}", f"http://localhost:{port}/v1/"], client
            )

    assert len(asyncio.run(main()).servers) == 1


def test_only_reads_are_sent() -> None:
    """Nothing is generated, pulled or changed; /api/show is a read that wants a POST."""

    async def main() -> set[tuple[str, str]]:
        async with RecordingClient() as client, EmulatedEngine(spec("ollama")) as engine:
            await discover([engine.endpoint], client)
            return {(entry.method, entry.target) for entry in await engine.ledger()}

    asked = asyncio.run(main())
    assert {target for method, target in asked if method != "GET"} == {"/api/show"}
