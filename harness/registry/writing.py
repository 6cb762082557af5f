"""Plain values to source text with comments, written the way our reader reads it.

PyYAML quotes for YAML 1.1 and drops comments; a file a person is to go on with needs both
right: text that :mod:`harness.registry.scalars` reads back as the same value, and a sentence
beside each value somebody must still look at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from yaml.nodes import ScalarNode
from yaml.reader import Reader
from yaml.resolver import Resolver

from harness.registry.scalars import Scalar, resolve

WIDTH = 100
"""Longest line of a flow collection or a comment."""

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+@:*-]*")
"""Text that needs no quotes wherever it stands, as long as no ``:`` ends it and no number is it."""

_RESOLVER: Any = Resolver()  # its methods carry no types
"""PyYAML's view of YAML 1.1: what it takes for something else is quoted, to be the same to all."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A value and what to say of it: ``note`` above it, ``behind`` at the end of its line.

    ``behind`` is kept for scalars and flow collections; on a block it goes above.
    """

    value: Node
    note: str = ""
    behind: str = ""


Node = Scalar | Noted | Sequence["Node"] | Mapping[str, "Node"]
"""What can be written: the values a source file can hold, some of them with a note."""


def document(root: Mapping[str, Node], *, header: str = "") -> str:
    """The text of a whole file: ``header`` as a comment, then ``root`` as a block mapping.

    Reading it gives ``root`` without its notes. Text that YAML forbids is written as an escape,
    which our reader refuses too: nothing unreadable passes for something else.
    """
    lines = _comment(header, 0)
    for key, node in root.items():
        lines += [""] if lines else []
        lines += _entry(f"{scalar(key)}:", node, 0)
    return "".join(f"{line}\n" for line in lines)


def scalar(value: Scalar) -> str:
    """One scalar as YAML, in quotes where anybody might read it as something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    plain = _PLAIN.fullmatch(value) and not value.endswith(":") and resolve(value) == value
    return value if plain and _is_text(value) else json.dumps(value, ensure_ascii=False)


def _is_text(value: str) -> bool:
    return bool(_RESOLVER.resolve(ScalarNode, value, (True, False)).endswith(":str"))


def _number(value: float) -> str:
    """A float always with a point or an exponent our reader knows, a whole one without ``.0``."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))


def _entry(head: str, node: Node, indent: int) -> list[str]:
    """The lines of ``head`` (a key and its colon, or a dash) and what belongs to it."""
    note, behind = "", ""
    if isinstance(node, Noted):
        note, behind, node = node.note, node.behind, node.value
    margin = " " * indent
    flow = _flow(node)
    if flow is not None and len(margin) + len(head) + 1 + len(flow) <= WIDTH:
        line = f"{margin}{head} {flow}"
        if behind and len(line) + 4 + len(behind) > WIDTH:
            note, behind = "\n".join(filter(None, (note, behind))), ""
        return [*_comment(note, indent), line + (f"  # {behind}" if behind else "")]
    lines = _comment("\n".join(filter(None, (note, behind))), indent)
    if head == "-":
        first, *rest = _block(node, indent + 2)
        return [*lines, f"{margin}- {first.lstrip()}", *rest]
    return [*lines, f"{margin}{head}", *_block(node, indent + 2)]


def _block(node: Node, indent: int) -> list[str]:
    if isinstance(node, Mapping):
        return [
            line for key, value in node.items() for line in _entry(f"{scalar(key)}:", value, indent)
        ]
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [line for value in node for line in _entry("-", value, indent)]
    return [" " * indent + (_flow(node) or "null")]


def _flow(node: Node) -> str | None:
    """``node`` on one line, or None where it holds a note or is more than a line should hold."""
    if isinstance(node, Noted):
        return None
    if isinstance(node, Mapping):
        parts = [
            f"{scalar(key)}: {inner}"
            for key, value in node.items()
            if (inner := _flow(value)) is not None and not isinstance(value, Mapping)
        ]
        return "{" + ", ".join(parts) + "}" if len(parts) == len(node) <= _FLOW_KEYS else None
    if isinstance(node, Sequence) and not isinstance(node, str):
        items = [inner for value in node if (inner := _flow(value)) is not None]
        whole = len(items) == len(node) and not any(isinstance(v, Mapping) for v in node)
        return "[" + ", ".join(items) + "]" if whole else None
    return scalar(node)


_FLOW_KEYS = 5
"""A mapping with more keys is easier to read with a line for each."""


def _comment(text: str, indent: int) -> list[str]:
    """``text`` as comment lines; its own line ends are kept."""
    width = WIDTH - indent - 2
    text = Reader.NON_PRINTABLE.sub("?", text)  # it may quote what a server said of itself
    return [
        f"{' ' * indent}# {line}".rstrip()
        for paragraph in text.splitlines()
        for line in wrap(paragraph, width) or [""]
    ]
