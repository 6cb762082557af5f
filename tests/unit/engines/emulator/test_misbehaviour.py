from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import harness.faults
from harness.engines.emulator import dialects
from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.misbehaviour import Faults, known
from harness.faults import Fault, FaultError, Layer, catalogue, from_wire, parse, register
from harness.faults import fault as catalogued

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000
STREAMED = {"stream": True, "max_tokens": 6, "stream_options": {"include_usage": True}}
SPEAKERS = sorted(set(dialects.names()) - {"anthropic"})
"""Those that have OpenAI's chat; the other one has a file of its own."""
every = pytest.mark.parametrize("dialect", SPEAKERS)


def fault(name: str, times: int | None = None, **settings: Any) -> dict[str, Any]:
    return {"name": name, "settings": settings, "times": times}


async def beside(it: Any, wire: dict[str, Any], **body: Any) -> tuple[Any, Any]:
    """The same request without the fault and with it, under the same number and so the same id."""
    good = await it.chat(**body)
    it.emulator.requests -= 1
    it.emulator.set_faults([wire])
    return good, await it.chat(**body)


@every
def test_a_status_comes_in_the_envelope_of_the_dialect(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("http.status", status=429, retry_after=7)])
        answered = await it.chat(**STREAMED)
        assert answered.status == 429
        assert "retry-after: 7" in answered.head.lower()
        assert answered.json["error"]["message"]
        assert it.ledger()[-1].faults == ("http.status",)
        assert (await it.ask(lab.get("/v1/models"))).status == 200

    lab.run(scenario, dialect=dialect)


@pytest.mark.parametrize(
    ("dialect", "status", "kind", "code"),
    [
        ("openai", 429, "requests", "rate_limit_exceeded"),
        ("openai", 503, "server_error", None),
        ("vllm", 500, "InternalServerError", 500),
        ("llama_cpp_native", 503, "unavailable_error", 503),
        ("llama_cpp_python", 500, "internal_server_error", None),
        ("ollama", 500, "api_error", None),
    ],
)
def test_the_type_and_the_code_follow_the_status(
    lab: Any, dialect: str, status: int, kind: str, code: Any
) -> None:
    async def scenario(it: Any) -> Any:
        it.emulator.set_faults([fault("http.status", status=status)])
        return (await it.chat()).json["error"]

    error = lab.run(scenario, dialect=dialect)
    assert (error["type"], error["code"]) == (kind, code)


def test_a_hang_reads_the_request_and_sends_nothing(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("hang")])
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(lab.post(lab.chat_path, {"model": "large", "messages": lab.hi}))
        await it.until(lambda: it.emulator.stats()["unanswered"] == 1)
        assert not it.emulator.records
        writer.close()
        await it.until(lambda: it.emulator.records)
        (entry,) = it.ledger()
        assert (entry.status, entry.writes, entry.aborted) == (None, (), True)
        assert await reader.read() == b""

    lab.run(scenario)


def test_a_delay_moves_the_first_token_and_all_that_follow(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("first_token.delay", ms=30)])
        await it.chat(stream=True, max_tokens=3)
        (entry,) = it.ledger()
        for k, (at_ns, _) in enumerate(entry.writes[1:4]):
            assert at_ns >= entry.received_ns + (30 + k * 2) * MS

    lab.run(scenario, settings={"itl_ms": 2})


@every
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_cut_lets_so_many_tokens_through_and_no_end(
    lab: Any, dialect: str, how: str, after: int
) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.cut", after=after, how=how), **STREAMED)
        tokens = [c for c in good.chunks if c.get("choices") and c["choices"][0].get("delta")]
        contents = [c["choices"][0]["delta"].get("content") for c in tokens]
        assert bad.text == "".join([c for c in contents if c][:after])
        assert bad.reset == (how == "rst")
        assert not bad.whole
        assert good.body.startswith(bad.body)
        entry = it.ledger()[-1]
        assert (entry.ending, entry.faults) == (how, ("stream.cut",))

    lab.run(scenario, dialect=dialect)


def test_a_cut_before_anything_leaves_the_head_alone(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("stream.cut", after=-1)])
        answered = await it.chat(stream=True)
        assert (answered.status, answered.body) == (200, b"")

    lab.run(scenario)
    lab.run(scenario, dialect="vllm")


