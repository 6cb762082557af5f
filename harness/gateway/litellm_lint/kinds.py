"""Whether a value fits the annotation LiteLLM gives its key."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS = {
    "boolean": "a switch",
    "number": "a number",
    "whole": "a whole number",
    "text": "text",
    "list": "a list",
    "mapping": "a mapping",
    "date": "a date",
    "null": "nothing",
}
_NAMES = {
    "bool": "boolean",
    "int": "whole",
    "float": "number",
    "str": "text",
    **dict.fromkeys(("list", "List", "Sequence", "Set", "set", "tuple", "Tuple"), "list"),
    **dict.fromkeys(("dict", "Dict", "Mapping"), "mapping"),
}
_UNWRAPPED = {"Optional", "Union", "Required", "Annotated"}


@dataclass(frozen=True)
class Kinds:
    """What an annotation allows: kinds of values, and the words if it lists them.

    ``open`` where it names something that cannot be judged from here.
    """

    kinds: frozenset[str]
    words: tuple[str, ...] = ()
    open: bool = False

    def __or__(self, other: Kinds) -> Kinds:
        return Kinds(self.kinds | other.kinds, self.words + other.words, self.open or other.open)


_OPEN = Kinds(frozenset(), open=True)


def kind_of(value: Any) -> str:
    """The kind of a value as YAML gave it."""
    if value is None:
        return "null"
    for kind, types in (
        ("boolean", bool),
        ("whole", int),
        ("number", float),
        ("text", str),
        ("list", list),
        ("mapping", dict),
    ):
        if isinstance(value, types):
            return kind
    return "date"


def words_for(value: Any) -> str:
    """What a value is, in words."""
    return WORDS[kind_of(value)]


@lru_cache(maxsize=4096)
def _parsed(annotation: str) -> ast.expr | None:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None


def allowed(annotation: str, choices: Mapping[str, list[str]]) -> Kinds:
    """What ``annotation`` allows; ``choices`` gives the words behind a name."""
    node = _parsed(annotation) if annotation else None
    return _OPEN if node is None else _allowed(node, choices)


def _allowed(node: ast.expr, choices: Mapping[str, list[str]]) -> Kinds:  # noqa: PLR0911
    if isinstance(node, ast.Constant):
        if node.value is None:
            return Kinds(frozenset({"null"}))
        return allowed(node.value, choices) if isinstance(node.value, str) else _OPEN
    if isinstance(node, ast.BinOp):
        return _allowed(node.left, choices) | _allowed(node.right, choices)
    if isinstance(node, ast.Name):
        return _named(node.id, choices)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        name = node.value.id
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Literal":
            return Kinds(frozenset({"text"}), tuple(ast.literal_eval(each) for each in inner))
        if name in _UNWRAPPED:
            found = Kinds(frozenset({"null"} if name == "Optional" else ()))
            for each in inner:
                found |= _allowed(each, choices)
            return found
        items = [_allowed(each, choices) for each in inner]
        words = items[0].words if len(items) == 1 else ()
        return Kinds(_named(name, {}).kinds, words, _named(name, {}).open)
    return _OPEN


def _named(name: str, choices: Mapping[str, list[str]]) -> Kinds:
    if name in choices:  # a word, or a list of them
        return Kinds(frozenset({"text", "list"}), tuple(choices[name]))
    return Kinds(frozenset({_NAMES[name]})) if name in _NAMES else _OPEN


def misfit(value: Any, kinds: Kinds, *, lenient: bool) -> str:
    """How ``value`` differs from what is allowed, as "text, not a number"; nothing if it fits.

    ``lenient`` where LiteLLM converts text: ``"30"`` is a number then, and ``"true"`` a boolean.
    """
    found = kind_of(value)
    if kinds.open or found == "null" or found in kinds.kinds:
        return ""
    numbers = kinds.kinds & {"whole", "number"}
    if found == "whole" and numbers:
        return ""
    if found == "number" and numbers and float(value).is_integer():
        return ""
    if found == "text" and lenient and _reads_as(value, kinds.kinds):
        return ""
    wanted = " or ".join(WORDS[kind] for kind in sorted(kinds.kinds - {"null"}))
    return f"{words_for(value)}, not {wanted}"


def _reads_as(text: str, kinds: frozenset[str]) -> bool:
    if "boolean" in kinds and text.strip().lower() in {"true", "false", "1", "0", "yes", "no"}:
        return True
    if not kinds & {"whole", "number"}:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True
