"""Secrets taken out of an exchange before it is stored."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from harness.wire.exchange import Exchange, Header, Read, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MARK = "[redacted]"

SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "x-litellm-api-key",
        "cookie",
        "set-cookie",
    }
)
"""Headers whose value is never stored, in requests and in response heads."""

_SHORTEST = 4
_LEARNED_LENGTH = 16
_CHUNK_FRAMING = rb"\r\n[0-9A-Fa-f]{1,8}(?:[ \t]*;[^\r\n]*)?\r\n"
_CHUNK = re.compile(b"(" + _CHUNK_FRAMING + b")")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1\d\d\b")
_SECRET_LINE = re.compile(
    rb"^(?:%b)[ \t]*:[ \t]*(?P<value>[^\n]+?(?:\r?\n[ \t][^\n]*?)*)(?=\r?\n|\Z)"
    % "|".join(sorted(SECRET_HEADERS)).encode(),
    re.IGNORECASE | re.MULTILINE,
)


class Redactor:
    """Replaces secrets in exchanges.

    Values of `SECRET_HEADERS` become ``[redacted]``. So does each of ``secrets``
    wherever it stands in text; in byte strings the mark is cut or padded with ``*``
    to the length of the secret, so that Content-Length and chunk sizes stay true and
    a stored answer can be parsed again. Percent-encoded and JSON-escaped spellings
    count too, and so do secrets split across reads or chunks. Keys of 16 characters
    or more in the request's own secret headers are looked for without being named,
    because servers echo them in error messages.

    Not seen: a secret inside a compressed body, or spread over several JSON values.

    Raises:
        ValueError: A secret is so short that it would blot out ordinary text. Empty
            ones, such as keys that are not set, are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret for secret in secrets if secret)
        shortest = min(map(len, self._secrets), default=_SHORTEST)
        if shortest < _SHORTEST:
            raise ValueError(
                f"a secret of {shortest} characters would blot out ordinary text in the "
                f"recording: give the whole key, {_SHORTEST} characters or more."
            )

    def exchange(self, exchange: Exchange) -> Exchange:
        """Return ``exchange`` without its secrets."""
        secrets = self._secrets | frozenset(_keys(exchange.request.headers))
        request = exchange.request
        return replace(
            exchange,
            id=_in_text(exchange.id, secrets),
            request=Request(
                method=_in_text(request.method, secrets),
                url=_in_text(request.url, secrets),
                headers=tuple(_in_header(header, secrets) for header in request.headers),
                body=_in_bytes(request.body, secrets),
            ),
            reads=_in_heads(_in_reads(exchange.reads, secrets)),
            detail=_in_text(exchange.detail, secrets),
            labels={
                _in_text(key, secrets): _in_text(value, secrets)
                for key, value in exchange.labels.items()
            },
        )


def _keys(headers: Iterable[Header]) -> Iterator[str]:
    for name, value in headers:
        if name.lower() in SECRET_HEADERS:
            for part in (value, *re.split(r"[\s;,=]+", value)):
                if len(part) >= _LEARNED_LENGTH:
                    yield part


def _spellings(secrets: frozenset[str]) -> list[str]:
    """Every way a secret may be written, the longest first so that none is cut short."""
    found: set[str] = set()
    for secret in secrets:
        escaped = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        quoted = (quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace"))
        found.update((secret, *escaped, *quoted))
    return sorted(found, key=len, reverse=True)


@lru_cache(maxsize=256)
def _text_pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, _spellings(secrets))))


@lru_cache(maxsize=256)
def _bytes_pattern(secrets: frozenset[str]) -> re.Pattern[bytes]:
    between = b"(?:" + _CHUNK_FRAMING + b")?"
    return re.compile(
        b"|".join(
            between.join(re.escape(bytes((byte,))) for byte in spelling.encode("utf-8", "replace"))
            for spelling in _spellings(secrets)
        )
    )


def _in_text(text: str, secrets: frozenset[str]) -> str:
    return _text_pattern(secrets).sub(MARK, text) if secrets else text


def _in_header(header: Header, secrets: frozenset[str]) -> Header:
    name, value = header
    if name.lower() in SECRET_HEADERS:
        return name, MARK
    return _in_text(name, secrets), _in_text(value, secrets)


def _in_bytes(data: bytes, secrets: frozenset[str]) -> bytes:
    return _bytes_pattern(secrets).sub(_mask, data) if secrets else data


def _mask(match: re.Match[bytes]) -> bytes:
    """Cover the secret and leave the chunk framing inside it, byte for byte in place."""
    cover = MARK.encode().ljust(len(match[0]), b"*")
    masked, used = [], 0
    for index, part in enumerate(_CHUNK.split(match[0])):
        if index % 2:
            masked.append(part)
        else:
            masked.append(cover[used : used + len(part)])
            used += len(part)
    return b"".join(masked)


def _in_reads(reads: Sequence[Read], secrets: frozenset[str]) -> tuple[Read, ...]:
    whole = b"".join(read.data for read in reads)
    masked = _in_bytes(whole, secrets)
    result, begin = [], 0
    for read in reads:
        result.append(Read(read.at_ns, masked[begin : begin + len(read.data)]))
        begin += len(read.data)
    return tuple(result)


def _in_heads(reads: Sequence[Read]) -> tuple[Read, ...]:
    whole = b"".join(read.data for read in reads)
    spans = list(_secret_values(whole))
    result, begin = [], 0
    for read in reads:
        finish = begin + len(read.data)
        kept, position = bytearray(), begin
        for start, stop in spans:
            if start < finish and stop > begin:
                kept += whole[position : max(start, begin)]
                if stop <= finish:  # the mark goes to the read that ends the value
                    kept += MARK.encode()
                position = min(stop, finish)
        result.append(Read(read.at_ns, bytes(kept + whole[position:finish])))
        begin = finish
    return tuple(result)


def _secret_values(whole: bytes) -> Iterator[tuple[int, int]]:
    begin = 0
    while True:
        end = _HEAD_END.search(whole, begin)
        stop = end.start() if end else len(whole)
        for line in _SECRET_LINE.finditer(whole, begin, stop):
            yield line.span("value")
        if end is None or not _INTERIM.match(whole, begin):
            return
        begin = end.end()
