"""JSON as RFC 8259 has it, and typed looks into values nobody has validated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def loads(data: bytes) -> tuple[Any, str]:
    """Parse ``data`` and return the value and ``""``, or None and the reason it is not JSON.

    Stricter than the standard library, which takes ``NaN`` and ``Infinity`` and
    guesses the encoding: RFC 8259 section 8.1 allows UTF-8 alone, section 6 finite
    numbers alone. Never raises, whatever the bytes.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse), ""
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: {error.reason} at byte {error.start}"
    except RecursionError:
        return None, "not JSON: nested too deeply"
    except ValueError as error:
        return None, f"not JSON: {error}"


def obj(value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Return ``value`` if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """Return ``value`` if it is a JSON integer (a boolean is not), else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def choices(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the choices of an answer or a chunk, each with its index (0 where none is given)."""
    listed = obj(value).get("choices")
    for choice in listed if isinstance(listed, list) else ():
        if isinstance(choice, dict):
            yield integer(choice.get("index")) or 0, choice


def error_in(value: Any) -> Mapping[str, Any] | None:
    """Return the error object a body or a chunk holds, or None.

    Servers spell it ``{"error": {...}}``, as the OpenAI API does, ``{"error": "text"}``
    or ``{"object": "error", ...}``. The second is returned as ``{"message": "text"}``.
    """
    body = obj(value)
    error = body.get("error")
    if isinstance(error, dict) and error:
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    return body if body.get("object") == "error" else None


def excerpt(said: str, limit: int = 200) -> str:
    """Return the beginning of ``said`` as one line that can always be written as UTF-8."""
    line = " ".join(said[:limit].split())
    return line.encode("utf-8", "backslashreplace").decode() + ("..." if said[limit:] else "")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")
