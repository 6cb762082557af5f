"""What llama-server refuses, and its words for it.

Read in tools/server: server-schema.cpp (fields and limits), server-common.cpp (messages, formats);
wording as recorded from a running server. Null is absent, and what has no hard limit is clamped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.asking import ApiError

if TYPE_CHECKING:
    from harness.engines.emulator.asking import Surface
    from harness.engines.emulator.dialects.shapes import Json

_INT32 = 2**31 - 1
_SLOTS = 4
_NUMBERS: dict[str, tuple[int, int] | None] = {
    "max_completion_tokens": (-1, _INT32),
    "max_tokens": (-1, _INT32),
    "n": (1, _SLOTS),
    "n_predict": (-1, _INT32),
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "min_p": None,
    "seed": None,
    "presence_penalty": None,
    "frequency_penalty": None,
}
"""Fields that are numbers, with their hard limits."""
_NAMES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def parse(body: bytes) -> Json:
    """The body as nlohmann reads it; one that is no object has no fields. Raises ApiError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed", said=_parse_error(body, error)) from error
    return value if isinstance(value, dict) else {}


def _parse_error(body: bytes, error: Exception) -> str:
    """``parse_error``: for a body that ends too early word for word, for others the place."""
    text = body.decode("utf-8", "replace")
    told = "[json.exception.parse_error.101] parse error at line "
    if not text:
        return (
            f"{told}1, column 1: attempting to parse an empty input; check that your input string "
            "or stream contains the expected JSON"
        )
    at = error.pos if isinstance(error, json.JSONDecodeError) else 0
    if at >= len(text):
        last = text.rsplit("\n", 1)[-1]
        return (
            f"{told}{text.count(chr(10)) + 1}, column {len(last) + 1}: syntax error while parsing "
            "value - unexpected end of input; expected '[', '{', or a literal"
        )
    before = text[: at + 1]
    line, column = before.count("\n") + 1, len(before.rsplit("\n", 1)[-1])
    return (
        f"{told}{line}, column {column}: syntax error while parsing value - invalid literal; "
        f"last read: '{before[-16:]}'"
    )


def checked(surface: Surface, body: Json) -> Json:
    """The body with what it clamps clamped. Raises ApiError."""
    if surface == "chat":
        _chat(body)
    elif "prompt" not in body:
        raise _said("[json.exception.out_of_range.403] key 'prompt' not found")
    taken = {name: value for name, value in body.items() if value is not None}
    for name in ("stream",):
        if name in taken and not isinstance(taken[name], bool):
            raise _wrong(name, "boolean", taken[name])
    for name, limits in _NUMBERS.items():
        if name in taken:
            taken[name] = _number(name, taken[name], limits)
    taken["stop"] = _stop(taken.get("stop", []))
    options = taken.get("stream_options")
    if not isinstance(options, dict):
        taken.pop("stream_options", None)
    elif not isinstance(options.get("include_usage"), bool | None):
        raise _wrong("include_usage", "boolean", options["include_usage"])
    return taken


def _chat(body: Json) -> None:
    kind = body.get("response_format")
    kind = kind.get("type") if isinstance(kind, dict) else None
    if isinstance(kind, str) and kind not in {"", "text", "json_object", "json_schema"}:
        told = 'response_format type must be one of "text" or "json_object", but got: '
        raise _said(told + kind)
    if "messages" not in body:
        raise _said("'messages' is required")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise _said("Expected 'messages' to be an array")
    for message in messages:
        _message(message if isinstance(message, dict) else {})
    for message in messages:
        if not isinstance(message.get("role"), str):
            shown = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
            told = f"Failed to parse messages: Missing 'role' in message: {shown}"
            raise ApiError("told", status=500, said=told)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise _said("top_logprobs requires logprobs to be set to true")


def _message(fields: Json) -> None:
    if fields.get("role") != "assistant" and "content" not in fields:
        raise _said("All non-assistant messages must contain 'content'")
    if "content" not in fields and "tool_calls" not in fields:
        raise _said("Assistant message must contain either 'content' or 'tool_calls'!")
    if not isinstance(fields.get("content"), str | list | None):
        raise _said("Expected 'content' to be a string or an array")


def _number(name: str, value: Any, limits: tuple[int, int] | None) -> Any:
    if not isinstance(value, int | float):  # a boolean counts as one, in nlohmann too
        raise _wrong(name, "number", value)
    if limits is not None:
        low, high = limits
        value = int(value)
        if not low <= value <= high:
            told = f"Value must be between {low} <= value <= {high}, but got {value}"
            raise _said(f"Field '{name}': {told}")
    return value


def _stop(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list):
        return []
    for each in stops:
        if not isinstance(each, str):
            raise _wrong("stop", "string", each)
    return stops


def _wrong(name: str, expected: str, value: Any) -> ApiError:
    actual = "null" if value is None else _NAMES.get(type(value), "null")
    told = f"[json.exception.type_error.302] type must be {expected}, but is {actual}"
    return _said(f"Field '{name}': {told}")


def _said(text: str) -> ApiError:
    return ApiError("invalid", None, said=text)
