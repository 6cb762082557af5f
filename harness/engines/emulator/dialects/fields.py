"""How pydantic refuses a request body: the errors that FastAPI servers tell, word for word.

Follows pydantic 2 in lax mode (errors.pydantic.dev): a number in a string is a number, and
"yes" is true. A union lists the errors of each of its members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Location = tuple[str | int, ...]

_TRUE = {"1", "on", "t", "true", "y", "yes"}
_FALSE = {"0", "off", "f", "false", "n", "no"}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One pydantic error, in the order of its own keys."""

    type: str
    loc: Location
    msg: str
    input: Any
    ctx: dict[str, Any] | None = None

    def told(self) -> dict[str, Any]:
        """As ``ValidationError.errors()`` has it."""
        plain = {"type": self.type, "loc": self.loc, "msg": self.msg, "input": self.input}
        return plain if self.ctx is None else {**plain, "ctx": self.ctx}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request model.

    ``kind`` is float, int, bool, str, dict, list, model (a nested model), strings (a text or a
    list of texts), prompt, or messages. ``members`` are the names that the members of a union
    have in locations: empty where the server leaves them out.
    """

    name: str
    kind: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    literals: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    roles: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For messages: the members of the union, each with its required keys."""
    last: str = ""
    """For messages: the member that is a model and no typed dictionary."""


def check(body: dict[str, Any], fields: Iterable[Field]) -> tuple[dict[str, Any], list[Flaw]]:
    """The body with its values converted, and what is wrong with it."""
    taken, flaws = dict(body), []
    for field in fields:
        loc: Location = ("body", field.name)
        value = body.get(field.name)
        if field.name not in body and field.required:
            flaws.append(Flaw("missing", loc, "Field required", body))
        if value is None and not (field.required and field.name in body):
            continue
        found = list(_flaws(field, value, loc))
        flaws += found
        if not found:
            taken[field.name] = _converted(field.kind, value)
    return taken, flaws


def _flaws(field: Field, value: Any, loc: Location) -> Iterator[Flaw]:
    told = {
        "float": _float,
        "int": _int,
        "bool": _bool,
        "str": _str,
        "dict": _dict,
        "list": _list,
        "model": _model,
    }.get(field.kind)
    if field.literals:
        yield from _literal(field, value, loc)
    elif told is not None:
        yield from told(value, loc)
        number = _number(value)
        if number is not None and not isinstance(value, str):
            yield from _range(field, value, number, loc)
    elif field.kind in {"strings", "prompt"}:
        yield from _strings(field, value, loc)
    elif field.kind == "messages":
        yield from _messages(field, value, loc)


def _float(value: Any, loc: Location) -> Iterator[Flaw]:
    if isinstance(value, str):
        if _number(value) is None:
            text = "Input should be a valid number, unable to parse string as a number"
            yield Flaw("float_parsing", loc, text, value)
    elif not isinstance(value, int | float):
        yield Flaw("float_type", loc, "Input should be a valid number", value)


def _int(value: Any, loc: Location) -> Iterator[Flaw]:
    if isinstance(value, str):
        number = _number(value)
        if number is None or number != int(number):
            text = "Input should be a valid integer, unable to parse string as an integer"
            yield Flaw("int_parsing", loc, text, value)
    elif isinstance(value, float) and value != int(value):
        text = "Input should be a valid integer, got a number with a fractional part"
        yield Flaw("int_from_float", loc, text, value)
    elif not isinstance(value, int | float):
        yield Flaw("int_type", loc, "Input should be a valid integer", value)


def _bool(value: Any, loc: Location) -> Iterator[Flaw]:
    if isinstance(value, bool):
        return
    if isinstance(value, str | int | float):
        if str(value).lower() not in _TRUE | _FALSE and value not in (0, 1):
            text = "Input should be a valid boolean, unable to interpret input"
            yield Flaw("bool_parsing", loc, text, value)
    else:
        yield Flaw("bool_type", loc, "Input should be a valid boolean", value)


def _str(value: Any, loc: Location) -> Iterator[Flaw]:
    if not isinstance(value, str):
        yield Flaw("string_type", loc, "Input should be a valid string", value)


def _dict(value: Any, loc: Location) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        yield Flaw("dict_type", loc, "Input should be a valid dictionary", value)


def _list(value: Any, loc: Location) -> Iterator[Flaw]:
    if not isinstance(value, list):
        yield Flaw("list_type", loc, "Input should be a valid list", value)


def _model(value: Any, loc: Location) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        yield Flaw("model_attributes_type", loc, text, value)


def _literal(field: Field, value: Any, loc: Location) -> Iterator[Flaw]:
    if value in field.literals:
        return
    *first, last = [f"'{each}'" for each in field.literals]
    expected = f"{', '.join(first)} or {last}" if first else last
    yield Flaw("literal_error", loc, f"Input should be {expected}", value, {"expected": expected})


def _range(field: Field, value: Any, number: float, loc: Location) -> Iterator[Flaw]:
    kind = float if field.kind == "float" else int
    if field.low is not None and number < field.low:
        text = f"Input should be greater than or equal to {field.low:g}"
        yield Flaw("greater_than_equal", loc, text, value, {"ge": kind(field.low)})
    if field.high is not None and number > field.high:
        text = f"Input should be less than or equal to {field.high:g}"
        yield Flaw("less_than_equal", loc, text, value, {"le": kind(field.high)})


def _strings(field: Field, value: Any, loc: Location) -> Iterator[Flaw]:
    """``str | list[str]``; ``prompt`` takes lists of numbers too."""
    if isinstance(value, str):
        return
    items = value if isinstance(value, list) else None
    if items is not None and all(isinstance(each, str) for each in items):
        return
    text, listed = field.members or ("", "")
    if field.kind == "prompt" and not field.members:
        if items is None:  # list[int], list[list[int]], str, list[str]
            yield from _list(value, loc)
            yield from _list(value, loc)
            yield from _str(value, loc)
            yield from _list(value, loc)
        return
    yield from _str(value, (*loc, text) if text else loc)
    place = (*loc, listed) if listed else loc
    if items is None:
        yield from _list(value, place)
        return
    for at, each in enumerate(items):
        yield from _str(each, (*place, at))


def _messages(field: Field, value: Any, loc: Location) -> Iterator[Flaw]:
    """A list of typed dictionaries, told apart by their role."""
    yield from _list(value, loc)
    for at, item in enumerate(value if isinstance(value, list) else ()):
        place = (*loc, at)
        if not isinstance(item, dict):
            for name, _ in field.roles:
                told = _model if name == field.last else _dict
                yield from told(item, (*place, name))
            continue
        content = item.get("content")
        if isinstance(item.get("role"), str) and isinstance(content, str | list | None):
            continue
        for name, keys in field.roles:
            for key in keys:
                if key not in item:
                    yield Flaw("missing", (*place, name, key), "Field required", item)
                elif key == "role":
                    yield from _str(item["role"], (*place, name, key))
            if not isinstance(content, str | list | None):
                yield from _str(content, (*place, name, "content"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _converted(kind: str, value: Any) -> Any:
    if kind == "float":
        return float(value)
    if kind == "int":
        return int(float(value)) if isinstance(value, str | float) else int(value)
    if kind == "bool":
        return str(value).lower() in _TRUE or value == 1
    return value


def plural(flaws: Sequence[Flaw]) -> str:
    """How FastAPI counts them: "1 validation error:" or "2 validation errors:"."""
    return f"{len(flaws)} validation error{'s' if len(flaws) != 1 else ''}:"
