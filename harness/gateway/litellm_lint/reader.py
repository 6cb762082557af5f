"""A LiteLLM file as LiteLLM itself would read it, with the place of every key and value.

LiteLLM reads with PyYAML's ``safe_load``: YAML 1.1, so ``yes`` is true, ``2024-10-21`` a date and
``1e3`` text; anchors, aliases and merge keys are allowed; of two equal keys the last wins. The
same holds here, but equal keys are reported, and depth and number of values are bounded, aliases
counted as often as they are used.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import yaml
from yaml.composer import Composer
from yaml.reader import Reader

from harness.registry.finding import Finding, Place
from harness.registry.rules import reading
from harness.registry.source import MAX_BYTES, Document, read
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.rule import Path

MAX_SLOW = 256 * 1024
"""Larger files are read by libyaml, where there is one."""
MAX_DEPTH = 64
MAX_VALUES = 500_000
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp"))
_MERGE = f"{_TAG}merge"
_STRICTER = {reading.ALIAS.id, reading.TAG.id, reading.KEY_NOT_TEXT.id}
"""What the sources may not hold and a LiteLLM file may, or what is reported here anyway."""

_UNREADABLE = {
    rule.id
    for rule in (
        *(reading.SYNTAX, reading.TAB, reading.SEVERAL_DOCUMENTS, reading.TOO_LARGE),
        *(reading.EMPTY, reading.NOT_A_MAPPING, reading.CONTROL_CHARACTER),
    )
}


class _TooLarge(Exception):  # noqa: N818  it carries no error, it ends the walk
    def __init__(self, node: Any, what: str) -> None:
        super().__init__(what)
        self.line, self.column = node.start_mark.line + 1, node.start_mark.column + 1


class _Bounded(Composer):
    """Composes nodes as PyYAML does, but does not follow nesting for ever."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            event = cast("Any", self).peek_event()
            raise _TooLarge(event, f"Values are nested more than {MAX_DEPTH} deep.")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Exact(_Bounded, yaml.SafeLoader):
    """What LiteLLM itself uses."""


