"""Ollama: its OpenAI doors under ``/v1``, and its own under ``/api``, which LiteLLM uses.

Read at commit fb30760 (2026-08-21): openai/openai.go, middleware/openai.go, server/routes.go,
api/types.go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator.answer import Answer, Choice, Frame, Reply
from harness.engines.emulator.asking import (
    ApiError,
    Ask,
    ErrorKind,
    Surface,
    parse_json,
    read,
    read_count,
    read_messages,
    read_stop,
)
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import (
    MARK,
    Json,
    Template,
    compact,
    encode,
    line,
    token_frames,
)
from harness.engines.emulator.pacing import NS_PER_MS
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "emulated",
    "families": ["emulated"],
    "parameter_size": "0",
    "quantization_level": "none",
}
_NDJSON = "application/x-ndjson"
_FAR_FUTURE = "2318-01-01T00:00:00Z"


class Ollama(Dialect):
    """The role rides on the first token; ids are few; ``code`` is always null."""

    name = "ollama"
    version = "main of 2026-08-21"
    capabilities = Capabilities(
        stream_usage=True,
        choices=False,
        retrieve_model=True,
        health="/api/version",
        native=("/api/chat", "/api/generate"),
    )
    event_type = "text/event-stream"
    lengths = ("max_tokens",)  # the request has no max_completion_tokens: ollama#7125
    unlimited = True
    extra_choices = "ignore"
    clips = True
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "{reason}",
        "missing": "[] is too short - '{param}'",
        "model": "model '{model}' not found",
        "unauthorised": "unauthorized",
        "path": "404 page not found",
        "method": "405 method not allowed",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """The root, which monitors ask, and the native API."""
        return {
            "/": (
                "GET",
                lambda _: self.plain(200, b"Ollama is running", "text/plain; charset=utf-8"),
            ),
            "/api/version": ("GET", lambda _: self.json(200, {"version": self.version})),
            "/api/tags": ("GET", lambda _: self.json(200, {"models": self.tags()})),
            "/api/ps": ("GET", lambda _: self.json(200, {"models": self.loaded()})),
            "/api/show": ("POST", self.show),
            "/api/chat": ("POST", self.native_chat),
            "/api/generate": ("POST", self.native_completion),
        }

    def find(self, model: str) -> ServedModel | None:
        """A name without a tag means ``:latest``."""
        return super().find(model) or super().find(f"{model}:latest")

    # Native requests.

    def native_chat(self, request: Request) -> Ask:
        """``POST /api/chat``; streams unless told not to."""
        body = parse_json(request.body)
        return self.native_ask("native_chat", body, read_messages(body))

    def native_completion(self, request: Request) -> Ask:
        """``POST /api/generate``."""
        body = parse_json(request.body)
        return self.native_ask("native_completion", body, read(body, "prompt", (str,), ""))

    def native_ask(self, surface: Surface, body: Json, prompt: Any) -> Ask:
        """Settings are under ``options``; the limit is ``num_predict``. Raises ApiError."""
        options = read(body, "options", (dict,), {})
        name, served = self.model_of(body)
        limit = read_count(options, ["num_predict"], unlimited=True)
        return Ask(
            surface=surface,
            model=name,
            prompt=prompt,
            stream=read(body, "stream", (bool,), True),
            max_tokens=self.fit(served, prompt, limit),
            stop=read_stop(options),
            seed=read(options, "seed", (int,), 0),
        )

    def show(self, request: Request) -> Answer:
        """``POST /api/show``; ``name`` is the older word for ``model``."""
        body = parse_json(request.body)
        _, served = self.model_of({"model": body.get("model") or body.get("name")})
        return self.json(
            200,
            {
                "modelfile": f"FROM {served.id}",
                "template": "{{ .Prompt }}",
                "details": _DETAILS,
                "model_info": {
                    "general.architecture": "emulated",
                    "emulated.context_length": served.context_length,
                },
                "capabilities": ["completion"],
                "modified_at": self.timestamp(self.started),
            },
        )

    def tags(self) -> list[Json]:
        """The models on disk."""
        return [
            {
                "name": model.id,
                "model": model.id,
                "modified_at": self.timestamp(self.started),
                "size": 0,
                "digest": "",
                "details": _DETAILS,
            }
            for model in self.spec.models
        ]

    def loaded(self) -> list[Json]:
        """The models in memory: all, an emulated engine loads nothing."""
        return [
            {
                "name": model.id,
                "model": model.id,
                "size": 0,
                "digest": "",
                "details": _DETAILS,
                "expires_at": _FAR_FUTURE,
                "size_vram": 0,
                "context_length": model.context_length,
            }
            for model in self.spec.models
        ]

    def model_card(self, model: ServedModel) -> Json:
        """Owned by the namespace of the name."""
        card = {"id": model.id, "object": "model", "created": self.started}
        return {**card, "owned_by": "library"}

    # Shapes under /v1.

    def identity(self, reply: Reply, kind: str) -> Json:
        """An id of three digits at most, as ``rand.Intn(999)`` makes them."""
        identity = super().identity(reply, kind)
        prefix, _, _ = identity["id"].partition("-")
        identity["id"] = f"{prefix}-{int(reply.id, 16) % 999}"
        return {**identity, "system_fingerprint": "fp_ollama"}

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """``omitempty`` drops ``usage`` in chat; the legacy endpoint sends zeros."""
        kind = "chat.completion.chunk" if reply.surface == "chat" else "text_completion"
        identity = self.identity(reply, kind)
        if reply.surface == "chat":
            return {**identity, "choices": choices}
        order = ("id", "object", "created", "choices", "model", "system_fingerprint")
        envelope = {**identity, "choices": choices}
        envelope = {key: envelope[key] for key in order}
        zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return {**envelope, "usage": zeros} if reply.include_usage and reply.usage else envelope

    def opening_chunk(self, reply: Reply, index: int) -> Json | None:
        """There is none: see `special_tokens`."""
        del reply, index
        return None

    def special_tokens(self, reply: Reply, index: int, choice: Choice) -> dict[int, Json]:
        """The first token brings the role along."""
        if reply.surface != "chat" or not choice.tokens:
            return {}
        delta = {"role": "assistant", "content": choice.tokens[0]}
        return {0: self.chunk(reply, [self.chat_choice(index, delta, None)])}

    def chat_choice(self, index: int, delta: Json, finish: str | None) -> Json:
        """No ``logprobs`` unless asked."""
        return {"index": index, "delta": delta, "finish_reason": finish}

    def text_choice(self, index: int, text: str, finish: str | None) -> Json:
        """Likewise."""
        return {"text": text, "index": index, "finish_reason": finish}

    def chat_body(self, reply: Reply) -> Json:
        """No ``logprobs``."""
        body = super().chat_body(reply)
        for choice in body["choices"]:
            del choice["logprobs"]
        return body

    def message(self, text: str) -> Json:
        """No ``refusal``."""
        return {"role": "assistant", "content": text}

    # Native shapes.

    def render(self, reply: Reply) -> Answer:
        """NDJSON when the native API streams."""
        answer = super().render(reply)
        if reply.surface.startswith("native") and reply.stream:
            answer.headers = [("content-type", _NDJSON)]
        return answer

    def whole(self, reply: Reply) -> Json:
        """The native answer is its last line, with the text in it."""
        if not reply.surface.startswith("native"):
            return super().whole(reply)
        return self.native_line(reply, reply.choices[0].text, done=True)

    def stream_frames(self, reply: Reply) -> list[Frame]:
        """One line for each token and one that says it is done."""
        if not reply.surface.startswith("native"):
            return super().stream_frames(reply)
        words = reply.choices[0].tokens
        template = Template(self.native_line(reply, MARK, done=False), compact, line)
        last = line(compact(self.native_line(reply, "", done=True)))
        return [
            *token_frames([(words, template, {})]),
            Frame("done", last, max(0, len(words) - 1)),
        ]

    def native_line(self, reply: Reply, text: str, *, done: bool) -> Json:
        """``api.ChatResponse`` or ``api.GenerateResponse``; times are nanoseconds."""
        shape: Json = {"model": reply.model, "created_at": self.timestamp(reply.created)}
        if reply.surface == "native_chat":
            shape["message"] = {"role": "assistant", "content": text}
        else:
            shape["response"] = text
        shape["done"] = done
        if done and reply.finish:
            shape["done_reason"] = reply.choices[0].finish
        if done and reply.usage:
            tokens = reply.completion_tokens
            prompt_ns = int(reply.ttft_ms * NS_PER_MS)
            eval_ns = int(reply.itl_ms * NS_PER_MS) * max(0, tokens - 1)
            shape |= {
                "total_duration": prompt_ns + eval_ns,
                "load_duration": 0,
                "prompt_eval_count": reply.prompt_tokens,
                "prompt_eval_duration": prompt_ns,
                "eval_count": tokens,
                "eval_duration": eval_ns,
            }
        return shape

    def timestamp(self, at: int) -> str:
        """RFC 3339, as Go writes a time."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

    # Errors.

    def refuse(self, error: ApiError, path: str) -> Answer:
        """``/api`` has ``{"error": text}``; what gin does not know is plain text."""
        status, message = self.explain(error)
        if error.kind in {"path", "method"}:
            return self.plain(status, message.encode(), "text/plain")
        if path.startswith("/api"):
            return self.json(status, {"error": message})
        return super().refuse(error, path)

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``NewError``: the type follows the status; ``param`` and ``code`` are null."""
        del error
        kind = _TYPES.get(status, "api_error")
        return {"message": message, "type": kind, "param": None, "code": None}

    def stream_error(self, error: ApiError, answer: Answer) -> list[Frame]:
        """A line among lines, an event among events."""
        if ("content-type", _NDJSON) not in answer.headers:
            return super().stream_error(error, answer)
        return [Frame("error", line(compact({"error": self.explain(error)[1]})))]

    def json(self, status: int, value: Any) -> Answer:
        """With the content type of gin."""
        return self.plain(status, encode(compact(value)), "application/json; charset=utf-8")


dialect = Ollama
