"""The emulated server: a listener, its connections, and everything asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
import traceback
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.engines.emulator import dialects, http
from harness.engines.emulator.asking import ApiError, Ask, generate
from harness.engines.emulator.batching import Batch
from harness.engines.emulator.books import Books, Served
from harness.engines.emulator.connection import Connection, Record
from harness.engines.emulator.misbehaviour import Door, Faults
from harness.engines.emulator.pacing import FixedPacing, Turns
from harness.engines.emulator.play import Metronome, Play

if TYPE_CHECKING:
    from harness.engines.emulator.answer import Answer, Reply
    from harness.engines.emulator.http import BadRequestError, Request
    from harness.engines.spec import EmulatorSpec

_BACKLOG = 4096
_ACCEPT_AGAIN_S = 0.1


class Emulator:
    """One emulated engine in this process's event loop. A `connection.Host`."""

    def __init__(self, spec: EmulatorSpec) -> None:
        self.loop = asyncio.get_running_loop()
        self.metronome = Metronome(self.loop)
        self.spec, self.settings = spec, spec.settings
        self.port = spec.port
        self.books = Books(max(model.context_length for model in spec.models))
        self.batch = (
            None
            if spec.batching is None
            else Batch(spec.batching, self.books, self.loop, self.metronome)
        )
        self.turns = self.batch or Turns(spec.settings.max_concurrency)
        self.turns.books = self.books
        self.turns.ready_ns = monotonic_ns() + int(spec.warm_up_ms * 1e6)
        self.dialect = dialects.load(spec.dialect)(spec, self.now, self.turns)
        self.faults = Faults()
        self.records: list[Record] = []
        """Answers that have ended, until they are collected."""
        self.first_record = 1
        """Number of the first of `records` among all that ever ended."""
        self.requests = self.connections_seen = 0
        self.connections: set[Connection] = set()
        self._listener: socket.socket | None = None

    def now(self) -> int:
        """Unix time, or the one the specification fixes."""
        return self.spec.created if self.spec.created is not None else int(time.time())

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._listener is not None

    # Up and down.

    def up(self) -> int:
        """Listen; return the port. The first time it may be any, after that it stays the same.

        Raises:
            OSError: the port is taken.
        """
        if self._listener is None:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self.spec.host, self.port))
                listener.listen(_BACKLOG)
            except OSError:
                listener.close()
                raise
            listener.setblocking(False)
            self.loop.add_reader(listener.fileno(), self._accept, listener)
            self._listener = listener
            self.port = listener.getsockname()[1]
        return self.port

    def down(self) -> None:
        """Refuse connections, and reset all there are."""
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.abort()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: the rest waits in the backlog
                sys.stderr.write(f"cannot accept a connection, trying again: {error}\n")
                self.loop.remove_reader(listener.fileno())
                self.loop.call_later(_ACCEPT_AGAIN_S, self._accept_again, listener)
                return
            self.connections_seen += 1
            with contextlib.suppress(OSError):  # gone before it was looked at
                self.connections.add(Connection(self, connected, self.connections_seen))

    def _accept_again(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self.loop.add_reader(listener.fileno(), self._accept, listener)

    def closed(self, connection: Connection) -> None:
        """See `connection.Host`."""
        self.connections.discard(connection)

    # Answers.

    def answer(self, connection: Connection, request: Request) -> None:
        """See `connection.Host`."""
        body = _peek(request.body)
        record = self._record(
            connection,
            method=request.method,
            target=request.target,
            request_id=request.headers.get("x-request-id"),
            model=body.get("model") if isinstance(body.get("model"), str) else None,
        )
        connection.open_record(record, keep_alive=request.keep_alive)
        reply: Reply | None = None
        try:
            answer, reply = self._decide(request)
        except ApiError as error:
            answer = self.dialect.refuse(error, request.path)
        except Exception:  # noqa: BLE001 - a mistake of ours must not end the process
            sys.stderr.write(traceback.format_exc())
            mistake = ApiError(
                "told", status=500, reason="The emulator made a mistake: see its log"
            )
            answer = self.dialect.refuse(mistake, request.path)
        self._send(connection, record, answer, reply, chunks=request.chunks)

    def refuse(self, connection: Connection, error: BadRequestError) -> None:
        """See `connection.Host`."""
        record = self._record(connection, method="", target="", request_id=None, model=None)
        connection.open_record(record, keep_alive=False)
        refused = ApiError("told", status=error.status, reason=str(error))
        self._send(connection, record, self.dialect.refuse(refused, ""), None, chunks=True)

    def recorded(self, record: Record) -> None:
        """See `connection.Host`."""
        self.records.append(record)

    def collected(self, number: int) -> None:
        """Forget the records up to the one of this number: somebody else has them."""
        del self.records[: max(0, number - self.first_record + 1)]
        self.first_record = max(self.first_record, number + 1)

    def _record(self, connection: Connection, **facts: Any) -> Record:
        self.requests += 1
        return Record(
            number=self.requests,
            connection=connection.number,
            peer_port=connection.peer_port,
            received_ns=monotonic_ns(),
            status=None,
            stream=False,
            faults=[],
            **facts,
        )

    def _decide(self, request: Request) -> tuple[Answer, Reply | None]:
        """What to send, faults included, and what was generated for it. Raises ApiError."""
        routed = self.dialect.route(request)
        if not isinstance(routed, Ask):
            return routed, None
        reply: Reply | None = None
        struck, door = self.faults.strike(routed), Door(self.dialect, request.path)
        answer = next((made for each in struck if (made := each.instead(door))), None)
        if answer is None:
            reply = generate(routed, self.spec, self.settings, self.requests, self.now())
            for each in struck:
                each.bend_reply(reply)
            answer = self.dialect.render(reply)
            for each in struck:
                each.bend_answer(answer, door)
        answer.faults = [each.name for each in struck]
        return answer, reply

    def _send(
        self,
        connection: Connection,
        record: Record,
        answer: Answer,
        reply: Reply | None,
        *,
        chunks: bool,
    ) -> None:
        record.facts.update(faults=answer.faults, stream=answer.stream)
        if answer.silent:
            return
        record.facts["status"] = answer.status
        connection.ending = answer.ending
        chunked = answer.stream and chunks
        date = http.date(self.now())
        head = http.head(answer.status, self.dialect.headers(answer, date, chunked=chunked))
        play = Play(answer, head, connection, chunked=chunked)
        record.planned = play.chunks
        if answer.closes or (answer.stream and not chunked):
            connection.close_when_done()
        if not answer.paced:
            connection.play(play)
            play.step()
            return
        if self.batch is not None and reply is not None:
            if answer.early_head:
                connection.write(head)
            self._generate_in_batch(self.batch, connection, reply, play)
        else:
            early = head if answer.early_head else b""
            self._generate_by_clock(connection, record, reply, play, early)

    def _generate_in_batch(
        self, batch: Batch, connection: Connection, reply: Reply, play: Play
    ) -> None:
        generation = batch.generate(reply, play)
        connection.play(play, lambda: batch.forget(generation))

    def _generate_by_clock(
        self,
        connection: Connection,
        record: Record,
        reply: Reply | None,
        play: Play,
        early: bytes,
    ) -> None:
        pacing = FixedPacing.of(self.settings)
        begun_ns: list[int] = []

        def begin() -> None:
            begun_ns.append(monotonic_ns())
            if early:
                connection.write(early)
            self.metronome.at(play.begin(pacing) or 0, play)

        def over() -> None:
            if reply is not None:
                self._count(record, reply, begun_ns, pacing)
            self.turns.leave(begin)

        connection.play(play, over)
        self.turns.enter(begin)

    def _count(
        self, record: Record, reply: Reply, begun_ns: list[int], pacing: FixedPacing
    ) -> None:
        """Enter an answer that followed the clock: its times are those it was told to keep."""
        whole = record.facts["ending"] == "whole"
        begun = (begun_ns[0] if begun_ns else record.facts["ended_ns"]) / 1e9
        tokens = reply.completion_tokens
        self.books.enter(
            Served(
                prompt_tokens=reply.prompt_tokens,
                tokens=tokens,
                finish=reply.choices[0].finish if whole else "abort",
                arrived_s=record.facts["received_ns"] / 1e9,
                scheduled_s=begun,
                first_s=begun + pacing.ttft_ns / 1e9 if begun_ns else None,
                last_s=record.facts["ended_ns"] / 1e9,
                max_tokens=reply.ask.max_tokens,
                choices=reply.ask.choices,
            )
        )
        if whole and tokens > 1:
            self.books.itl.observe(pacing.itl_ns / 1e9, tokens - 1)

    # Asked by the harness.

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings for the answers to come. Raises SpecError."""
        self.settings = self.settings.changed(changes)
        self.turns.limit = self.settings.max_concurrency
        self.turns.admit()

    def set_faults(self, wires: list[dict[str, Any]]) -> None:
        """Set more faults. Raises FaultError."""
        self.faults.add(wires)
        if self.faults.down:
            self.down()

    def clear_faults(self) -> None:
        """Behave again, and listen again if a fault had kept the engine down."""
        was_down = self.faults.down
        self.faults.clear()
        if was_down:
            self.up()

    def stats(self) -> dict[str, Any]:
        """Counters of the moment."""
        return {
            "pid": os.getpid(),
            "listening": self.listening,
            "connections": len(self.connections),
            "requests": self.requests,
            "unanswered": sum(connection.busy for connection in self.connections),
            "running": self.turns.running,
            "waiting": self.turns.waiting,
            "faults": self.faults.names,
            "batching": None if self.batch is None else self.batch.stats(),
        }


def _peek(body: bytes) -> dict[str, Any]:
    """The body for the ledger, whether or not it is acceptable."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(body)
        if isinstance(value, dict):
            return value
    return {}
