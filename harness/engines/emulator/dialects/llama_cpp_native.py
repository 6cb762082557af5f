"""llama.cpp's own ``llama-server``.

Read in tools/server: server-common.cpp (errors), server-http.cpp (open paths), server.cpp (which
exception becomes which status); held against recordings of a running server field by field
(tests/recordings). `llama_cpp_writing` has the shapes of answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator.asking import ApiError
from harness.engines.emulator.dialects import llama_cpp_rules, llama_cpp_state
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.llama_cpp_writing import LlamaCppWriting
from harness.engines.emulator.dialects.shapes import Json, encode
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.engines.emulator.answer import Answer
    from harness.engines.emulator.asking import Ask, ErrorKind, Surface
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_OPEN = {"/health", "/v1/health"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_LAYER: tuple[ErrorKind, ...] = ("unauthorised", "path", "method")
"""Refused by the HTTP layer, which orders the keys of its envelope differently."""


class LlamaCppNative(LlamaCppWriting):
    """Errors without ``param``, any model name, and much to tell about itself."""

    name = "llama_cpp_native"
    version = "0.5.0-dev"
    capabilities = Capabilities(
        stream_usage=True,
        choices=True,
        retrieve_model=False,
        health="/health",
        metrics="/metrics",
    )
    event_type = "text/event-stream"
    unlimited = True
    default_model = True
    any_model = True
    clips = True
    default_logprobs = 20
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    statuses: ClassVar[Mapping[ErrorKind, int]] = {
        **Dialect.statuses,
        "malformed": 500,  # nlohmann's parse_error is no std::invalid_argument
        "method": 404,  # cpp-httplib knows a route by method and path together
    }
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "context": "request ({prompt} tokens) exceeds the available context size "
        "({limit} tokens), try increasing it",
        "unauthorised": "Invalid API Key",
        "path": "File Not Found",
        "method": "File Not Found",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Health, state, tokens, metrics (as with ``--metrics``), and paths without ``/v1``."""
        first = self.spec.models[0]
        return {
            "/health": ("GET", lambda _: self.health()),
            "/v1/health": ("GET", lambda _: self.health()),
            "/metrics": ("GET", lambda _: self.metrics()),
            "/props": ("GET", lambda _: self.json(200, llama_cpp_state.props(first))),
            "/slots": (
                "GET",
                lambda _: self.json(200, llama_cpp_state.slots(first, self.turns.running)),
            ),
            "/lora-adapters": ("GET", lambda _: self.json(200, [])),
            "/models": ("GET", self.list_models),
            "/chat/completions": ("POST", self.chat),
            "/completion": ("POST", self.native_completion),
            "/completions": ("POST", self.native_completion),
            "/tokenize": ("POST", self.tokenize),
            "/detokenize": ("POST", self.detokenize),
            "/apply-template": ("POST", self.apply_template),
            "/embeddings": ("POST", self.embed),
            "/v1/embeddings": ("POST", self.embed),
        }

    def needs_key(self, path: str) -> bool:
        """``public_endpoints`` of the key check."""
        return path not in _OPEN

    def route(self, request: Request) -> Answer | Ask:
        """While the model loads every path but the open pages says so. Raises ApiError."""
        if self.turns.loading:
            raise ApiError("told", status=503, said="Loading model")
        return super().route(request)

    # Requests.

    def parse(self, body: bytes) -> Json:
        """See `llama_cpp_rules`."""
        return llama_cpp_rules.parse(body)

    def checked(self, surface: Surface, body: Json) -> Json:
        """See `llama_cpp_rules`."""
        return llama_cpp_rules.checked(surface, body)

    def read_messages(self, body: Json) -> list[Any]:
        """Even none: the template is applied to what there is."""
        found: list[Any] = body["messages"]
        return found

    def read_prompt(self, body: Json) -> Any:
        """A text, ids, or a list of such. Raises ApiError."""
        prompt = body["prompt"]
        if not isinstance(prompt, str | list):
            told = (
                '"prompt" elements must be a string, a list of tokens, a JSON object containing '
                "a prompt string, or a list of mixed strings & tokens."
            )
            raise ApiError("invalid", None, said=told)
        return prompt

    def length(self, body: Json) -> int | None:
        """0 still gives one token; -1 is no limit."""
        for name in ("n_predict", "max_completion_tokens", "max_tokens"):
            if body.get(name) is not None:
                return None if body[name] < 0 else max(1, int(body[name]))
        return None

    def model_of(self, body: Json) -> tuple[str, ServedModel]:
        """There is one model, and it answers under its own name (ggml-org/llama.cpp#17668)."""
        del body
        first = self.spec.models[0]
        return first.id, first

    def native_completion(self, request: Request) -> Ask:
        """``POST /completion``. Raises ApiError."""
        body = self.checked("native_completion", self.parse(request.body))
        probabilities = body.get("n_probs") or None
        return self.ask(
            "native_completion",
            body,
            self.read_prompt(body),
            logprobs=probabilities,
            details={name: float(body[name]) for name in ("temperature",) if name in body},
        )

    def tokenize(self, request: Request) -> Answer:
        """``POST /tokenize``."""
        content = self.parse(request.body).get("content")
        return self.json(200, {"tokens": self.tokenizer.encode(str(content or ""))})

    def detokenize(self, request: Request) -> Answer:
        """``POST /detokenize``."""
        ids = self.parse(request.body).get("tokens") or []
        return self.json(200, {"content": self.tokenizer.decode(ids)})

    def apply_template(self, request: Request) -> Answer:
        """``POST /apply-template``. Raises ApiError."""
        body = self.checked("chat", self.parse(request.body))
        turns = [f"<|{each['role']}|>{each.get('content') or ''}" for each in body["messages"]]
        return self.json(200, {"prompt": "".join(turns) + "<|assistant|>"})

    def embed(self, request: Request) -> Answer:
        """Not without ``--embeddings``. Raises ApiError."""
        del request
        told = "This server does not support embeddings. Start it with `--embeddings`"
        raise ApiError("told", status=501, said=told)

    def list_models(self, request: Request) -> Answer:
        """With what llama.cpp knows of each."""
        del request
        return self.json(200, llama_cpp_state.model_list(self.spec.models, self.clock()))

    def health(self) -> Answer:
        """Ready; see `route` for the time before."""
        return self.json(200, {"status": "ok"})

    # Headers.

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """No date; errors end the connection (cpp-httplib)."""
        del date
        yield "Server", "llama.cpp"
        yield "Access-Control-Allow-Origin", ""
        if answer.stream:
            yield "X-Accel-Buffering", "no"
        yield from ((name.title(), value) for name, value in answer.headers)
        if chunked:
            yield "Transfer-Encoding", "chunked"
        elif not answer.stream:
            yield "Content-Length", str(len(answer.frames[0].data))
        if answer.closes:
            yield "Connection", "close"
        else:
            yield "Keep-Alive", "timeout=5, max=100"

    # Errors.

    def refuse(self, error: ApiError, path: str) -> Answer:
        """The HTTP layer closes the connection after an error."""
        answer = super().refuse(error, path)
        answer.closes = True
        return answer

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``format_error_response``: an integer code, and no ``param``."""
        kind = _TYPES.get(status, "server_error")
        if error.kind in _LAYER:
            return {"message": message, "type": kind, "code": status}
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
        """``/metrics``, in the Prometheus text format."""
        counts: dict[str, float] = {
            "requests_processing": self.turns.running,
            "requests_deferred": self.turns.waiting,
        }
        text = llama_cpp_state.metrics(counts)
        answer = self.plain(200, text.encode(), "text/plain; version=0.0.4")
        answer.headers.insert(0, ("process-start-time-unix", str(self.started)))
        return answer


dialect = LlamaCppNative