def test_a_stall_is_silence_after_so_many_tokens_and_then_the_rest(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.stall", after=2, s=0.05), **STREAMED)
        assert bad.body == good.body
        entry = it.ledger()[-1]
        assert entry.writes[3][0] >= entry.received_ns + 50 * MS  # role, token, token | token

    lab.run(scenario)


@pytest.mark.parametrize(("after", "held"), [(-1, 0), (0, 1), (1, 2), (2, 3), (3, 4), (99, 4)])
def test_a_stall_holds_one_frame_and_no_other(after: int, held: int) -> None:
    parts = [("role", 0), ("token", 0), ("token", 1), ("token", 2), ("finish", 2)]
    answer = Answer(200, [], [Frame(part, b"", token) for part, token in parts])
    stall = from_wire(fault("stream.stall", after=after, s=1))
    stall.bend_answer(answer, None)  # type: ignore[attr-defined] - it asks nothing of the door
    assert [n for n, frame in enumerate(answer.frames) if frame.hold_ns] == [held]


def test_a_stall_behind_the_last_token_holds_the_end_back(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("stream.stall", after=99, s=0.03)])
        await it.chat(stream=True, max_tokens=2)
        (entry,) = it.ledger()
        assert entry.ended_ns >= entry.received_ns + 30 * MS

    lab.run(scenario)


@every
def test_no_done_leaves_out_the_marker_only(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.no_done"), **STREAMED)
        assert bad.events == good.events[:-1]
        assert bad.whole

    lab.run(scenario, dialect=dialect)


@every
def test_no_finish_leaves_out_the_reason_only(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.no_finish"), **STREAMED)
        reasons = [c["choices"][0]["finish_reason"] for c in bad.chunks if c["choices"]]
        assert set(reasons) == {None}
        assert (bad.text, bad.events[-1]) == (good.text, "[DONE]")

    lab.run(scenario, dialect=dialect)


@pytest.mark.parametrize("dialect", sorted(set(SPEAKERS) - {"ollama"}))
def test_a_duplicate_role_is_the_opening_event_again(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.duplicate_role"), **STREAMED)
        assert bad.events == [*good.events[:2], good.events[0], *good.events[2:]]

    lab.run(scenario, dialect=dialect)


@every
def test_an_error_frame_takes_the_place_of_the_rest(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        good, bad = await beside(it, fault("stream.error_frame", after=2), **STREAMED)
        done = ["[DONE]"] if dialect == "vllm" else []
        error, *rest = bad.events[-1 - len(done) :]
        assert json.loads(error)["error"]["message"]
        assert rest == done
        assert bad.events[: -1 - len(done)] == good.events[: len(bad.events) - 1 - len(done)]
        assert bad.whole
        assert not any(c["choices"][0].get("finish_reason") for c in bad.chunks if "choices" in c)

    lab.run(scenario, dialect=dialect)


@every
def test_a_truncated_body_is_a_whole_message_with_half_a_document(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("body.truncated_json")])
        answered = await it.chat()
        assert (answered.status, answered.whole) == (200, True)
        with pytest.raises(ValueError):  # noqa: PT011 - json's own
            _ = answered.json
        assert (await it.chat(stream=True)).whole

    lab.run(scenario, dialect=dialect)


@every
def test_missing_usage_is_missing_in_both_modes(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("usage.missing")])
        assert "usage" not in (await it.chat()).json
        assert not any(chunk.get("usage") for chunk in (await it.chat(**STREAMED)).chunks)

    lab.run(scenario, dialect=dialect)


@every
def test_a_wrong_model_is_named_everywhere(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("model.wrong", model="impostor")])
        assert (await it.chat()).json["model"] == "impostor"
        assert {c["model"] for c in (await it.chat(**STREAMED)).chunks} == {"impostor"}

    lab.run(scenario, dialect=dialect)


def test_down_is_a_fault_too(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("engine.down")])
        with pytest.raises(ConnectionRefusedError):
            await it.chat()
        it.emulator.clear_faults()
        assert (await it.chat()).status == 200

    lab.run(scenario)


def test_a_fault_for_so_many_times_is_then_over(lab: Any) -> None:
    async def scenario(it: Any) -> list[int]:
        it.emulator.set_faults([fault("http.status", times=2, status=500)])
        statuses = [(await it.chat()).status for _ in range(3)]
        assert it.emulator.stats()["faults"] == []
        return statuses

    assert lab.run(scenario) == [500, 500, 200]


