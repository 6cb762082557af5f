"""JSON as RFC 8259 has it, and typed looks into values nobody has validated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


_BLANKS = " \t\n\r"
_decoder = json.JSONDecoder(parse_constant=_refuse)


def loads(data: bytes) -> tuple[Any, str]:
    """Parse ``data`` and return the value and ``""``, or None and the reason it is not JSON.

    Stricter than the standard library, which takes ``NaN`` and ``Infinity`` and
    guesses the encoding: RFC 8259 section 8.1 allows UTF-8 alone, section 6 finite
    numbers alone. Never raises, whatever the bytes.
    """
    try:
        said = data.decode()
        try:
            value, end = _decoder.raw_decode(said)
            if end == len(said) or not said[end:].strip(_BLANKS):
                return value, ""
        except ValueError:
            pass  # the reason is found below
        return json.loads(said, parse_constant=_refuse), ""
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


def choices(value: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """List the choices of an answer or a chunk, each with its index (0 where none is given)."""
    listed = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        return []
    return [(integer(one.get("index")) or 0, one) for one in listed if isinstance(one, dict)]


def error_in(value: Any) -> Mapping[str, Any] | None:
    """Return the error object a body or a chunk holds, or None.

    Servers spell it ``{"error": {...}}``, as the OpenAI API does, ``{"error": "text"}``
    or ``{"object": "error", ...}``. The second is returned as ``{"message": "text"}``.
    """
    if not isinstance(value, dict):
        return None
    if error := value.get("error"):
        if isinstance(error, dict):
            return error
        if isinstance(error, str):
            return {"message": error}
    return value if value.get("object") == "error" else None


def excerpt(said: str, limit: int = 200) -> str:
    """Return the beginning of ``said`` as one line that can always be written as UTF-8."""
    line = " ".join(said[:limit].split())
    return line.encode("utf-8", "backslashreplace").decode() + ("..." if said[limit:] else "")
