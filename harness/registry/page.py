"""A YAML text with its nodes found by place, and the edits that can be made to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from harness.registry.edits import Edit, Offsets
from harness.registry.scalars import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN = re.compile(r"[A-Za-z0-9_./](?:[A-Za-z0-9_./@+-]|:(?=[A-Za-z0-9_./@+-]))*")
_YAML_1_1 = re.compile(r"(?i)y|yes|n|no|on|off|[\d_:.]+|0[box]\w*|[\d_.]+e[\d+-]+")
"""What other readers of YAML take for a boolean or a number, though ours does not."""
_DASH = re.compile(r"[ ]*-[ ]+")
_BETWEEN = re.compile(r"[\s,]*")
_MOST_PARTS = 1000
_BLANK = re.compile(r"[ \t]*")
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]|\\Z")
_TO_COMMENT = re.compile(r"[ \t]+#[^\r\n\x85\u2028\u2029]*|[ \t]*")


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A node and where it hangs: in ``parent``, as a key, as the value of a key, or as an item.

    ``index`` counts the items of a list or the pairs of a mapping, from 0.
    """

    node: yaml.Node
    parent: Site | None = None
    index: int = 0
    is_key: bool = False

    def up(self) -> Iterator[Site]:
        """The site itself and those it hangs in, inside out."""
        site: Site | None = self
        while site is not None:
            yield site
            site = site.parent

    def value(self, key: str) -> Site | None:
        """The value under ``key`` of this mapping; None if there is none."""
        if isinstance(self.node, yaml.MappingNode):
            for index, (name, value) in enumerate(self.node.value):
                if name.value == key:
                    return Site(value, self, index)
        return None


