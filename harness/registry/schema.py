"""Plain values in, models out; every breach of the schema at the place where it stands."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import ValidationError

from harness.registry.models import Source
from harness.registry.models.base import PATTERNS
from harness.registry.rules import shape
from harness.registry.wording import nearest, quoted, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from harness.registry.finding import Finding, Place
    from harness.registry.rule import Path
    from harness.registry.source import Document
    from harness.registry.tree import Value

Shape = TypeVar("Shape", bound=Source)

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SECRETS = {"api_key", "master_key"}


def validate(model: type[Shape], document: Document) -> tuple[Shape | None, list[Finding]]:
    """``document`` as a ``model``, or None and a finding for every breach.

    A finding never repeats a value of the file: it may be a secret in the wrong place.
    """
    try:
        return model.model_validate(document.value), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        deeper = {path[:end] for path in (d["loc"] for d in details) for end in range(len(path))}
        return None, sorted(
            _finding(model, document, detail)
            for detail in details
            # A list is not short if only its items are wrong.
            if not (detail["type"] == "too_short" and detail["loc"] in deeper)
        )


def _finding(model: type[Source], document: Document, detail: ErrorDetails) -> Finding:
    kind = detail["type"]
    on_key = detail["loc"][-1:] == ("[key]",)
    path: Path = detail["loc"][:-1] if on_key else detail["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(model, document, path)
    if kind == "missing":
        return _missing_key(model, document, path)
    value = _value_at(document.value, path)
    if kind in _KINDS:
        message = f"{_where(path)} must be {_KINDS[kind]}, not {_describe(value)}."
        remedy = _type_remedy(kind, path, value)
        return shape.WRONG_TYPE.at(document.position(path), message, remedy)
    if kind == "value_error" and isinstance(value, dict):
        message = f"{_where(path)} {detail['ctx']['error']}."
        return shape.CONFLICT.at(_entry(document, path), message)
    what = f"The key {quoted(path[-1])}" if on_key else _where(path)
    message, remedy = _bad_value(detail, value)
    return shape.WRONG_VALUE.at(document.position(path, key=on_key), f"{what} {message}.", remedy)


def _unknown_key(model: type[Source], document: Document, path: Path) -> Finding:
    known = _fields(model, path[:-1])
    message = f"The key {quoted(path[-1])} is not known{_inside(path)}."
    remedy = suggest(str(path[-1]), known)
    return shape.UNKNOWN_KEY.at(document.position(path, key=True), message, remedy)


def _missing_key(model: type[Source], document: Document, path: Path) -> Finding:
    parent = path[:-1]
    description = _fields(model, parent).get(str(path[-1]), "")
    message = f"The key {quoted(path[-1])} is missing{_inside(path)}."
    remedy = f"Add '{path[-1]}': {description}."
    return shape.MISSING_KEY.at(_entry(document, parent), message, remedy)


def _bad_value(detail: ErrorDetails, value: Value) -> tuple[str, str]:
    """Message and remedy for a value of the right type."""
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return str(context["error"]), ""
    if detail["type"] == "string_pattern_mismatch":
        return f"must be {PATTERNS[context['pattern']]}", ""
    if detail["type"] == "literal_error":
        near = nearest(str(value), re.findall(r"'([^']*)'", context["expected"]))
        return f"must be {context['expected']}", f"Did you mean {quoted(near)}?" if near else ""
    words = detail["msg"].replace(" after validation", "")
    return re.sub(r"^\w+ should", "should", words), ""


def _entry(document: Document, path: Path) -> Place:
    """Where a reader looks for the entry at ``path``: at its key, or at its '-' in a list."""
    return document.position(path, key=bool(path) and isinstance(path[-1], str))


def _where(path: Path) -> str:
    return ".".join(str(step) for step in path)[:200] or "The file"


def _inside(path: Path) -> str:
    return f" in {_where(path[:-1])}" if path[:-1] else ""


def _type_remedy(kind: str, path: Path, value: Value) -> str:
    if path and path[-1] in _SECRETS:
        return "Write {env: NAME} with the name of an environment variable that holds the secret."
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _BOOLEANS:
        return f"Write {_BOOLEANS[value.lower()]}."
    if kind in {"int_type", "float_type"} and isinstance(value, str):
        return "Write it as digits, without quotes."
    if kind == "string_type":
        return "Put it in quotes if it is meant as text."
    return ""


def _describe(value: Value) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    names: dict[type, str] = {str: "text", int: "a whole number", float: "a number", list: "a list"}
    return names.get(type(value), "a mapping")


def _value_at(value: Value, path: Path) -> Value:
    for step in path:
        try:
            value = cast("Any", value)[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _fields(model: type[Source], path: Path) -> dict[str, str]:
    """The keys known at ``path`` with their descriptions; none where it leads out of the schema."""
    annotation: Any = model
    for step in path:
        annotation = _inner(_plain(annotation), step)
    annotation = _plain(annotation)
    if not (isinstance(annotation, type) and issubclass(annotation, Source)):
        return {}
    return {name: info.description or "" for name, info in annotation.model_fields.items()}


def _plain(annotation: Any) -> Any:
    """``annotation`` without Annotated and Optional."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType}:
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation


def _inner(annotation: Any, step: str | int) -> Any:
    origin = get_origin(annotation)
    if origin is Mapping:
        return get_args(annotation)[1]
    if origin is tuple:
        return get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Source):
        info = annotation.model_fields.get(str(step))
        return info.annotation if info else None
    return None
