"""Plain values to YAML as people write it, with the place of everything written.

The places are counted while writing, so they are a second opinion on those of the reader.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.registry import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry.rule import Path

System = dict[str, dict[str, Any]]
"""The plain values of the source files, by file name."""

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._:/@+*-]*(?<!:)")
_WORDS = {"null", "true", "false"}


@dataclass(frozen=True, slots=True)
class Style:
    """How the same values are written down.

    ``flow`` is the depth from which ``{}`` and ``[]`` are used. ``order`` is the seed by which
    the keys of mappings are shuffled, None to keep them. ``comments`` adds comments and blank
    lines, ``quotes`` quotes every text.
    """

    flow: int = 3
    comments: bool = False
    quotes: bool = False
    order: int | None = None


@dataclass(slots=True)
class Page:
    """One written file: its text, and the place of each key and value by path."""

    file: str
    text: str = ""
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)


def write(system: System, style: Style | None = None) -> dict[str, Page]:
    """Every source file as a page, by file name."""
    return {name: _Pen(name, style or Style()).page(values) for name, values in system.items()}


def source_bytes(pages: Mapping[str, Page]) -> dict[str, bytes]:
    """The pages as :func:`harness.registry.examine` takes them."""
    return {name: page.text.encode() for name, page in pages.items()}


class _Pen:
    """Writes one page, and knows where it is."""

    def __init__(self, file: str, style: Style) -> None:
        self._page = Page(file)
        self._style = style
        self._random = random.Random(style.order)  # noqa: S311  a layout is no secret
        self._parts: list[str] = []
        self._line = self._column = 1

    def page(self, values: dict[str, Any]) -> Page:
        if self._style.comments:
            self._put("# What follows is written by hand.\n\n# The first key:\n")
        self._page.values[()] = self._here()
        self._block(values, (), 0)
        self._page.text = "".join(self._parts)
        return self._page

    def _here(self) -> Place:
        return Place(self._page.file, self._line, self._column)

    def _put(self, text: str) -> None:
        self._parts.append(text)
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)

    def _items(self, mapping: dict[str, Any]) -> list[tuple[str, Any]]:
        items = list(mapping.items())
        if self._style.order is not None:
            self._random.shuffle(items)
        return items

    def _block(self, value: dict[str, Any] | list[Any], path: Path, indent: int) -> None:
        """A mapping or list from a fresh line on, or right after a dash."""
        entries: list[tuple[str | int, Any]] = (
            list(self._items(value)) if isinstance(value, dict) else list(enumerate(value))
        )
        for number, (step, item) in enumerate(entries):
            if number:
                self._put(" " * indent)
            below = (*path, step)
            if isinstance(step, str):
                self._page.keys[below] = self._here()
                self._put(f"{self._scalar(step)}:")
            else:
                self._put("-")
            self._item(item, below, indent + 2, compact=isinstance(step, int))

    def _item(self, item: Any, path: Path, indent: int, *, compact: bool) -> None:
        """What stands after ``key:`` or ``-``, up to the end of its last line."""
        if isinstance(item, dict | list) and item and len(path) < self._style.flow:
            # A mapping may start beside its dash; after a key it needs a line of its own.
            self._put(" " if compact else "\n" + " " * indent)
            self._page.values[path] = self._here()
            self._block(item, path, indent)
            return
        self._put(" ")
        self._flow(item, path)
        self._put("  # as agreed\n" if self._style.comments else "\n")

    def _flow(self, item: Any, path: Path) -> None:
        self._page.values[path] = self._here()
        if isinstance(item, dict):
            self._put("{")
            for number, (key, value) in enumerate(self._items(item)):
                self._put(", " if number else "")
                self._page.keys[(*path, key)] = self._here()
                self._put(f"{self._scalar(key)}: ")
                self._flow(value, (*path, key))
            self._put("}")
        elif isinstance(item, list):
            self._put("[")
            for number, value in enumerate(item):
                self._put(", " if number else "")
                self._flow(value, (*path, number))
            self._put("]")
        else:
            self._put(self._scalar(item))

    def _scalar(self, value: Any) -> str:
        if not isinstance(value, str):
            return json.dumps(value)
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain and not self._style.quotes else json.dumps(value)
