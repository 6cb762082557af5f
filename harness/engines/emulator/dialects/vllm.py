"""vLLM 0.32: pydantic models written with ``exclude_unset``, so unset fields are absent.

Read in vllm/entrypoints/openai: chat_completion/serving.py and protocol.py, engine/protocol.py,
completion/serving.py, and the middleware of api_server.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.engines.emulator.answer import Answer, Choice, Frame, Reply
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import Json, event
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.emulator.asking import ApiError, Ask, ErrorKind
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_TYPES = {
    400: "BadRequestError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}


class VLLM(Dialect):
    """Integer error codes, ``stop_reason`` and ``token_ids`` beside the standard fields."""

    name = "vllm"
    version = "0.32.0"
    capabilities = Capabilities(
        stream_usage=True,
        choices=True,
        retrieve_model=False,
        health="/health",
        metrics="/metrics",
    )
    server = "uvicorn"
    early_head = True
    default_model = True
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "[{{'type': 'json_invalid', 'loc': ('body', 0), "
        "'msg': 'JSON decode error', 'ctx': {{'error': '{reason}'}}}}]",
        "missing": "[{{'type': 'missing', 'loc': ('body', '{param}'), 'msg': 'Field required'}}]",
        "model": "The model `{model}` does not exist.",
        "context": "This model's maximum context length is {limit} tokens. However, you requested "
        "{asked} output tokens and your prompt contains at least {prompt} input tokens, for a "
        "total of at least {total} tokens. Please reduce the length of the input prompt or the "
        "number of requested output tokens.",
        "path": "Not Found",
        "method": "Method Not Allowed",
    }
    phrases: ClassVar[Mapping[ErrorKind, str]] = {
        "malformed": "Bad Request",
        "missing": "Bad Request",
        "invalid": "Bad Request",
        "path": "Not Found",
        "method": "Method Not Allowed",
    }
    """Errors found by FastAPI carry the reason phrase as their type."""

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Health and metrics."""
        return {
            "/health": ("GET", lambda _: self.plain(200, b"", "text/plain; charset=utf-8")),
            "/metrics": ("GET", lambda _: self.metrics()),
        }

    def needs_key(self, path: str) -> bool:
        """``AuthenticationMiddleware`` guards ``/v1`` only; health and metrics stay open."""
        return path.startswith("/v1")

    def model_card(self, model: ServedModel) -> Json:
        """``ModelCard``; its list of permissions is left empty."""
        return {
            "id": model.id,
            "object": "model",
            "created": self.started,
            "owned_by": "vllm",
            "root": model.id,
            "parent": None,
            "max_model_len": model.context_length,
            "permission": [],
        }

    def identity(self, reply: Reply, kind: str) -> Json:
        """No ``system_fingerprint`` in chunks: it is unset."""
        identity = super().identity(reply, kind)
        if reply.stream:
            del identity["system_fingerprint"]
        return identity

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """``usage`` is absent from chat chunks, and null in all chunks of the legacy endpoint."""
        kind = "chat.completion.chunk" if reply.surface == "chat" else "text_completion"
        envelope = {**self.identity(reply, kind), "choices": choices}
        return {**envelope, "usage": None} if reply.surface == "completion" else envelope

    def opening_chunk(self, reply: Reply, index: int) -> Json | None:
        """The role, and ``prompt_token_ids`` set to null."""
        if reply.surface != "chat":
            return None
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return {**self.chunk(reply, [choice]), "prompt_token_ids": None}

    def chat_choice(self, index: int, delta: Json, finish: str | None) -> Json:
        """``stop_reason`` is set only where the choice ends."""
        choice = super().chat_choice(index, delta, finish)
        if finish is not None:
            choice["stop_reason"] = None
        return {**choice, "token_ids": None}

    def text_choice(self, index: int, text: str, finish: str | None) -> Json:
        """The legacy endpoint writes unset fields too."""
        return {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": finish,
            "stop_reason": None,
            "token_ids": None,
            "prompt_token_ids": None,
        }

    def finish_rides_on_token(self, reply: Reply, choice: Choice) -> bool:
        """The last output carries its text and the reason; only an end token has no text."""
        return reply.finish and choice.finish == "length" and bool(choice.tokens)

    def special_tokens(self, reply: Reply, index: int, choice: Choice) -> dict[int, Json]:
        """The last token of an answer cut by its limit."""
        if not self.finish_rides_on_token(reply, choice):
            return {}
        last = choice.tokens[-1]
        if reply.surface == "chat":
            made = self.chat_choice(index, {"content": last}, choice.finish)
        else:
            made = self.text_choice(index, last, choice.finish)
        return {len(choice.tokens) - 1: self.chunk(reply, [made])}

    def finish_chunk(self, reply: Reply, index: int, choice: Choice) -> Json:
        """The end token: its text is empty."""
        if reply.surface != "chat":
            return super().finish_chunk(reply, index, choice)
        return self.chunk(reply, [self.chat_choice(index, {"content": ""}, choice.finish)])

    def chat_body(self, reply: Reply) -> Json:
        """A whole answer, with the fields vLLM adds."""
        body = super().chat_body(reply)
        for choice in body["choices"]:
            choice.update(stop_reason=None, token_ids=None)
        usage = (
            {"usage": {**body.pop("usage"), "prompt_tokens_details": None}} if reply.usage else {}
        )
        extra = {"prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None}
        return {**body, "service_tier": None, **usage, **extra}

    def message(self, text: str) -> Json:
        """``ChatMessage`` without tool calls."""
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": None}
        return {**message, "audio": None, "function_call": None, "reasoning": None}

    def usage(self, reply: Reply) -> Json:
        """``UsageInfo`` in its own order."""
        counts = super().usage(reply)
        return {key: counts[key] for key in ("prompt_tokens", "total_tokens", "completion_tokens")}

    def refuse(self, error: ApiError, path: str) -> Answer:
        """The authentication middleware has an envelope of its own."""
        if error.kind == "unauthorised":
            return self.json(401, {"error": "Unauthorized"})
        return super().refuse(error, path)

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``ErrorInfo``: the code is the status, as a number."""
        kind = self.phrases.get(error.kind) or _TYPES.get(status, "InternalServerError")
        return {"message": message, "type": kind, "param": error.param, "code": status}

    def stream_error(self, error: ApiError, answer: Answer) -> list[Frame]:
        """The generator yields ``[DONE]`` even after an error."""
        return [*super().stream_error(error, answer), Frame("done", event("[DONE]"))]

    def metrics(self) -> Answer:
        """Two gauges of ``/metrics``, in the Prometheus text format."""
        labels = f'{{engine="0",model_name="{self.spec.models[0].id}"}}'
        text = "".join(
            f"# HELP {name} {help_}\n# TYPE {name} gauge\n{name}{labels} {float(value)}\n"
            for name, help_, value in (
                (
                    "vllm:num_requests_running",
                    "Number of requests in model execution batches.",
                    self.turns.running,
                ),
                (
                    "vllm:num_requests_waiting",
                    "Number of requests waiting to be processed.",
                    self.turns.waiting,
                ),
            )
        )
        return self.plain(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")


dialect = VLLM
