from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import Engine, EngineError
from harness.engines.spec import SpecError
from harness.engines.tokens import witness
from harness.process.ports import PortTaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

ROOT = Path(__file__).parents[3]
T = TypeVar("T")


class Told:
    """Any fault, as its wire form."""

    def __init__(self, name: str, times: int | None = None, **settings: Any) -> None:
        self.wire = {"name": name, "settings": settings, "times": times}

    def to_wire(self) -> Mapping[str, object]:
        return self.wire


def with_engine(lab: Any, scenario: Callable[[EmulatedEngine], Awaitable[T]], **given: Any) -> T:
    async def main() -> T:
        async with EmulatedEngine(lab.spec(**given)) as engine:
            await engine.ready()
            return await scenario(engine)

    return asyncio.run(main())


def chat(lab: Any, *headers: str, **body: Any) -> bytes:
    asked = {"model": "large", "messages": lab.hi, **body}
    request: bytes = lab.post(lab.chat_path, asked, *headers)
    return request


def gone(pid: int) -> bool:
    """Waits for the process to end; the patience only keeps a failure from hanging."""
    patience = 3000
    while Path(f"/proc/{pid}").exists() and patience:
        time.sleep(0.01)
        patience -= 1
    return not Path(f"/proc/{pid}").exists()


def command_lines() -> list[bytes]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((process / "cmdline").read_bytes())
    return found


def test_it_is_an_engine(lab: Any) -> None:
    async def scenario(emulated: EmulatedEngine) -> None:
        engine: Engine = emulated
        assert (engine.id, engine.kind, engine.version) == ("engine-a", "emulated", "0.32.0")
        assert engine.endpoint == f"http://127.0.0.1:{emulated.port}"
        assert engine.capabilities.health == "/health"
        assert engine.log_tail() == ""

    with_engine(lab, scenario, dialect="vllm")


