"""What vLLM 0.32 refuses, and its words for it.

Read in vllm/entrypoints/openai: chat_completion/protocol.py and completion/protocol.py (request
models and validators), and in sampling_params.py; wording as recorded from a running server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.asking import ApiError
from harness.engines.emulator.dialects.fields import Field, Flaw, check, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.emulator.asking import Surface
    from harness.engines.emulator.dialects.shapes import Json

_SHOWN = 10
_INT64 = 2**63
_ROLES = (
    ("ChatCompletionDeveloperMessageParam", ("role",)),
    ("ChatCompletionSystemMessageParam", ("role",)),
    ("ChatCompletionUserMessageParam", ("role",)),
    ("ChatCompletionAssistantMessageParam", ("role",)),
    ("ChatCompletionToolMessageParam", ("role", "tool_call_id")),
    ("ChatCompletionFunctionMessageParam", ("name", "role")),
    ("CustomChatCompletionMessageParam", ("role",)),
    ("Message", ("author", "role")),
)
_SAMPLING = (
    Field("seed", "int", low=-_INT64, high=_INT64 - 1),
    Field("stop", "strings"),
    Field("stream", "bool"),
    Field("stream_options", "model"),
    Field("temperature", "float"),
    Field("top_p", "float"),
)
_CHAT = (
    Field("messages", "messages", required=True, roles=_ROLES, last="Message"),
    Field("model", "str"),
    Field("frequency_penalty", "float"),
    Field("logprobs", "bool"),
    Field("top_logprobs", "int"),
    Field("max_tokens", "int"),
    Field("max_completion_tokens", "int"),
    Field("n", "int"),
    Field("presence_penalty", "float"),
    Field("response_format", "format"),
    *_SAMPLING,
    Field("tools", "list"),
    Field("user", "str"),
    Field("priority", "int"),
)
_TEXT = (
    Field("model", "str"),
    Field("prompt", "prompt"),
    Field("echo", "bool"),
    Field("logprobs", "int"),
    Field("max_tokens", "int"),
    Field("n", "int"),
    *_SAMPLING,
    Field("user", "str"),
    Field("priority", "int"),
)
_FORMATS = ("text", "json_object", "json_schema")


def parse(body: bytes) -> Json:
    """The body as FastAPI reads it. Raises ApiError."""
    if not body:
        raise _refused([Flaw("missing", ("body",), "Field required", None)])
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        loc = ("body", error.pos)
        raise _refused(
            [Flaw("json_invalid", loc, "JSON decode error", {}, {"error": error.msg})]
        ) from error
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed", reason=str(error)) from error
    if not isinstance(value, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        raise _refused([Flaw("model_attributes_type", ("body",), text, value)])
    return value


def checked(surface: Surface, body: Json) -> Json:
    """The body with its values converted. Raises ApiError."""
    _before(surface, body)
    taken, flaws = check(body, _CHAT if surface == "chat" else _TEXT)
    flaws += _format_flaws(body.get("response_format"))
    if flaws:
        raise _refused(flaws)
    _sampling(taken)
    return taken


def _before(surface: Surface, body: Json) -> None:
    """The validators that come before the fields."""
    if body.get("stream_options") and not body.get("stream"):
        raise said("Stream options can only be defined when `stream=True`.", "stream_options")
    if surface != "chat":
        if not body.get("prompt") and body.get("prompt_embeds") is None:
            told = "Either prompt or prompt_embeds must be provided and non-empty."
            raise said(told, "prompt")
        return
    if body.get("top_logprobs") and not body.get("logprobs"):
        told = "when using `top_logprobs`, `logprobs` must be set to true."
        raise said(told, "top_logprobs")
    if body.get("tools") == []:
        told = (
            "`tools` must not be an empty array. "
            "Either provide at least one tool or omit the field entirely."
        )
        raise said(told, "tools")
    if body.get("tool_choice") not in (None, "none") and not body.get("tools"):
        raise said("When using `tool_choice`, `tools` must be set.", "tool_choice")


def _sampling(body: Json) -> None:
    """``SamplingParams``; what follows from several values at once comes last."""
    if body.get("messages") == []:
        told = "Cannot apply chat template to an empty conversation. Provide at least one message."
        raise ApiError("invalid", None, said=told)
    count = 1 if body.get("n") is None else body["n"]
    if count < 1:
        raise ApiError("invalid", None, said=f"n must be at least 1, got {count}.")
    heat = body.get("temperature")
    if heat is not None and heat < 0:
        raise said(f"temperature must be non-negative, got {heat}.", "temperature", heat)
    if heat is not None and heat > 2:
        raise said(f"temperature must be in [0, 2], got {heat}.", "temperature", heat)
    share = body.get("top_p")
    if share is not None and not 0 < share <= 1:
        raise said(f"top_p must be in (0, 1], got {share}.", "top_p", share)
    for name in ("max_completion_tokens", "max_tokens"):
        limit = body.get(name)
        if limit is not None and limit < 1:
            raise said(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    if count > 1 and heat == 0:
        told = f"n must be 1 when using greedy sampling, got {count}."
        raise ApiError("invalid", None, said=told)


def said(text: str, parameter: str, value: Any = None) -> ApiError:
    """``VLLMValidationError``: it repeats the parameter, and the value if it has one."""
    more = f"parameter={parameter}" + ("" if value is None else f", value={value}")
    return ApiError("invalid", parameter, said=f"{text} ({more})")


def _format_flaws(value: Any) -> list[Flaw]:
    """``AnyResponseFormat`` is a union of three models; two of them are structural tags."""
    kind = value.get("type") if isinstance(value, dict) else None
    if value is None or kind in {*_FORMATS, "structural_tag"}:
        return []
    loc = ("body", "response_format")
    if not isinstance(value, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        return [Flaw("model_attributes_type", loc, text, value)] * 3

    def wrong(expected: str) -> Flaw:
        text = f"Input should be {expected}"
        return Flaw("literal_error", (*loc, "type"), text, kind, {"expected": expected})

    def missing(name: str) -> Flaw:
        return Flaw("missing", (*loc, name), "Field required", value)

    tag = wrong("'structural_tag'")
    plain = wrong("'text', 'json_object' or 'json_schema'")
    return [plain, tag, missing("format"), tag, missing("structures"), missing("triggers")]


def _refused(flaws: Sequence[Flaw]) -> ApiError:
    """As ``validation_exception_handler`` tells pydantic's errors: the first ten, shortened."""
    lines = [plural(flaws), *(f"  {_shortened(flaw)}" for flaw in flaws[:_SHOWN])]
    if len(flaws) > _SHOWN:
        lines.append(f"  ...and {len(flaws) - _SHOWN} more errors")
    return ApiError("missing", _dotted(flaws[0]), said="\n".join(lines))


def _dotted(flaw: Flaw) -> str:
    return ".".join(map(str, flaw.loc))


def _shortened(flaw: Flaw) -> dict[str, Any]:
    value = flaw.input
    if isinstance(value, dict | list):
        value = f"<{type(value).__name__} of {len(value)} items>"
    return {**flaw.told(), "loc": _dotted(flaw), "input": str(value)}
