"""llama.cpp's own ``llama-server``.

Read in tools/server: server-task.cpp (shapes), server-common.cpp (errors), server-http.cpp
(open paths), server.cpp (which exception becomes which status).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import Json, encode, event
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.emulator.answer import Answer, Choice, Frame, Reply
    from harness.engines.emulator.asking import ApiError, Ask, ErrorKind
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_OPEN = {"/health", "/v1/health", "/models", "/v1/models", "/"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_FINGERPRINT = "b0-emulated"


class LlamaCppNative(Dialect):
    """Keys in another order, ``timings`` at the end, errors without ``param``, any model name."""

    name = "llama_cpp_native"
    version = "0.5.0-dev"
    capabilities = Capabilities(
        stream_usage=True,
        choices=False,
        retrieve_model=False,
        health="/health",
        metrics="/metrics",
    )
    server = "llama.cpp"
    event_type = "text/event-stream"
    unlimited = True
    extra_choices = "refuse"
    default_model = True
    any_model = True
    clips = True
    statuses: ClassVar[Mapping[ErrorKind, int]] = {
        **Dialect.statuses,
        "malformed": 500,  # nlohmann's parse_error is no std::invalid_argument
        "method": 404,  # cpp-httplib knows a route by method and path together
    }
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "[json.exception.parse_error.101] parse error: {reason}",
        "missing": "'{param}' is required",
        "context": "request ({prompt} tokens) exceeds the available context size "
        "({limit} tokens), try increasing it",
        "unauthorised": "Invalid API Key",
        "path": "File Not Found",
        "method": "File Not Found",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Health, metrics (as with ``--metrics``) and the paths without ``/v1``."""
        return {
            "/health": ("GET", lambda _: self.json(200, {"status": "ok"})),
            "/metrics": ("GET", lambda _: self.metrics()),
            "/models": ("GET", self.list_models),
            "/chat/completions": ("POST", self.chat),
        }

    def needs_key(self, path: str) -> bool:
        """``public_endpoints`` of the key check."""
        return path not in _OPEN

    def model_card(self, model: ServedModel) -> Json:
        """One model, with what llama.cpp knows of it."""
        card = {"id": model.id, "object": "model", "created": self.started}
        return {**card, "owned_by": "llamacpp", "meta": {"n_ctx_train": model.context_length}}

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """``ordered_json``, in the order of the source; never ``usage: null``."""
        if reply.surface != "chat":
            return self.arranged(reply, choices, "text_completion", {})
        return {
            "choices": choices,
            "created": reply.created,
            "id": f"chatcmpl-{reply.id}",
            "model": reply.model,
            "system_fingerprint": _FINGERPRINT,
            "object": "chat.completion.chunk",
        }

    def arranged(self, reply: Reply, choices: list[Json], kind: str, more: Json) -> Json:
        """The order of whole answers, and of all those of the legacy endpoint."""
        return {
            "choices": choices,
            "created": reply.created,
            "model": reply.model,
            "system_fingerprint": _FINGERPRINT,
            "object": kind,
            **more,
            "id": f"chatcmpl-{reply.id}",
        }

    def opening_chunk(self, reply: Reply, index: int) -> Json | None:
        """The first delta has null for content."""
        if reply.surface != "chat":
            return None
        delta = {"role": "assistant", "content": None}
        return self.chunk(reply, [self.chat_choice(index, delta, None)])

    def chat_choice(self, index: int, delta: Json, finish: str | None) -> Json:
        """No ``logprobs`` unless asked."""
        return {"finish_reason": finish, "index": index, "delta": delta}

    def closing_frames(self, reply: Reply) -> list[Frame]:
        """``timings`` ride on the last chunk before ``[DONE]``."""
        frames = super().closing_frames(reply)
        if reply.surface != "chat":  # the count rides on the finish
            frames = [frame for frame in frames if frame.part != "usage"]
        if len(frames) > 1:
            usage = frames[-2].part == "usage"
            chunk = (
                self.usage_chunk(reply) if usage else self.finish_chunk(reply, 0, reply.choices[0])
            )
            frames[-2].data = event(self.dumps({**chunk, "timings": self.timings(reply)}))
        return frames

    def finish_chunk(self, reply: Reply, index: int, choice: Choice) -> Json:
        """The legacy endpoint counts tokens whether or not it was asked to."""
        if reply.surface == "chat":
            return super().finish_chunk(reply, index, choice)
        usage = {"usage": self.usage(reply)} if reply.usage else {}
        ended = [self.text_choice(index, "", choice.finish)]
        return self.arranged(reply, ended, "text_completion", usage)

    def chat_body(self, reply: Reply) -> Json:
        """A whole answer with its timings."""
        choice = reply.choices[0]
        choices = [
            {
                "finish_reason": choice.finish,
                "index": 0,
                "message": {"role": "assistant", "content": choice.text},
            }
        ]
        return self._whole(reply, choices, "chat.completion")

    def completion_body(self, reply: Reply) -> Json:
        """A whole answer of the legacy endpoint."""
        choice = reply.choices[0]
        return self._whole(
            reply, [self.text_choice(0, choice.text, choice.finish)], "text_completion"
        )

    def _whole(self, reply: Reply, choices: list[Json], kind: str) -> Json:
        usage = {"usage": self.usage(reply)} if reply.usage else {}
        return {**self.arranged(reply, choices, kind, usage), "timings": self.timings(reply)}

    def usage(self, reply: Reply) -> Json:
        """The answer's tokens first."""
        counts = super().usage(reply)
        return {key: counts[key] for key in ("completion_tokens", "prompt_tokens", "total_tokens")}

    def timings(self, reply: Reply) -> Json:
        """What the settings say it took; speeds where the time is not nothing."""
        prompt, predicted = reply.prompt_tokens, reply.completion_tokens
        predicted_ms = reply.itl_ms * max(0, predicted - 1)
        return {
            "cache_n": 0,
            "prompt_n": prompt,
            "prompt_ms": reply.ttft_ms,
            "prompt_per_token_ms": reply.ttft_ms / prompt,
            "prompt_per_second": _rate(prompt, reply.ttft_ms),
            "predicted_n": predicted,
            "predicted_ms": predicted_ms,
            "predicted_per_token_ms": predicted_ms / max(1, predicted),
            "predicted_per_second": _rate(predicted, predicted_ms),
        }

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``format_error_response``: an integer code, and no ``param``."""
        kind = _TYPES.get(status, "server_error")
        shape: Json = {"code": status, "message": message, "type": kind}
        if error.kind == "context":
            shape["type"] = "exceed_context_size_error"
            shape["n_prompt_tokens"] = error.words["prompt"]
            shape["n_ctx"] = error.words["limit"]
        return shape

    def json(self, status: int, value: Any) -> Answer:
        """Its content type names the character set."""
        return self.plain(status, encode(self.dumps(value)), "application/json; charset=utf-8")

    def metrics(self) -> Answer:
        """Two gauges of ``/metrics``, in the Prometheus text format."""
        running, waiting = self.turns.running, self.turns.waiting
        text = (
            "# HELP llamacpp:requests_processing Number of requests processing.\n"
            "# TYPE llamacpp:requests_processing gauge\n"
            f"llamacpp:requests_processing {running}\n"
            "# HELP llamacpp:requests_deferred Number of requests deferred.\n"
            "# TYPE llamacpp:requests_deferred gauge\n"
            f"llamacpp:requests_deferred {waiting}\n"
        )
        return self.plain(200, text.encode(), "text/plain; version=0.0.4")


def _rate(count: int, milliseconds: float) -> float | None:
    return count / milliseconds * 1000 if milliseconds else None


dialect = LlamaCppNative