def test_its_ledger_is_what_a_plain_socket_received(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        before = time.monotonic_ns()
        answered = await lab.talk(engine.port, chat(lab, stream=True, max_tokens=50))
        (entry,) = await engine.ledger()
        assert entry.sent == answered.raw
        assert witness(answered.text) == "engine-a"
        assert before <= entry.received_ns <= entry.writes[0][0] <= time.monotonic_ns()
        assert await engine.ledger() == []  # collected
        again = await lab.talk(engine.port, chat(lab))
        (entry,) = await engine.ledger()
        assert (entry.sent, entry.number) == (again.raw, 2)

    with_engine(lab, scenario)


def test_a_ledger_that_nobody_wants_is_forgotten(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        await lab.talk(engine.port, chat(lab))
        await engine.forget()
        assert await engine.ledger() == []
        last = await lab.talk(engine.port, chat(lab))
        (entry,) = await engine.ledger()
        assert (entry.sent, entry.number) == (last.raw, 2)

    with_engine(lab, scenario)


def test_a_large_ledger_comes_in_pages_and_whole(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        ask = chat(lab, max_tokens=250_000)
        sizes = [len((await lab.talk(engine.port, ask)).raw) for _ in range(6)]
        assert sum(sizes) > 4 * 1024 * 1024
        entries = await engine.ledger()
        assert [len(entry.sent) for entry in entries] == sizes

    models = (type(lab.spec().models[0])("large", 1_000_000),)
    with_engine(lab, scenario, models=models)


def test_readiness_leaves_no_trace_in_the_ledger(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        assert await engine.ledger() == []

    with_engine(lab, scenario)


def test_equal_seeds_give_equal_bytes_from_process_to_process(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> bytes:
        raw: bytes = (await lab.talk(engine.port, chat(lab, stream=True))).raw
        return raw

    assert with_engine(lab, scenario) == with_engine(lab, scenario)


def test_down_refuses_and_up_accepts_on_the_same_port(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        port = engine.port
        await engine.down()
        with pytest.raises(ConnectionRefusedError):
            await lab.talk(port, chat(lab))
        assert (await engine.stats())["listening"] is False
        await engine.up()
        assert engine.port == port
        assert (await lab.talk(port, chat(lab))).status == 200

    with_engine(lab, scenario)


def test_a_kill_is_a_real_death_and_a_restart_is_on_the_same_port(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        port, first = engine.port, engine.pid
        assert first is not None
        streaming = asyncio.create_task(lab.talk(port, chat(lab, stream=True, max_tokens=4000)))
        while not (await engine.stats())["running"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        engine.kill()
        answered = await streaming
        assert not answered.whole
        assert gone(first)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await lab.talk(port, chat(lab))
        with pytest.raises(EngineError, match=r"is dead.*\n.*\n.*restart"):
            await engine.stats()
        await engine.restart()
        await engine.ready()
        assert (engine.port, engine.pid != first) == (port, True)
        assert (await lab.talk(port, chat(lab))).status == 200
        assert [entry.number for entry in await engine.ledger()] == [1]

    with_engine(lab, scenario, settings={"itl_ms": 5})


def test_faults_and_settings_reach_the_process(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        await engine.inject(Told("http.status", status=503), Told("usage.missing"))
        assert (await lab.talk(engine.port, chat(lab))).status == 503
        assert (await engine.ledger())[0].faults == ("http.status", "usage.missing")
        await engine.clear()
        assert (await lab.talk(engine.port, chat(lab))).status == 200
        settings = await engine.configure(default_max_tokens=3, ttft_ms=1)
        assert (settings["default_max_tokens"], settings["itl_ms"]) == (3, 0)
        body = (await lab.talk(engine.port, chat(lab))).json
        assert body["usage"]["completion_tokens"] == 3

    with_engine(lab, scenario)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda engine: engine.inject(Told("coffee.cold")), "cannot fault: no fault is called"),
        (lambda engine: engine.configure(tempo=3), "cannot settings: tempo: no such setting"),
        (lambda engine: engine.configure(ttft_ms=-1), "must not be negative"),
    ],
)
def test_what_it_cannot_do_is_a_clear_error_and_it_lives_on(
    lab: Any, act: Callable[[EmulatedEngine], Awaitable[None]], said: str
) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        with pytest.raises(EngineError, match=said) as caught:
            await act(engine)
        assert caught.value.id == "engine.refused"
        assert (await engine.stats())["listening"] is True

    with_engine(lab, scenario)


def test_a_cancelled_question_does_not_disturb_the_next(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        asking = asyncio.create_task(engine.stats())
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        settings = await engine.configure(default_max_tokens=9)
        assert settings["default_max_tokens"] == 9
        assert await asyncio.gather(engine.ledger(), engine.ledger()) == [[], []]

    with_engine(lab, scenario)


def test_its_key_is_on_no_command_line(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        lines = command_lines()
        assert any(b"harness.engines.emulator" in line for line in lines)
        assert not any(b"sesame-open" in line for line in lines)
        refused = await lab.talk(engine.port, chat(lab))
        answered = await lab.talk(engine.port, chat(lab, "authorization: Bearer sesame-open"))
        assert (refused.status, answered.status) == (401, 200)

    with_engine(lab, scenario, api_key="sesame-open")


def test_two_engines_live_side_by_side_and_sign_their_answers(lab: Any) -> None:
    async def main() -> None:
        one, two = EmulatedEngine(lab.spec(id="one")), EmulatedEngine(lab.spec(id="two"))
        async with one, two:
            answers = [(await lab.talk(engine.port, chat(lab))).json for engine in (one, two)]
        texts = [answer["choices"][0]["message"]["content"] for answer in answers]
        assert [witness(text) for text in texts] == ["one", "two"]

    asyncio.run(main())


def test_a_taken_port_says_who_has_it_and_offers_another(lab: Any) -> None:
    async def main(port: int) -> None:
        await EmulatedEngine(lab.spec(port=port)).start()

    who = f"process {os.getpid()}.*use a free port"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match=who):
        asyncio.run(main(taken.getsockname()[1]))


def test_an_engine_that_is_not_started_says_so(lab: Any) -> None:
    engine = EmulatedEngine(lab.spec())
    with pytest.raises(EngineError, match="before it is started"):
        _ = engine.endpoint
    with pytest.raises(EngineError, match="start it first"):
        asyncio.run(engine.stats())


def test_it_is_not_started_twice(lab: Any) -> None:
    async def scenario(engine: EmulatedEngine) -> None:
        with pytest.raises(EngineError, match="runs already"):
            await engine.start()

    with_engine(lab, scenario)


def test_an_unknown_dialect_is_told_before_anything_starts(lab: Any) -> None:
    with pytest.raises(SpecError, match="there is no 'tgi'"):
        EmulatedEngine(lab.spec(dialect="tgi"))


def test_stop_leaves_no_process_and_frees_the_port(lab: Any) -> None:
    async def main() -> tuple[int, int]:
        engine = EmulatedEngine(lab.spec())
        await engine.start()
        pid, port = engine.pid, engine.port
        assert pid is not None
        await engine.stop()
        await engine.stop()
        return pid, port

    pid, port = asyncio.run(main())
    assert gone(pid)
    socket.create_server(("127.0.0.1", port)).close()


# The process by itself.


@contextlib.contextmanager
def emulator() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "harness.engines.emulator"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[bytes], message: object) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    reply: dict[str, Any] = json.loads(process.stdout.readline())
    return reply


def test_the_process_ends_when_its_parents_pipe_closes(lab: Any) -> None:
    with emulator() as process:
        hello = say(process, lab.spec().to_json())
        assert hello["pid"] == process.pid
        assert hello["started_ns"] <= time.monotonic_ns()
        socket.create_connection(("127.0.0.1", hello["port"])).close()
        assert process.stdin
        process.stdin.close()
        assert process.wait() == 0


def test_the_process_ends_on_sigterm(lab: Any) -> None:
    with emulator() as process:
        say(process, lab.spec().to_json())
        process.terminate()
        assert process.wait() == -signal.SIGTERM


def test_a_wrong_specification_is_told_in_one_line(lab: Any) -> None:
    with emulator() as process:
        assert "there is no 'tgi'" in say(process, lab.spec(dialect="tgi").to_json())["error"]
        assert process.wait() == 2


@pytest.mark.parametrize(
    "order", [{"do": "dance"}, {}, [], "x", {"do": "ledger"}, {"do": "stats", "extra": 1}]
)
def test_a_wrong_command_is_an_error_and_not_the_end(lab: Any, order: object) -> None:
    with emulator() as process:
        say(process, lab.spec().to_json())
        assert say(process, order)["error"]
        assert "ok" in say(process, {"do": "stats"})


def test_started_by_hand_it_says_how_it_is_meant_to_be_started() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.engines.emulator"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"the harness starts this process" in done.stderr


def test_the_process_imports_h11_and_annotated_types_beside_the_standard_library() -> None:
    code = (
        "import sys, harness.engines.emulator.control\n"
        "from harness.engines.emulator import dialects\n"
        "[dialects.load(name) for name in dialects.names()]\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "tops -= {*sys.stdlib_module_names, 'typing_extensions'}\n"  # taken where it is installed
        "print(sorted(t for t in tops if not t.startswith('_')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {sys.path!r}\n{code}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "['annotated_types', 'h11', 'harness']"
