"""Anthropic's Messages API: ``/v1/messages`` and ``/v1/messages/count_tokens``.

From its documentation (docs.anthropic.com, API reference: messages, streaming messages, errors,
count tokens; version 2023-06-01). No server of this kind can be recorded here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines import tokens
from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.asking import ApiError, Ask, Tool, read, read_messages
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import MARK, Json, Template, compact, encode
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.engines.emulator.answer import Reply
    from harness.engines.emulator.asking import ErrorKind
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
_REASONS = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}


class Anthropic(Dialect):
    """Named events, content blocks, a key of its own header, errors that say ``type: error``."""

    name = "anthropic"
    version = "2023-06-01"
    capabilities = Capabilities(
        stream_usage=True,
        choices=False,
        retrieve_model=True,
        health="/v1/models",
        native=("/v1/messages",),
    )
    lengths = ("max_tokens",)
    clips = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"temperature": (0, 1), "top_p": (0, 1)}
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "The request body is not valid JSON: {reason}",
        "missing": "{param}: Field required",
        "invalid": "{param}: {reason}",
        "model": "model: {model}",
        "context": "prompt is too long: {prompt} tokens > {limit} maximum",
        "unauthorised": "invalid x-api-key",
        "path": "Not found",
        "method": "Method Not Allowed",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """The two that there are; OpenAI's completions are taken away in `route`."""
        return {
            "/v1/messages": ("POST", self.create),
            "/v1/messages/count_tokens": ("POST", self.count),
        }

    def route(self, request: Request) -> Answer | Ask:
        """The key may come as ``x-api-key``. Raises ApiError."""
        if "completions" in request.path:
            raise ApiError("path")
        key = self.spec.api_key
        if key is not None and request.headers.get("x-api-key") == key:
            bearer = {**request.headers, "authorization": f"Bearer {key}"}
            request = type(request)(
                request.method,
                request.target,
                bearer,
                request.body,
                request.chunks,
                request.keep_alive,
            )
        return super().route(request)

    def create(self, request: Request) -> Ask:
        """``POST /v1/messages``; ``max_tokens`` is required. Raises ApiError."""
        body = self.parse(request.body)
        if body.get("max_tokens") is None:
            raise ApiError("missing", "max_tokens")
        prompt = self._prompt(body)
        stops = read(body, "stop_sequences", (list,), [])
        renamed = {**body, "stop": stops}
        return self.ask("messages", renamed, prompt, call=_forced(body))

    def count(self, request: Request) -> Answer:
        """``POST /v1/messages/count_tokens``. Raises ApiError."""
        body = self.parse(request.body)
        self.model_of(body)
        return self.json(200, {"input_tokens": tokens.count_words(self._prompt(body))})

    def _prompt(self, body: Json) -> list[Any]:
        messages = read_messages(body)
        system = read(body, "system", (str, list), None)
        return messages if system is None else [{"role": "system", "content": system}, *messages]

    # Models.

    def list_models(self, request: Request) -> Answer:
        """With cursors."""
        del request
        cards = [self.model_card(model) for model in self.spec.models]
        ends = {"has_more": False, "first_id": cards[0]["id"], "last_id": cards[-1]["id"]}
        return self.json(200, {"data": cards, **ends})

    def model_card(self, model: ServedModel) -> Json:
        """Type, id, name and date."""
        named = {"type": "model", "id": model.id, "display_name": model.id}
        return {**named, "created_at": "2026-01-01T00:00:00Z"}

    # Shapes.

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """With the id of the request."""
        yield from super().headers(answer, date, chunked=chunked)
        self._asked = getattr(self, "_asked", 0) + 1
        yield "request-id", f"req_{self.spec.seed:08x}{self._asked:016x}"

    def render(self, reply: Reply) -> Answer:
        """Streams are named events."""
        if not reply.stream:
            return super().render(reply)
        answer = Answer(
            200, [("content-type", self.event_type)], self.stream_frames(reply), stream=True
        )
        answer.paced = True
        answer.frames[0].hold_ns += reply.delay_ns
        return answer

    def whole(self, reply: Reply) -> Json:
        """A message object."""
        return {
            **self.head(reply),
            "content": [self.block(reply, reply.choices[0].text)],
            "stop_reason": self.reason(reply),
            "stop_sequence": reply.choices[0].stop,
            "usage": self.usage(reply),
        }

    def head(self, reply: Reply) -> Json:
        """What a message begins with."""
        about = {"id": f"msg_{reply.id[:24]}", "type": "message", "role": "assistant"}
        return {**about, "model": reply.model}

    def block(self, reply: Reply, text: str) -> Json:
        """The one content block: text, or the use of a tool."""
        called = reply.choices[0].called
        if called is None:
            return {"type": "text", "text": text}
        named = {"type": "tool_use", "id": f"toolu_{called.id[-24:]}", "name": called.name}
        return {**named, "input": _parsed(text)}

    def reason(self, reply: Reply) -> str | None:
        """``stop_reason``."""
        choice = reply.choices[0]
        if choice.stop is not None:
            return "stop_sequence"
        return _REASONS[choice.finish] if reply.finish else None

    def usage(self, reply: Reply) -> Json:
        """Token counts."""
        cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        counted = {"output_tokens": reply.completion_tokens}
        return {"input_tokens": reply.prompt_tokens, **cache, **counted}

    def stream_frames(self, reply: Reply) -> list[Frame]:
        """message_start, a block with its deltas, message_delta, message_stop."""
        choice, last = reply.choices[0], reply.last_token
        begun = {**self.head(reply), "content": [], "stop_reason": None, "stop_sequence": None}
        begun["usage"] = {**self.usage(reply), "output_tokens": 1}
        opened = self.block(reply, "")
        kind = "text_delta" if choice.called is None else "input_json_delta"
        field = "text" if choice.called is None else "partial_json"
        delta = {"index": 0, "delta": {"type": kind, field: MARK}}
        template = Template(
            {"type": "content_block_delta", **delta},
            compact,
            lambda text: encode(f"event: content_block_delta\ndata: {text}\n\n"),
        )
        ended = {"stop_reason": self.reason(reply), "stop_sequence": choice.stop}
        count = {"output_tokens": reply.completion_tokens}
        closing: list[Frame] = []
        if reply.finish:
            told = {"delta": ended, **({"usage": count} if reply.usage else {})}
            closing.append(Frame("finish", _event("message_delta", told), last))
        return [
            Frame("role", _event("message_start", {"message": begun})),
            Frame("role", _event("content_block_start", {"index": 0, "content_block": opened})),
            Frame("role", _event("ping", {})),
            *(Frame("token", template.fill(word), k) for k, word in enumerate(choice.tokens)),
            Frame("finish", _event("content_block_stop", {"index": 0}), last),
            *closing,
            Frame("done", _event("message_stop", {}), last),
        ]

    # Errors.

    def refuse(self, error: ApiError, path: str) -> Answer:
        """``{"type": "error", "error": {...}}``."""
        del path
        status, message = self.explain(error)
        return self.json(status, {"type": "error", "error": self.error(error, status, message)})

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """A type that follows the status, and a message."""
        del error
        fallback = "api_error" if status >= 500 else "invalid_request_error"
        return {"type": _TYPES.get(status, fallback), "message": message}

    def stream_error(self, error: ApiError, answer: Answer) -> list[Frame]:
        """An ``error`` event."""
        del answer
        status, message = self.explain(error)
        told = {"error": self.error(error, status, message)}
        return [Frame("error", _event("error", told))]


def _event(name: str, more: Json) -> bytes:
    return encode(f"event: {name}\ndata: {compact({'type': name, **more})}\n\n")


def _forced(body: Json) -> Tool | None:
    """The tool of ``tool_choice``: the named one, or with ``any`` the first. Raises ApiError."""
    tools = []
    for index, each in enumerate(read(body, "tools", (list,), [])):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise ApiError("invalid", f"tools.{index}.name", reason="Field required")
        tools.append(Tool(each["name"], each.get("input_schema") or {"type": "object"}))
    choice = read(body, "tool_choice", (dict,), {})
    if choice.get("type") == "any" and tools:
        return tools[0]
    if choice.get("type") != "tool":
        return None
    for tool in tools:
        if tool.name == choice.get("name"):
            return tool
    raise ApiError("invalid", "tool_choice", reason=f"Tool '{choice.get('name')}' not found")


def _parsed(text: str) -> Any:

    try:
        return json.loads(text)
    except ValueError:
        return {}


dialect = Anthropic
