"""The gateway's share of the time to first token, from the engine's own ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.wire import End, Exchange, Read, Request
from harness.wire.http1 import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.answer import Answer
    from harness.engines.ledger import LedgerEntry

_MS = 1e6


def gateway_share_ms(got: Iterable[Answer], ledger: Iterable[LedgerEntry]) -> list[float]:
    """Milliseconds the gateway added to the first token of each answer found in ``ledger``.

    Added is the way in (engine had the request - client had sent it) and the way out
    (client received the first token - engine sent it); both clocks are
    CLOCK_MONOTONIC of one machine. An answer and its entry are paired by their text:
    the tokens of an emulated engine follow from the prompt, and no two prompts of a
    run are equal. Texts that occur twice are left out.
    """
    sent: dict[str, list[tuple[int, int]]] = {}
    for entry in ledger:
        found = _first_token(entry)
        if found is not None:
            text, at_ns = found
            sent.setdefault(text, []).append((entry.received_ns, at_ns))
    shares = []
    for answer in got:
        pairs = sent.get(answer.text, [])
        asked_ns = answer.exchange.sent_ns
        if len(pairs) == 1 and asked_ns is not None and answer.deltas and answer.wholeness:
            received_ns, token_ns = pairs[0]
            way_in, way_out = received_ns - asked_ns, answer.deltas[0].at_ns - token_ns
            shares.append((way_in + way_out) / _MS)
    return shares


def _first_token(entry: LedgerEntry) -> tuple[str, int] | None:
    """The whole text an engine streamed, and when its first token left."""
    exchange = Exchange(
        id=str(entry.number),
        request=Request(method=entry.method, url=f"http://engine{entry.target}"),
        started_ns=entry.received_ns,
        ended_ns=entry.ended_ns,
        reads=tuple(Read(at_ns, data) for at_ns, data in entry.writes),
        end=End.EOF,
    )
    answer = answers.read(exchange)
    if answer.streamed and answer.deltas:
        return answer.text, answer.deltas[0].at_ns
    return _ndjson(exchange) or _messages(answer)


def _ndjson(exchange: Exchange) -> tuple[str, int] | None:
    """Ollama's own dialect: one JSON object a line, the token in ``message.content``."""
    text, first_ns = "", None
    for piece in parse(exchange).pieces:
        for line in piece.data.splitlines():
            try:
                token = json.loads(line)["message"]["content"]
            except (ValueError, KeyError, TypeError):
                continue
            text += token
            if token and first_ns is None:
                first_ns = piece.at_ns
    return None if first_ns is None else (text, first_ns)


def _messages(answer: Answer) -> tuple[str, int] | None:
    """Anthropic's own dialect: an event a piece of text, in ``delta.text``."""
    pieces = [
        (str(event.json["delta"].get("text") or ""), event.at_ns)
        for event in answer.events
        if isinstance(event.json, dict) and event.json.get("type") == "content_block_delta"
    ]
    spoken = [at_ns for text, at_ns in pieces if text]
    return ("".join(text for text, _ in pieces), spoken[0]) if spoken else None
