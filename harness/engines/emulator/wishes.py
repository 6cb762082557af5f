"""What a request may wish for beside text: a tool call, JSON by a schema, log probabilities."""

from __future__ import annotations

from typing import Any

from harness.engines.emulator.asking import ApiError, Tool, read

_MOST_LOGPROBS = 20


def read_tools(body: dict[str, Any]) -> list[Tool]:
    """``tools``: functions with a name and a schema. Raises ApiError."""
    tools = []
    for index, each in enumerate(read(body, "tools", (list,), [])):
        function = each.get("function") if isinstance(each, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise ApiError("invalid", f"tools[{index}]", reason="expected a function with a name")
        tools.append(Tool(name, function.get("parameters") or {"type": "object"}))
    return tools


def read_call(body: dict[str, Any]) -> Tool | None:
    """The tool that must be called: the named one, or with ``required`` the first.

    An emulated model has no mind of its own, so ``auto`` never calls. Raises ApiError.
    """
    tools, choice = read_tools(body), body.get("tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        found = next((tool for tool in tools if tool.name == name), None)
        if found is None:
            raise ApiError("invalid", "tool_choice", reason=f"no tool is called {name!r}")
        return found
    if choice not in (None, "auto", "none", "required"):
        raise ApiError("invalid", "tool_choice", reason=f"{choice!r} is no choice")
    return tools[0] if choice == "required" and tools else None


def read_format(body: dict[str, Any]) -> Any:
    """``response_format`` as a schema: True is any object, None plain text. Raises ApiError."""
    wanted = read(body, "response_format", (dict,), {})
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return wanted.get("schema") or True
    if kind == "json_schema":
        wrapped = read(wanted, "json_schema", (dict,), {})
        return wrapped.get("schema") or True
    raise ApiError("invalid", "response_format", reason=f"{kind!r} is no type of format")


def read_logprobs(body: dict[str, Any], *, default: int = 0) -> int | None:
    """``logprobs`` and ``top_logprobs`` of a chat. Raises ApiError."""
    top = read(body, "top_logprobs", (int,), None)
    if top is not None and not 0 <= top <= _MOST_LOGPROBS:
        raise ApiError("invalid", "top_logprobs", reason=f"expected 0 to {_MOST_LOGPROBS}")
    if not read(body, "logprobs", (bool,), False):
        return None
    return default if top is None else int(top)


def read_text_logprobs(body: dict[str, Any]) -> int | None:
    """``logprobs`` of the legacy endpoint, a count. Raises ApiError."""
    count = read(body, "logprobs", (int,), None)
    return None if count is None else int(count)


def read_inputs(body: dict[str, Any]) -> list[str]:
    """``input`` of the embeddings endpoint: texts, or lists of ids. Raises ApiError."""
    given = read(body, "input", (str, list), None)
    if given is None:
        raise ApiError("missing", "input")
    if isinstance(given, str):
        return [given]
    if not given:
        raise ApiError("invalid", "input", reason="expected at least one text")
    if all(isinstance(each, int) for each in given):
        return [str(given)]
    if not all(isinstance(each, str | list) for each in given):
        raise ApiError("invalid", "input", reason="expected texts")
    return [each if isinstance(each, str) else str(each) for each in given]