def test_an_answer_that_cannot_show_a_fault_does_not_use_it_up(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("stream.no_done", times=1)])
        assert (await it.chat()).status == 200
        assert (await it.chat(model="nope")).status == 404
        assert (await it.chat(stream=True)).events[-1] != "[DONE]"
        assert (await it.chat(stream=True)).events[-1] == "[DONE]"

    lab.run(scenario)


def test_faults_add_up_and_clear_takes_all_back(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.set_faults([fault("usage.missing"), fault("stream.no_done")])
        it.emulator.set_faults([fault("model.wrong", model="m")])
        bad = await it.chat(**STREAMED)
        assert it.ledger()[-1].faults == ("usage.missing", "stream.no_done", "model.wrong")
        assert (bad.chunks[0]["model"], bad.events[-1] != "[DONE]") == ("m", True)
        it.emulator.clear_faults()
        assert (await it.chat(**STREAMED)).chunks[-1]["usage"]
        assert it.ledger()[-1].faults == ()

    lab.run(scenario)


def test_ollamas_own_api_misbehaves_too(lab: Any) -> None:
    async def scenario(it: Any) -> list[str]:
        it.emulator.set_faults([fault("stream.no_done")])
        lines = (await it.chat(path="/api/chat")).body.decode().splitlines()
        it.emulator.clear_faults()
        it.emulator.set_faults([fault("stream.error_frame", after=1)])
        failed = (await it.chat(path="/api/chat")).body.decode().splitlines()
        assert not any(json.loads(line)["done"] for line in lines)
        return failed

    first, last = lab.run(scenario, dialect="ollama")
    assert json.loads(first)["message"]["content"] == "engine-a:"
    assert json.loads(last) == {"error": "The server failed while it streamed."}


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({"name": "coffee.cold"}, "no fault is called 'coffee.cold'. There are body"),
        ({}, "no fault is called 'None'"),
        (fault("http.status"), "http.status cannot be set to {}.*It takes times, status, retry"),
        (fault("hang", speed=1), "hang cannot be set to {'speed': 1}.*It takes times."),
        (fault("hang", times=0), "times must be at least 1"),
    ],
)
def test_what_it_cannot_do_is_a_clear_error_and_changes_nothing(wire: Any, said: str) -> None:
    faults = Faults()
    with pytest.raises(FaultError, match=said.replace("{", r"\{").replace("(", r"\(")):
        faults.add([fault("hang"), wire])
    assert faults.names == []


class _OfATransport(Fault):
    pass


def test_a_fault_that_is_no_servers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogued, "_CATALOGUE", dict(catalogued._CATALOGUE))
    register("line.noise", Layer.TRANSPORT)(_OfATransport)
    with pytest.raises(FaultError, match="no fault of a server; this one can do body"):
        Faults().add([fault("line.noise")])


@pytest.fixture
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fault of docs/extending.md, among the others."""
    text = (Path(__file__).parents[4] / "docs" / "extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text.partition("## A fault\n")[2], re.DOTALL)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(harness.faults, "__path__", [*harness.faults.__path__, str(tmp_path)])
    monkeypatch.setattr(catalogued, "_CATALOGUE", dict(catalogued._CATALOGUE))
    catalogued._load.cache_clear()
    yield
    sys.modules.pop("harness.faults.mine", None)
    catalogued._load.cache_clear()


@pytest.mark.usefixtures("_mine")
def test_a_fault_of_ones_own_is_one_file(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        wire = parse({"name": "stream.stutter", "after": 1}).to_wire()
        good, bad = await beside(it, wire, **STREAMED)
        tokens = [chunk["choices"][0]["delta"]["content"] for chunk in good.chunks[1:7]]
        again = [chunk["choices"][0]["delta"]["content"] for chunk in bad.chunks[1:8]]
        assert again == [tokens[0], tokens[1], *tokens[1:]]
        assert it.ledger()[-1].faults == ("stream.stutter",)

    assert catalogue()["stream.stutter"].summary == "One token arrives twice."
    lab.run(scenario)


def test_all_it_can_do_is_tested_here() -> None:
    text = Path(__file__).read_text()
    assert [name for name in known() if f'"{name}"' not in text] == []
