"""From a reply to bytes: JSON once per answer, then a token costs a concatenation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.answer import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

MARK = f"\ue000{os.urandom(8).hex()}"
"""Stands where a token will stand in a template; nobody can send it, it is new in each process."""


def compact(value: Any) -> str:
    """JSON without spaces and with letters as they are, as pydantic, nlohmann and Go write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def spaced(value: Any) -> str:
    """JSON as ``json.dumps`` writes it: with spaces, and ASCII only."""
    return json.dumps(value)


def encode(text: str) -> bytes:
    r"""UTF-8; a lone surrogate, which a client can send as ``\ud800``, becomes "?"."""
    return text.encode("utf-8", "replace")


def event(text: str) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2.6)."""
    return encode(f"data: {text}\n\n")


def line(text: str) -> bytes:
    """One line of NDJSON."""
    return encode(f"{text}\n")


class Template:
    """A chunk with a hole for the token.

    The chunk is written out once, with `MARK` in the hole, by ``dumps`` and ``frame`` (`event` or
    `line`); a token then is its JSON text between two pieces.
    """

    __slots__ = ("_after", "_before", "_dumps")

    def __init__(
        self, chunk: Json, dumps: Callable[[Any], str], frame: Callable[[str], bytes]
    ) -> None:
        self._dumps = dumps
        self._before, _, self._after = frame(dumps(chunk)).partition(dumps(MARK).encode())

    def fill(self, token: str) -> bytes:
        """The frame for one token."""
        return self._before + _quoted(self._dumps, token) + self._after


@lru_cache(maxsize=4096)
def _quoted(dumps: Callable[[Any], str], token: str) -> bytes:
    return encode(dumps(token))


Part = tuple[list[str], Template, Mapping[int, bytes]]
"""A choice to stream: its tokens, the template for them, and ready frames for the exceptions."""


def token_frames(parts: Sequence[Part]) -> list[Frame]:
    """Frames of several choices, token by token, as a server that batches them sends them."""
    longest = max((len(words) for words, _, _ in parts), default=0)
    return [
        Frame("token", special.get(k) or template.fill(words[k]), k)
        for k in range(longest)
        for words, template, special in parts
        if k < len(words)
    ]
