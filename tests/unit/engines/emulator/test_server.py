from __future__ import annotations

import asyncio
import errno
import gc
import json
import socket
from typing import Any

import pytest

from harness.engines.spec import SpecError
from harness.engines.tokens import witness

MS = 1_000_000


def test_the_ledger_is_what_a_plain_socket_received_byte_for_byte(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        received = [
            await it.chat(stream=True, max_tokens=60),
            await it.chat(max_tokens=9),
            await it.chat(max_tokens=-1),  # refused
            await it.ask(lab.get("/v1/models")),
            await it.ask(b"no http at all\r\n\r\n"),
        ]
        assert [entry.sent for entry in it.ledger()] == [each.raw for each in received]
        assert [entry.status for entry in it.ledger()] == [200, 200, 400, 200, 400]
        assert {entry.ending for entry in it.ledger()} == {"whole"}
        assert all(each.whole for each in received)

    lab.run(scenario)


def test_every_event_is_a_write_of_its_own_and_stamped_after_it_was_due(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = await it.chat(stream=True, max_tokens=5)
        (entry,) = it.ledger()
        assert len(entry.writes) == len(answered.events) + 1  # and the last chunk
        token_writes = entry.writes[1:6]
        for k, (at_ns, data) in enumerate(token_writes):
            assert at_ns >= entry.received_ns + (4 + k * 2) * MS
            assert data.endswith(b"\n\n\r\n")
        assert [at for at, _ in entry.writes] == sorted(at for at, _ in entry.writes)
        assert entry.received_ns <= entry.writes[0][0] <= entry.ended_ns

    lab.run(scenario, settings={"ttft_ms": 4, "itl_ms": 2})


def test_an_entry_says_who_asked_what(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        await it.chat("x-request-id: r-1", stream=True)
        await it.ask(lab.get("/v1/models?x=1"))
        one, two = it.ledger()
        assert (one.method, one.target, one.request_id) == ("POST", lab.chat_path, "r-1")
        assert (one.model, one.stream, one.number, one.connection) == ("large", True, 1, 1)
        assert (two.target, two.request_id, two.model) == ("/v1/models?x=1", None, None)
        assert (two.stream, two.number, two.connection) == (False, 2, 2)
        assert one.peer_port != two.peer_port

    lab.run(scenario)


def test_an_unary_answer_comes_when_its_last_token_is_due(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        await it.chat(max_tokens=4)
        (entry,) = it.ledger()
        ((at_ns, _),) = entry.writes
        assert at_ns >= entry.received_ns + (5 + 3 * 3) * MS

    lab.run(scenario, settings={"ttft_ms": 5, "itl_ms": 3})


def test_streamed_and_unary_answers_are_the_same_text_with_the_same_count(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        options = {"include_usage": True}
        stream = await it.chat(stream=True, max_tokens=200, stream_options=options)
        unary = (await it.chat(max_tokens=200)).json
        assert stream.text == unary["choices"][0]["message"]["content"]
        assert stream.chunks[-1]["usage"] == unary["usage"]
        assert unary["usage"]["completion_tokens"] == 200
        assert not stream.text.isascii()
        assert witness(stream.text) == "engine-a"

    lab.run(scenario)


def test_equal_seeds_give_equal_bytes_and_others_do_not(lab: Any) -> None:
    async def scenario(it: Any) -> list[bytes]:
        return [
            (await it.chat(stream=True)).raw,
            (await it.chat()).raw,
            (await it.chat(path="/v1/completions", prompt="hi")).raw,
        ]

    first, again, other = lab.run(scenario), lab.run(scenario), lab.run(scenario, seed=8)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_limit_cuts_the_answer_and_no_limit_lets_it_end(lab: Any) -> None:
    async def scenario(it: Any) -> list[tuple[int, str]]:
        bodies = [(await it.chat(**given)).json for given in ({}, {"max_tokens": 3})]
        bodies.append((await it.chat(max_tokens=9, max_completion_tokens=2)).json)
        return [
            (body["usage"]["completion_tokens"], body["choices"][0]["finish_reason"])
            for body in bodies
        ]

    lengths = lab.run(scenario, settings={"default_max_tokens": 5})
    assert lengths == [(5, "stop"), (3, "length"), (2, "length")]


def test_a_stop_text_ends_the_answer_and_is_not_in_it(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        whole = (await it.chat(max_tokens=30)).json["choices"][0]["message"]["content"]
        stop = whole[20:24]
        stream = await it.chat(max_tokens=30, stop=["nowhere", stop], stream=True)
        body = (await it.chat(max_tokens=30, stop=stop)).json
        assert body["choices"][0]["message"]["content"] == whole[: whole.index(stop)] == stream.text
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"]["completion_tokens"] < 30

    lab.run(scenario)


def test_an_answer_stopped_before_its_first_token_is_still_a_whole_stream(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = await it.chat(stop="engine", stream=True)
        assert (answered.text, answered.events[-1]) == ("", "[DONE]")
        assert answered.whole

    lab.run(scenario)


def test_several_choices_are_several_answers_interleaved(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        unary = (await it.chat(n=2, max_tokens=4)).json
        texts = [choice["message"]["content"] for choice in unary["choices"]]
        assert texts[0] != texts[1]
        assert unary["usage"]["completion_tokens"] == 8
        stream = await it.chat(n=2, max_tokens=4, stream=True)
        indexes = [chunk["choices"][0]["index"] for chunk in stream.chunks]
        assert indexes == [0, 1] * (len(indexes) // 2)
        for index in (0, 1):
            deltas = [c["choices"][0] for c in stream.chunks if c["choices"][0]["index"] == index]
            assert "".join(d["delta"].get("content", "") for d in deltas) == texts[index]

    lab.run(scenario)


def test_a_connection_is_used_again(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        body = {"model": "large", "messages": lab.hi, "stream": True, "max_tokens": 2}
        keep = lab.post(lab.chat_path, body, close=False)
        last = await it.ask(keep + keep + lab.post(lab.chat_path, body))  # even pipelined
        entries = it.ledger()
        assert b"".join(entry.sent for entry in entries) == last.raw
        assert [entry.connection for entry in entries] == [1, 1, 1]

    lab.run(scenario)


def test_a_thousand_pipelined_requests_are_answered_in_order(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        one = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
        answered = await it.ask(one * 1000 + lab.get("/v1/models"))
        assert answered.raw.count(b"HTTP/1.1 200 OK") == 1001

    lab.run(scenario)


def test_a_client_that_goes_away_is_noticed_and_noted(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        body = {"model": "large", "messages": lab.hi, "stream": True, "max_tokens": 4000}
        writer.write(lab.post(lab.chat_path, body))
        received = await reader.readuntil(b"\n\n")
        assert it.emulator.stats()["running"] == 1
        writer.close()
        await it.until(lambda: it.emulator.records)
        (entry,) = it.ledger()
        assert entry.aborted
        assert entry.sent.startswith(received)
        assert not entry.sent.endswith(b"0\r\n\r\n")
        stats = it.emulator.stats()
        assert (stats["running"], stats["connections"], stats["unanswered"]) == (0, 0, 0)

    lab.run(scenario, settings={"itl_ms": 5})


def test_a_slow_reader_gets_every_byte_and_the_ledger_knows_when(lab: Any) -> None:
    """More bytes than the kernel holds: the emulator waits, sends the rest, loses nothing."""

    async def scenario(it: Any) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", it.port))
            body = {"model": "huge", "messages": lab.hi, "stream": True, "max_tokens": 30_000}
            await loop.sock_sendall(client, lab.post(lab.chat_path, body))
            await it.until(lambda: any(each.blocked for each in it.emulator.connections))
            assert not it.emulator.records
            received = b""
            while data := await loop.sock_recv(client, 65536):
                received += data
        (entry,) = it.ledger()
        assert entry.sent == received
        assert entry.ending == "whole"

    models = (lab.spec().models[0], type(lab.spec().models[0])("huge", 100_000))
    lab.run(scenario, models=models)


def test_bytes_the_kernel_never_took_are_not_in_the_ledger(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", it.port))
            body = {"model": "huge", "messages": lab.hi, "max_tokens": 900_000}
            await loop.sock_sendall(client, lab.post(lab.chat_path, body))
            await it.until(lambda: any(each.blocked for each in it.emulator.connections))
        await it.until(lambda: it.emulator.records)
        (entry,) = it.ledger()
        announced = int(entry.sent.split(b"content-length: ")[1].split(b"\r\n")[0])
        assert entry.aborted
        assert 0 < len(entry.sent) < announced

    models = (type(lab.spec().models[0])("huge", 1_000_000),)
    lab.run(scenario, models=models)


def test_a_client_that_waits_for_continue_gets_it_and_the_ledger_has_it(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        body = json.dumps({"model": "large", "messages": lab.hi}).encode()
        head, _, _ = lab.post(lab.chat_path, body, "expect: 100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        interim = await reader.readuntil(b"\r\n\r\n")
        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        rest = await reader.read()
        (entry,) = it.ledger()
        assert entry.sent == interim + rest
        writer.close()

    lab.run(scenario)


def test_an_old_client_gets_a_stream_without_chunks_that_ends_with_the_connection(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        body = {"model": "large", "messages": lab.hi, "stream": True}
        old = lab.post(lab.chat_path, body).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        answered = await it.ask(old)
        assert "transfer-encoding" not in answered.head
        assert answered.events[-1] == "[DONE]"

    lab.run(scenario)


def test_turns_limit_how_many_are_generated_at_a_time(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        asked = [asyncio.create_task(it.chat(max_tokens=3)) for _ in range(4)]
        await it.until(lambda: it.emulator.stats()["waiting"] == 2)
        assert it.emulator.stats()["running"] == 2
        await asyncio.gather(*asked)
        first, _, third, _ = sorted(it.ledger(), key=lambda entry: entry.ended_ns)
        assert third.writes[0][0] >= first.writes[0][0] + 10 * MS  # began when a place was free

    lab.run(scenario, settings={"ttft_ms": 10, "max_concurrency": 2})


def test_down_refuses_and_resets_and_up_accepts_on_the_same_port(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        port = it.port
        body = {"model": "large", "messages": lab.hi, "stream": True, "max_tokens": 4000}
        streaming = asyncio.create_task(it.ask(lab.post(lab.chat_path, body)))
        await it.until(lambda: it.emulator.stats()["running"] == 1)
        it.emulator.down()
        answered = await streaming
        assert answered.reset
        assert it.ledger()[0].ending == "down"
        with pytest.raises(ConnectionRefusedError):
            await it.chat()
        it.emulator.down()  # twice is once
        assert it.emulator.up() == port
        assert (await it.chat()).status == 200

    lab.run(scenario, settings={"itl_ms": 5})


def test_out_of_descriptors_it_waits_and_then_goes_on(
    lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        """A listener that cannot accept the first time it is asked."""

        def __init__(self, real: socket.socket) -> None:
            self.real, self.refused = real, 0
            self.fileno, self.close = real.fileno, real.close

        def accept(self) -> Any:
            self.refused += 1
            if self.refused == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return self.real.accept()

    async def scenario(it: Any) -> None:
        real = it.emulator._listener
        it.emulator.loop.remove_reader(real.fileno())
        full = it.emulator._listener = Full(real)
        it.emulator._accept_again(full)
        assert (await it.chat()).status == 200
        assert full.refused > 1

    lab.run(scenario)
    assert "Too many open files" in capsys.readouterr().err


def test_settings_change_the_answers_to_come(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.configure({"default_max_tokens": 2})
        assert (await it.chat()).json["usage"]["completion_tokens"] == 2
        with pytest.raises(SpecError, match="no such setting"):
            it.emulator.configure({"tempo": 1})

    lab.run(scenario)


def test_collected_records_are_forgotten_and_the_others_kept(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        for _ in range(4):
            await it.chat()
        it.emulator.collected(3)
        assert [entry.number for entry in it.ledger()] == [4]
        it.emulator.collected(3)
        it.emulator.collected(0)
        assert [entry.number for entry in it.ledger()] == [4]
        it.emulator.collected(4)
        await it.chat()
        assert (it.emulator.first_record, len(it.ledger())) == (5, 1)

    lab.run(scenario)


def test_a_mistake_of_the_emulator_is_an_answer_and_not_its_end(
    lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.dialect.render = lambda _: 1 / 0
        answered = await it.chat()
        assert answered.status == 500
        assert "mistake" in answered.json["error"]["message"]
        del it.emulator.dialect.render
        assert (await it.chat()).status == 200

    lab.run(scenario)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_answers_leave_no_cycles_behind_so_the_collector_can_stay_off(lab: Any) -> None:
    body = {"model": "large", "messages": lab.hi, "stream": True}
    good = lab.post(lab.chat_path, body, close=False)
    refused = lab.post(lab.chat_path, {**body, "model": "nope"}, close=False)

    def garbage_of(pairs: int) -> int:
        async def scenario(it: Any) -> int:
            gc.collect()
            await it.ask((good + refused) * pairs + lab.get("/v1/models"))
            it.emulator.records.clear()
            return gc.collect()

        unreachable: int = lab.run(scenario)
        return unreachable

    assert garbage_of(200) <= garbage_of(5)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS to a plain port\r\n\r\n", 400),
    ],
    ids=["no host", "endless header", "bad length", "tls"],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(
    lab: Any, raw: bytes, status: int
) -> None:
    async def scenario(it: Any) -> None:
        answered = await it.ask(raw)
        assert answered.status == status
        assert answered.json["error"]["message"]
        assert (await it.chat()).status == 200

    lab.run(scenario)
