"""Regular expressions as a route may use them: read by us, matched in linear time, written out.

A gateway that knows only names and prefixes can follow a regular expression where that stands
for some names and some prefixes; :meth:`Language.outlines` says which. Matching simulates an
automaton (Thompson, "Regular Expression Search Algorithm", CACM 1968), so no expression can
keep the reader busy, as ``(a+)+b`` would keep one that backtracks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH = 20
MAX_STEPS = 2_000
"""So large may the automaton be, which bounds the time and the memory of everything here."""
MAX_OUTLINES = 200
"""A regular expression that stands for more names is not written out."""

Outline = tuple[str, bool]
"""A name, and whether it is open: then every name that starts with it is meant."""

_CLASSES = {"d": (("0", "9"),), "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))}
_SPECIAL = frozenset(r"\[](){}|?*+.^$")


class RegexError(ValueError):
    """A regular expression that cannot stand for names; the text says what is wrong where."""


@dataclass(frozen=True, slots=True)
class _Letters:
    """One character: in any of the ranges, or in none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def holds(self, letter: str) -> bool:
        return any(low <= letter <= high for low, high in self.ranges) is not self.negated


_ANY = _Letters((), negated=True)


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: _Node
    low: int
    high: int | None


_Node = _Letters | _Choice | _Row | _Repeat


