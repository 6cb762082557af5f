"""From the events of a YAML parser to plain values with a place each."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml
from yaml.reader import Reader

from harness.registry.finding import Finding, Place
from harness.registry.rules import reading
from harness.registry.scalars import Scalar, resolve
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from harness.registry.rule import Path

Value = Scalar | list["Value"] | dict[str, "Value"]
"""What a source file can hold."""

MAX_DEPTH = 32
MAX_VALUES = 500_000
MAX_SHOWN = 20
"""Of one kind of bad character, so many places are listed."""

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def lines_of(text: str) -> list[str]:
    """``text`` in lines, broken where YAML 1.1 and hence PyYAML's marks break it."""
    return _LINE_BREAK.split(text)


class _Stop(Exception):  # noqa: N818  it carries no error, it ends the walk
    """The limits are reached; the finding is already made."""


class Tree:
    """Values and their places, built from PyYAML's events: nothing unknown is constructed.

    After :meth:`build`, ``root`` holds the mapping at the root, ``keys`` and ``values`` the place
    of every key and value by path. ``whole`` is False where the text could not be read to its
    end, or holds something that has no plain value; what, stands in the findings.
    """

    def __init__(
        self, file: str, text: str, findings: list[Finding], loader: Any = yaml.SafeLoader
    ) -> None:
        """Take ``text``; ``loader`` is a class with the event methods of PyYAML's loaders."""
        self.root: dict[str, Value] | None = None
        self.whole = True
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._file = file
        self._text = text
        self._findings = findings
        self._count = 0
        self._events = loader(text)

    def build(self) -> None:
        """Read the text to its end, or to the point from where it makes no sense."""
        try:
            self._document()
        except _Stop:
            self.whole = False
        except yaml.MarkedYAMLError as error:
            self.whole = False
            mark = error.problem_mark or error.context_mark or self._here()
            words = (error.context, error.problem, error.note)
            self._syntax(mark, ", ".join(word for word in words if word))
        except (yaml.YAMLError, ValueError, OverflowError):
            # PyYAML lets the last two escape for "\UFFFFFFFF" and for absurd version numbers.
            self.whole = False
            self._syntax(self._here(), "a number or an escape is out of range")
        finally:
            self._events.dispose()

    def _document(self) -> None:
        events = self._events
        events.get_event()
        if events.check_event(yaml.StreamEndEvent):
            self.whole = False
            self._findings.append(
                reading.EMPTY.at(Place(self._file, 1, 1), "The file holds no value.")
            )
            return
        events.get_event()
        root = self._value((), 0)
        events.get_event()
        if isinstance(root, dict):
            self.root = root
        elif self.whole:
            self.whole = False
            rule = reading.EMPTY if root is None else reading.NOT_A_MAPPING
            what = "null" if root is None else f"a {'list' if isinstance(root, list) else 'scalar'}"
            self._findings.append(rule.at(self.values[()], f"The root is {what}."))
        if not events.check_event(yaml.StreamEndEvent):
            self.whole = False
            place = self._place(events.peek_event())
            self._findings.append(
                reading.SEVERAL_DOCUMENTS.at(place, "A second document starts here.")
            )

    def _value(self, path: Path | None, depth: int) -> Value:
        """The next value; its place is kept unless ``path`` is None."""
        event = self._events.get_event()
        place = self._place(event)
        if path is not None:
            self.values[path] = place
        self._limits(place, depth)
        if getattr(event, "anchor", None) is not None:
            self._refuse(
                reading.ALIAS.at(place, f"The anchor or alias {quoted(event.anchor)} is used.")
            )
        if isinstance(event, yaml.AliasEvent):
            return None
        if getattr(event, "tag", None) is not None:
            self._refuse(reading.TAG.at(place, f"The tag {quoted(event.tag)} is used."))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._scalar(event, place)

    def _limits(self, place: Place, depth: int) -> None:
        self._count += 1
        if depth > MAX_DEPTH:
            message = f"Values are nested more than {MAX_DEPTH} deep."
        elif self._count > MAX_VALUES:
            message = f"The file holds more than {MAX_VALUES} values."
        else:
            return
        self._findings.append(reading.TOO_LARGE.at(place, message))
        raise _Stop

    def _mapping(self, path: Path | None, depth: int) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        first: dict[str, Place] = {}
        while not self._events.check_event(yaml.MappingEndEvent):
            place = self._place(self._events.peek_event())
            known = len(self._findings)
            key = self._value(None, depth + 1)
            if not isinstance(key, str):
                if len(self._findings) == known:  # else it has been refused already
                    message = f"The key is {_kind(key)}, not text."
                    self._refuse(reading.KEY_NOT_TEXT.at(place, message))
                self._value(None, depth + 1)
                continue
            if key in mapping:
                message = f"The key {quoted(key)} already stands in line {first[key].line}."
                self._findings.append(reading.DUPLICATE_KEY.at(place, message))
                self._value(None, depth + 1)
                continue
            first[key] = place
            below = None if path is None else (*path, key)
            if below is not None:
                self.keys[below] = place
            mapping[key] = self._value(below, depth + 1)
        self._events.get_event()
        return mapping

    def _sequence(self, path: Path | None, depth: int) -> list[Value]:
        items: list[Value] = []
        while not self._events.check_event(yaml.SequenceEndEvent):
            below = None if path is None else (*path, len(items))
            items.append(self._value(below, depth + 1))
        self._events.get_event()
        return items

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        bad = Reader.NON_PRINTABLE.search(event.value)
        if bad:
            message = f"An escape stands for U+{ord(bad.group()):04X}, which YAML forbids."
            self._refuse(reading.CONTROL_CHARACTER.at(place, message))
        return event.value if event.style else resolve(event.value)

    def _refuse(self, finding: Finding) -> None:
        """Note what has no plain value; reading goes on."""
        self.whole = False
        self._findings.append(finding)

    def _syntax(self, mark: Any, problem: str) -> None:
        lines = lines_of(self._text)
        line, column = min(mark.line, len(lines) - 1) + 1, mark.column + 1  # libyaml goes beyond
        tabs = {
            number: text.index("\t") + 1
            for number, text in enumerate(lines, start=1)
            if "\t" in text[: len(text) - len(text.lstrip())]
        }
        if line in tabs:  # then the others are no better, and would fail one after the other
            for number, where in islice(tabs.items(), MAX_SHOWN):
                place = Place(self._file, number, where)
                self._findings.append(reading.TAB.at(place, "The indentation holds a tab."))
            return
        place = Place(self._file, line, column)
        if lines[line - 1][mark.column : column] == "\t":
            message = "A tab stands where a space should."
            self._findings.append(reading.TAB.at(place, message))
        else:
            self._findings.append(reading.SYNTAX.at(place, f"YAML syntax: {problem}."))

    def _here(self) -> Any:
        """How far the reader has come; libyaml does not say."""
        get_mark = getattr(self._events, "get_mark", None)
        return get_mark() if get_mark else yaml.Mark(self._file, 0, 0, 0, None, 0)

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)


def _kind(value: Value) -> str:
    """What a YAML value is, in words."""
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "null" if value is None else "a mapping")
