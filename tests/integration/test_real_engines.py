"""Each real server by itself: it starts, answers with its signature, dies, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.answer import ask
from harness.engines.installs import KNOWN
from harness.engines.models import TinyModel, ensure
from harness.engines.real.llama_cpp_python import LlamaCppPython
from harness.engines.real.llama_server import LlamaServer
from harness.engines.real.ollama_facade import OllamaFacade
from harness.engines.real.prometheus import Prometheus, Target
from harness.engines.real.valkey import Valkey
from harness.engines.real.vllm import Capacity, Vllm
from harness.engines.tokens import witness
from harness.process.child import ProcessError
from harness.process.listeners import listeners
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from harness.answer import Answer
    from harness.engines.real.base import RealServer

Program = Callable[[str, str], Path]
KEY = "sk-canary-of-the-engine"


async def asked(engine: RealServer, model: str, key: str | None = KEY) -> Answer:
    request = ask.chat(
        f"{engine.endpoint}/v1", model=model, content="hello", key=key, stream=True, max_tokens=6
    )
    async with RecordingClient() as client:
        return answers.read(await client.send(request, labels={}))


def native(program: Program, directory: Path) -> LlamaServer:
    return LlamaServer(
        "native",
        executable=program("llama-cpp", "llama-server"),
        model=ensure(TinyModel(engine="native", seed=1)).gguf,
        served_as=["tiny"],
        api_key=KEY,
        directory=directory,
    )


def python(program: Program, directory: Path) -> LlamaCppPython:
    return LlamaCppPython(
        "python",
        python=program("llama-cpp", "python"),
        libraries=KNOWN["llama-cpp"].libraries(),
        model=ensure(TinyModel(engine="python", seed=1)).gguf,
        served_as="tiny",
        api_key=KEY,
        directory=directory,
    )


def ollama(program: Program, directory: Path) -> OllamaFacade:
    return OllamaFacade(
        "ollama",
        executable=program("llama-cpp", "llama-server"),
        model=ensure(TinyModel(engine="ollama", seed=1)).gguf,
        served_as=["tiny"],
        directory=directory,
    )


def vllm(program: Program, directory: Path) -> Vllm:
    return Vllm(
        "vllm",
        python=program("vllm", "python"),
        model=ensure(TinyModel(engine="vllm", seed=1)).folder,
        served_as=["tiny"],
        api_key=KEY,
        directory=directory,
    )


def store(program: Program, directory: Path) -> Valkey:
    executable = program("valkey", "valkey-server")
    return Valkey("valkey", executable=executable, directory=directory)


def reader(program: Program, directory: Path) -> Prometheus:
    executable = program("prometheus", "prometheus")
    return Prometheus(executable=executable, directory=directory)


LLAMA = pytest.mark.engine("llama-cpp")
SERVERS = [
    pytest.param(native, marks=LLAMA),
    pytest.param(python, marks=LLAMA),
    pytest.param(ollama, marks=LLAMA),
    pytest.param(vllm, marks=pytest.mark.engine("vllm")),
    pytest.param(store, marks=pytest.mark.engine("valkey")),
    pytest.param(reader, marks=pytest.mark.engine("prometheus")),
]
Make = Callable[[Program, Path], "RealServer"]


@pytest.mark.parametrize("make", SERVERS)
def test_it_runs_on_loopback_dies_and_comes_back_on_its_port(
    make: Make, program: Program, tmp_path: Path
) -> None:
    async def story() -> None:
        async with make(program, tmp_path) as server:
            port, pid = server.port, server.pid
            assert server.version
            assert pid is not None
            assert set(listeners(pid) or ()) == {f"127.0.0.1:{port}"}
            server.kill()
            await server.gone()
            with pytest.raises(OSError, match="Connect call failed"):
                await server.answers()
            await server.restart()
            await server.ready()
            assert (server.port, server.running) == (port, True)
            assert server.pid != pid

    asyncio.run(story())


@pytest.mark.parametrize("make", SERVERS[:4])
def test_its_answers_are_signed_and_its_key_stands_nowhere(
    make: Make, program: Program, tmp_path: Path
) -> None:
    async def story() -> None:
        async with make(program, tmp_path) as server:
            answer = await asked(server, "tiny")
            assert answer.wholeness, answer.wholeness.why
            assert witness(answer.text) == server.id
            command = Path(f"/proc/{server.pid}/cmdline")
            assert KEY not in await asyncio.to_thread(command.read_text)
            if server.id != "ollama":  # it takes no key
                assert (await asked(server, "tiny", "sk-wrong")).status == 401

    asyncio.run(story())
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.engine("vllm")
def test_the_capacity_of_the_seeds_is_what_vllm_prints(program: Program, tmp_path: Path) -> None:
    """4305 blocks of 32 tokens, for 8609 of 16, which attention on a CPU does not do."""

    async def story() -> Capacity | None:
        async with vllm(program, tmp_path) as server:
            assert isinstance(server, Vllm)
            return server.capacity

    expected = Capacity(context_length=4096, concurrency=33.63, tokens=137_760)
    assert asyncio.run(story()) == expected


@pytest.mark.engine("llama-cpp")
@pytest.mark.parametrize("make", [native, python, ollama])
def test_a_torn_model_ends_the_start_with_the_servers_own_words_and_no_process(
    make: Make, program: Program, tmp_path: Path
) -> None:
    server = make(program, tmp_path)
    behind = server.server if isinstance(server, OllamaFacade) else server
    assert isinstance(behind, LlamaServer | LlamaCppPython)
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(behind.model.read_bytes()[:100_000])
    behind.model = torn

    async def story() -> None:
        async with server:
            pass

    with pytest.raises(ProcessError, match=r"before it was ready[^$]*(?i:fail|error)") as caught:
        asyncio.run(story())
    assert caught.value.id == "process.exited"
    assert not server.running


@pytest.mark.engine("prometheus")
def test_prometheus_reads_a_page_that_wants_a_key(program: Program, tmp_path: Path) -> None:
    async def story() -> dict[str, tuple[str, str]]:
        async with native(program, tmp_path / "engine") as engine:
            page = f"{engine.endpoint}/metrics"
            targets = [
                Target(name="right", url=page, key=KEY),
                Target(name="wrong", url=page, key="sk-wrong"),
            ]
            executable = program("prometheus", "prometheus")
            server = Prometheus(executable=executable, directory=tmp_path, targets=targets)
            async with server:
                scrapes = await server.scrapes()
                while len(scrapes) < 2 or any(each.health == "unknown" for each in scrapes):
                    await asyncio.sleep(0.2)
                    scrapes = await server.scrapes()
                return {each.name: (each.health, each.error) for each in scrapes}

    found = asyncio.run(story())
    assert found["right"] == ("up", "")
    assert found["wrong"][0] == "down"
    assert "401" in found["wrong"][1]