class Page:
    """A text and, unless it does not parse, the tree of its nodes.

    Edits are text at places: whatever they do not name, comments and layout above all, stays as
    it is. A method that finds no edit that is certain to mean what it should returns None.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.root: Site | None = None
        self._offsets = Offsets(text)
        self._sites: dict[tuple[int, int], list[Site]] = {}
        self._aliased: set[int] = set()
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            return
        if node is not None:
            self.root = Site(node)
            self._index(self.root)

    def _index(self, root: Site) -> None:
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            site = waiting.pop()
            if id(site.node) in seen:  # an alias; its marks are those of the anchor
                self._aliased.add(id(site.node))
                continue
            seen.add(id(site.node))
            mark = site.node.start_mark
            self._sites.setdefault((mark.line + 1, mark.column + 1), []).append(site)
            waiting.extend(_below(site))

    def site(self, line: int, column: int) -> Site | None:
        """The innermost node that starts at a place, as findings count it."""
        found = self._sites.get((line, column))
        return max(found, key=lambda site: sum(1 for _ in site.up())) if found else None

    def scalar(self, line: int, column: int) -> Site | None:
        """The key or value without parts that starts at a place; None if there is none."""
        site = self.site(line, column)
        return site if site is not None and isinstance(site.node, yaml.ScalarNode) else None

    def value(self, *keys: str) -> Site | None:
        """The value that ``keys`` lead to from the root; None if there is none."""
        site = self.root
        for key in keys:
            site = site and site.value(key)
        return site

    def edit(self, start: int, end: int, replacement: str) -> Edit:
        """The edit of the text between two offsets."""
        position = self._offsets.position
        return Edit(self.file, position(start), position(end), replacement)

    def style(self, site: Site) -> str | None:
        """How a scalar is written: ``plain``, ``'`` or ``"``.

        None for blocks, for text over several lines, and where an anchor or a tag belongs to it.
        """
        source = self.text[site.node.start_mark.index : site.node.end_mark.index]
        style: str | None = getattr(site.node, "style", "|")
        if style is None:
            return "plain" if source == site.node.value != "" else None
        return style if source[:1] == style and "\n" not in source else None

    def write(self, site: Site, source: str) -> Edit | None:
        """The edit that puts ``source``, written as YAML, in place of a scalar."""
        if self.style(site) is None:
            return None
        node = site.node
        return self.edit(node.start_mark.index, node.end_mark.index, source)

    def replace(self, site: Site, value: str) -> Edit | None:
        """The edit that makes ``value`` the text of a scalar, in the quotes it has or needs."""
        if not value.isprintable():
            return None
        style = self.style(site)
        if style == "plain" and is_plain(value):
            return self.write(site, value)
        if style == '"':
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return self.write(site, f'"{escaped}"')
        quoted = value.replace("'", "''")
        return self.write(site, f"'{quoted}'")

    def drop(self, site: Site) -> Edit | None:
        """The edit that removes an item of a list, or the pair of a key, that is not the first.

        None where a comment would go with it, or where it shares its lines with something else.
        """
        if site.parent is None or site.index == 0:
            return None
        siblings = site.parent.node.value
        before, this = _pair(siblings[site.index - 1]), _pair(siblings[site.index])
        start, end = this[0].start_mark.index, self._end(this[1])
        if end is None or id(this[0]) in self._aliased:
            return None
        if _is_flow(site.parent.node):
            left = self._end(before[1])
            joined = left is not None and _BETWEEN.fullmatch(self.text, left, start)
            return self.edit(left, end, "") if left is not None and joined else None
        lead = _DASH if isinstance(site.parent.node, yaml.SequenceNode) else _BLANK
        return self._drop_lines(start, end, lead)

    def _drop_lines(self, start: int, end: int, lead: re.Pattern[str]) -> Edit | None:
        """The edit that removes the lines of ``start`` to ``end``, if nothing else is on them."""
        line = self._offsets.offset((self._offsets.position(start)[0], 1))
        rest = _BLANK.match(self.text, end)
        stop = _LINE_END.match(self.text, rest.end() if rest else end)
        alone = lead.fullmatch(self.text, line, start) and "#" not in self.text[start:end]
        if stop is None or not alone:
            return None
        if not stop.group():  # the last line has no break: take the one before it
            line -= 2 if self.text.startswith("\r\n", line - 2) else 1
        return self.edit(line, stop.end(), "")

    def add(self, site: Site, source: str) -> Edit | None:
        """The edit that adds ``source``, one ``key: value``, as the last pair of a mapping."""
        node = site.node
        if not isinstance(node, yaml.MappingNode):
            return None
        if _is_flow(node):
            if not node.value:
                return self.edit(node.start_mark.index, node.end_mark.index, f"{{{source}}}")
            end = self._end(node.value[-1][1])
            return None if end is None else self.edit(end, end, f", {source}")
        key, last = node.value[-1]
        end = self._end(last)
        rest = _TO_COMMENT.match(self.text, end) if end is not None else None
        stop = _LINE_END.match(self.text, rest.end()) if rest else None
        if rest is None or stop is None:
            return None
        line_break = stop.group() or self._line_break()
        indent = " " * key.start_mark.column
        return self.edit(rest.end(), rest.end(), f"{line_break}{indent}{source}")

    def _end(self, node: yaml.Node) -> int | None:
        """Where the text of a node ends; None where its marks do not tell.

        The end mark of a block mapping or list stands after the comments that follow it, that of
        a block scalar after its last line break, those of an alias at its anchor.
        """
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            if id(node) in self._aliased:
                return None
            node = _pair(node.value[-1])[1]
        is_block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
        return None if is_block or id(node) in self._aliased else int(node.end_mark.index)

    def _line_break(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"


def is_plain(value: str) -> bool:
    """Whether ``value`` is the same text to every reader of YAML when written without quotes."""
    return bool(
        _PLAIN.fullmatch(value)
        and isinstance(resolve(value), str)
        and not _YAML_1_1.fullmatch(value)
    )


def same(one: yaml.Node, other: yaml.Node) -> bool:
    """Whether two nodes say the same, comments, layout and quotes that do not matter aside.

    Nodes of more than a thousand parts, which aliases make of a few lines, count as different.
    """
    waiting = [(one, other)]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return True
        a, b = waiting.pop()
        if type(a) is not type(b) or a.tag != b.tag:
            return False
        if isinstance(a, yaml.ScalarNode):
            if a.value != b.value:
                return False
            continue
        parts, others = list(_parts(a)), list(_parts(b))
        if len(parts) != len(others):
            return False
        waiting.extend(zip(parts, others, strict=True))
    return False


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    in_order = isinstance(node, yaml.SequenceNode)
    for part in node.value if in_order else sorted(node.value, key=lambda pair: str(pair[0].value)):
        yield from part if isinstance(part, tuple) else (part,)


def _pair(part: yaml.Node | tuple[yaml.Node, yaml.Node]) -> tuple[yaml.Node, yaml.Node]:
    """The first and the last node of a pair of a mapping, or of an item of a list."""
    return part if isinstance(part, tuple) else (part, part)


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _below(site: Site) -> Iterator[Site]:
    if isinstance(site.node, yaml.MappingNode):
        for index, (key, value) in enumerate(site.node.value):
            yield Site(key, site, index, is_key=True)
            yield Site(value, site, index)
    elif isinstance(site.node, yaml.SequenceNode):
        for index, item in enumerate(site.node.value):
            yield Site(item, site, index)