_FAST: Any = _Exact
if yaml.__with_libyaml__:

    class _Libyaml(_Bounded, yaml.CSafeLoader):
        """The same from libyaml's events, ten times as fast.

        The tag of a scalar depends on its text alone, and a large file repeats most of its words.
        """

        def __init__(self, stream: str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            Composer.__init__(self)
            self._tags: dict[tuple[str, tuple[bool, bool]], str] = {}

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            untyped: Any = super()
            if kind is not yaml.ScalarNode:
                return untyped.resolve(kind, value, implicit)
            tag = self._tags.get((value, implicit))
            if tag is None:
                tag = self._tags[value, implicit] = untyped.resolve(kind, value, implicit)
            return tag

    _FAST = _Libyaml


def read_yaml(file: str, data: bytes) -> Document:
    """Read ``data`` as the LiteLLM file ``file``. Never raises: what is wrong is in ``findings``.

    ``value`` is None where nothing useful could be read.
    """
    text = _text(data)
    if text is None:
        return read(file, data)
    walk = _Walk(file)
    loader = (_FAST if len(data) > MAX_SLOW else _Exact)(text)
    try:
        with _uncollected():
            node = loader.get_single_node()
            if node is not None:
                walk.root = walk.value(loader, node, (), 0)
    except _TooLarge as error:
        place = Place(file, error.line, error.column)
        return Document(file, findings=(reading.TOO_LARGE.at(place, str(error)),))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return _unread(file, data, error)
    finally:
        loader.dispose()
    if data.startswith(b"\xef\xbb\xbf"):
        message = "The file starts with U+FEFF."
        walk.findings.append(reading.BYTE_ORDER_MARK.at(Place(file, 1, 1), message))
    if not isinstance(walk.root, dict):
        empty = walk.root is None
        message = "The file holds no value." if empty else "The root is not a mapping."
        rule = reading.EMPTY if empty else reading.NOT_A_MAPPING
        place = walk.values.get((), Place(file, 1, 1))
        remedy = "Start the file with its first key, such as 'model_list:'."
        return Document(file, findings=(*walk.findings, rule.at(place, message, remedy)))
    keys, values = MappingProxyType(walk.keys), MappingProxyType(walk.values)
    return Document(file, walk.root, tuple(sorted(walk.findings)), keys, values)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector: a tree of nodes has no cycles, and is walked again at every turn."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _text(data: bytes) -> str | None:
    """The text, or None where the stricter reader has to say what is wrong with the bytes."""
    if len(data) > MAX_BYTES:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if Reader.NON_PRINTABLE.search(text) else text


def _unread(file: str, data: bytes, error: Exception) -> Document:
    """What the stricter reader says about text that is no YAML; it words it and finds tabs."""
    findings = [each for each in read(file, data).findings if each.rule not in _STRICTER]
    if not any(each.rule in _UNREADABLE for each in findings):
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        what = getattr(error, "problem", None) or "a number or a date is out of range"
        findings.append(reading.SYNTAX.at(place, f"YAML syntax: {what}."))
    return Document(file, findings=tuple(findings))


class _Walk:
    """From PyYAML's nodes to values and places; an alias is walked wherever it is used."""

    def __init__(self, file: str) -> None:
        self.root: Any = None
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.findings: list[Finding] = []
        self._file = file
        self._count = 0
        self._scalars: dict[tuple[str, str], Any] = {}

    def value(self, loader: Any, node: yaml.Node, path: Path, depth: int) -> Any:
        self._limits(node, depth)
        self.values[path] = self._place(node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(loader, node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [
                self.value(loader, each, (*path, index), depth + 1)
                for index, each in enumerate(node.value)
            ]
        if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN:
            return self._scalar(loader, node)
        message = f"The tag {quoted(node.tag)} is used."
        self.findings.append(reading.TAG.at(self._place(node), message))
        return None

    def _mapping(
        self, loader: Any, node: yaml.MappingNode, path: Path, depth: int
    ) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        own: dict[str, Place] = {}
        for merged in (each for key, each in node.value if key.tag == _MERGE):
            sources = merged.value if isinstance(merged, yaml.SequenceNode) else [merged]
            for source in reversed(sources):  # the first of several wins
                mapping |= self._merged(loader, source, path, depth)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self._key(loader, key_node)
            if key is None:
                continue
            place = self._place(key_node)
            if key in own:
                message = f"The key {quoted(key)} already stands in line {own[key].line}."
                self.findings.append(reading.DUPLICATE_KEY.at(place, message))
            own[key] = place
            self.keys[*path, key] = place
            mapping[key] = self.value(loader, value_node, (*path, key), depth + 1)
        return mapping

    def _merged(self, loader: Any, source: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        if isinstance(source, yaml.MappingNode):
            self._limits(source, depth)
            return self._mapping(loader, source, path, depth + 1)
        message = "YAML syntax: '<<' takes a mapping, or a list of mappings."
        self.findings.append(reading.SYNTAX.at(self._place(source), message))
        return {}

    def _key(self, loader: Any, node: yaml.Node) -> str | None:
        plain = isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN
        key = self._scalar(loader, node) if plain else None
        if isinstance(key, str):
            return key
        message = "The key is not text." if plain else "The key is a list or a mapping."
        self.findings.append(reading.KEY_NOT_TEXT.at(self._place(node), message))
        return None

    def _scalar(self, loader: Any, node: yaml.Node) -> Any:
        """The value of a plain scalar; all of these are immutable, so equal ones may be shared."""
        known = self._scalars.get((node.tag, node.value), self)
        if known is self:
            known = self._scalars[node.tag, node.value] = loader.construct_object(node)
        return known

    def _limits(self, node: yaml.Node, depth: int) -> None:
        """Every walk over a node counts, also where an alias or a merge key repeats it."""
        self._count += 1
        if depth > MAX_DEPTH:
            raise _TooLarge(node, "An alias leads into itself, or values are nested too deep.")
        if self._count > MAX_VALUES:
            raise _TooLarge(node, f"The file holds more than {MAX_VALUES} values.")

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)
