"""The texts in a JSON file, with the keys that lead to them and the place of each."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

Path = tuple[str | int, ...]


class Text(NamedTuple):
    """A text in a JSON file: what leads to it, what it says, and where it begins."""

    path: Path
    value: str
    offset: int


def texts(source: str) -> Iterator[Text]:
    """Every text that is a value, in order. ``source`` must be JSON; it may be nested deeply."""
    path: list[str | int] = []
    in_list: list[bool] = []
    key = False  # whether the next text is a key
    for token in _TOKEN.finditer(source):
        word = token.group()
        if word in "{[":
            in_list.append(word == "[")
            path.append(0 if word == "[" else "")
            key = word == "{"
        elif word in "}]":
            in_list.pop()
            path.pop()
        elif word == ",":
            if in_list and in_list[-1]:
                path[-1] = int(path[-1]) + 1
            key = not (in_list and in_list[-1])
        elif word == ":":
            key = False
        elif word.startswith('"'):
            value = str(json.loads(word, strict=False))
            if key:
                path[-1] = value
            else:
                yield Text(tuple(path), value, token.start())


def position(source: str, offset: int) -> tuple[int, int]:
    """Line and column of ``offset``, both from 1."""
    line = source.count("\n", 0, offset) + 1
    return line, offset - source.rfind("\n", 0, offset)