class Language:
    """The names a regular expression stands for: those it matches from first to last letter."""

    def __init__(self, text: str) -> None:
        """Read ``text``. Raises `RegexError`."""
        self.text = text
        self._node = _Parser(text).parse()
        self._steps = 0
        self._letters: list[_Letters | None] = [None]  # state 0 accepts
        self._next: list[tuple[int, ...]] = [()]
        self._start = self._build(self._node, 0)

    def matches(self, name: str) -> bool:
        """Whether the whole of ``name`` is matched, in time proportional to its length."""
        states = self._closure([self._start])
        for letter in name:
            states = self._closure(
                target
                for state in states
                if (letters := self._letters[state]) is not None and letters.holds(letter)
                for target in self._next[state]
            )
            if not states:
                return False
        return 0 in states

    def outlines(self) -> tuple[Outline, ...] | None:
        """The names and prefixes it stands for, sorted; None where there are no such.

        ``a(b|c)`` stands for two names, ``a.*`` for all that start with ``a``; ``a.*b``, ``a.+``
        and ``a+`` for neither, nor does what stands for more than `MAX_OUTLINES`.
        """
        found = _outlines(self._node)
        if found is None:
            return None
        prefixes = [text for text, is_open in found if is_open]
        return tuple(
            (text, is_open)
            for text, is_open in sorted(found)
            if not any(
                text.startswith(prefix) and (text != prefix or not is_open) for prefix in prefixes
            )
        )

    def _closure(self, states: Iterable[int]) -> set[int]:
        """``states`` and whatever is reached from them without a letter."""
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state not in found:
                found.add(state)
                if self._letters[state] is None:
                    waiting += self._next[state]
        return found

    def _state(self, letters: _Letters | None, *following: int) -> int:
        self._letters.append(letters)
        self._next.append(following)
        return len(self._letters) - 1

    def _build(self, node: _Node, after: int) -> int:
        """The state where matching ``node`` and then going on at ``after`` begins."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RegexError("repeats too much: write a shorter {m,n}, or '*'")
        if isinstance(node, _Letters):
            return self._state(node, after)
        if isinstance(node, _Row):
            for part in reversed(node.parts):
                after = self._build(part, after)
            return after
        if isinstance(node, _Choice):
            return self._state(None, *[self._build(option, after) for option in node.options])
        if node.high is None:
            loop = self._state(None)
            self._next[loop] = (self._build(node.part, loop), after)
            after = loop
        for _ in range((node.high or node.low) - node.low):
            after = self._state(None, self._build(node.part, after), after)
        for _ in range(node.low):
            after = self._build(node.part, after)
        return after


@lru_cache(maxsize=1024)
def language(text: str) -> Language:
    """The language of a regular expression, read once. Raises `RegexError`."""
    return Language(text)


@lru_cache(maxsize=4096)
def _outlines(node: _Node) -> frozenset[Outline] | None:
    if isinstance(node, _Letters):
        size = sum(ord(high) - ord(low) + 1 for low, high in node.ranges)
        if node.negated or size > MAX_OUTLINES:
            return None
        return frozenset(
            (chr(code), False)
            for low, high in node.ranges
            for code in range(ord(low), ord(high) + 1)
        )
    if isinstance(node, _Row):
        return _in_a_row(node.parts)
    if isinstance(node, _Choice):
        return _united(_outlines(option) for option in node.options)
    if node.high is None:
        return frozenset({("", True)}) if node == _Repeat(_ANY, 0, None) else None
    counts = range(node.low, node.high + 1)
    return _united(_in_a_row((node.part,) * count) for count in counts)


def _united(each: Iterable[frozenset[Outline] | None]) -> frozenset[Outline] | None:
    union: frozenset[Outline] = frozenset()
    for found in each:
        if found is None or len(union := union | found) > MAX_OUTLINES:
            return None
    return union


def _in_a_row(parts: tuple[_Node, ...]) -> frozenset[Outline] | None:
    found: frozenset[Outline] = frozenset({("", False)})
    for part in parts:
        if any(is_open for _, is_open in found):
            if all(is_open for _, is_open in found) and _nullable(part):
                continue  # after ".*" it adds nothing
            return None
        ends = _outlines(part)
        if ends is None or len(found) * len(ends) > MAX_OUTLINES:
            return None
        found = frozenset(
            (head + tail, is_open) for (head, _), (tail, is_open) in product(found, ends)
        )
    return found


def _nullable(node: _Node) -> bool:
    if isinstance(node, _Letters):
        return False
    if isinstance(node, _Row):
        return all(_nullable(part) for part in node.parts)
    if isinstance(node, _Choice):
        return any(_nullable(option) for option in node.options)
    return node.low == 0 or _nullable(node.part)


class _Parser:
    """Recursive descent over the grammar ``choice := row ('|' row)*``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> _Node:
        node = self._choice(0)
        if self._at < len(self._text):
            raise self._error("nothing it would close")
        return node

    def _error(self, problem: str) -> RegexError:
        shown = self._text[self._at : self._at + 3] or "the end"
        return RegexError(
            f"is not a regular expression a route can use: at {shown!r}, letter {self._at + 1}, "
            f"{problem} (known are letters, \\d, \\w, '.', [a-z], (a|b), ?, *, + and {{m,n}})"
        )

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _choice(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._error("groups are nested too deep")
        options = [self._row(depth)]
        while self._take("|"):
            options.append(self._row(depth))
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _row(self, depth: int) -> _Node:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else _Row(tuple(parts))

    def _atom(self, depth: int) -> _Node:
        if self._take("("):
            if not self._take("?:") and self._peek() == "?":
                raise self._error("only plain groups and (?:...) are known")
            inner = self._choice(depth + 1)
            if not self._take(")"):
                raise self._error("the group is not closed")
            return inner
        if self._take("["):
            return self._class()
        if self._take("."):
            return _ANY
        return self._single()

    def _single(self) -> _Letters:
        letter = self._peek()
        if letter == "\\":
            self._at += 1
            letter = self._peek()
            if letter in _CLASSES:
                self._at += 1
                return _Letters(_CLASSES[letter])
            if not letter or letter.isalnum():
                raise self._error("this escape is not known")
        elif letter in {"^", "$"}:
            raise self._error("the whole name is always matched, so no anchor is needed")
        elif letter in _SPECIAL:
            raise self._error("a letter is expected")
        self._at += 1
        return _Letters(((letter, letter),))

    def _class(self) -> _Letters:
        negated = self._take("^")
        ranges: list[tuple[str, str]] = []
        while not self._take("]"):
            if not self._peek():
                raise self._error("the class is not closed")
            low = self._single() if self._peek() == "\\" else self._plain()
            to_end = self._text[self._at : self._at + 2]
            if len(low.ranges) == 1 and to_end.startswith("-") and to_end != "-]":
                self._at += 1
                high = self._single() if self._peek() == "\\" else self._plain()
                first, last = low.ranges[0][0], high.ranges[-1][1]
                if first > last:
                    raise self._error("the range runs backwards")
                ranges.append((first, last))
            else:
                ranges += low.ranges
        if not ranges:
            raise self._error("the class is empty")
        return _Letters(tuple(ranges), negated=negated)

    def _plain(self) -> _Letters:
        letter = self._peek()
        if letter in {"", "["}:
            raise self._error("a letter is expected")
        self._at += 1
        return _Letters(((letter, letter),))

    def _repeated(self, node: _Node) -> _Node:
        for sign, low, high in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self._take(sign):
                node = _Repeat(node, low, high)
                break
        else:
            if self._take("{"):
                node = _Repeat(node, *self._bounds())
        if self._peek() in {"?", "*", "+", "{"}:
            raise self._error("a repetition cannot be repeated or made lazy")
        return node

    def _bounds(self) -> tuple[int, int]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        bounds = (low, high if comma else low)
        if not all(bound.isascii() and bound.isdigit() and len(bound) <= 3 for bound in bounds):
            raise self._error("write {m} or {m,n} with numbers of up to three digits")
        first, last = int(bounds[0]), int(bounds[1])
        if first > last:
            raise self._error("the bounds run backwards")
        self._at = end + 1
        return first, last
