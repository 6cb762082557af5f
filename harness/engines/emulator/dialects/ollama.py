"""Ollama: its OpenAI doors under ``/v1``, and its own under ``/api``, which LiteLLM uses.

Read at commit fb30760 (2026-08-21): openai/openai.go, middleware/openai.go, server/routes.go,
api/types.go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator.answer import Answer, Frame, Reply
from harness.engines.emulator.asking import (
    ApiError,
    Ask,
    ErrorKind,
    Surface,
    read,
    read_count,
    read_messages,
    read_stop,
)
from harness.engines.emulator.dialects import ollama_models
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import (
    MARK,
    Json,
    Template,
    compact,
    encode,
    event,
    line,
    token_frames,
)
from harness.engines.emulator.pacing import NS_PER_MS
from harness.engines.emulator.vocabulary import embedding
from harness.engines.emulator.wishes import read_inputs
from harness.engines.engine import Capabilities
from harness.engines.tokens import count_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_NDJSON = "application/x-ndjson"


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
    dimensions = 768
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
            "/api/embed": ("POST", self.native_embed),
            "/v1/embeddings": ("POST", self.embed),
        }

    def find(self, model: str) -> ServedModel | None:
        """A name without a tag means ``:latest``."""
        return super().find(model) or super().find(f"{model}:latest")

    # Native requests.

    def native_chat(self, request: Request) -> Ask | Answer:
        """``POST /api/chat``; streams unless told not to, and without messages only loads."""
        body = self.parse(request.body)
        if body.get("messages") == []:
            return self.load_only("native_chat", body)
        messages = read_messages(body)
        return self.native_ask("native_chat", body, messages)

    def native_completion(self, request: Request) -> Ask | Answer:
        """``POST /api/generate``; without a prompt it only loads the model."""
        body = self.parse(request.body)
        prompt = read(body, "prompt", (str,), "")
        if not prompt:
            return self.load_only("native_completion", body)
        return self.native_ask("native_completion", body, prompt)

    def load_only(self, surface: Surface, body: Json) -> Answer:
        """The model is loaded, or with ``keep_alive`` 0 unloaded. Raises ApiError."""
        name, _ = self.model_of(body)
        shape: Json = {"model": name, "created_at": self.timestamp(self.clock())}
        if surface == "native_chat":
            shape["message"] = {"role": "assistant", "content": ""}
        else:
            shape["response"] = ""
        reason = "unload" if body.get("keep_alive") == 0 else "load"
        return self.json(200, {**shape, "done": True, "done_reason": reason})

    def native_ask(self, surface: Surface, body: Json, prompt: Any) -> Ask:
        """Settings are under ``options``; the limit is ``num_predict``. Raises ApiError."""
        options = read(body, "options", (dict,), {})
        name, served = self.model_of(body)
        limit = read_count(options, ["num_predict"], unlimited=True)
        wanted = read(body, "format", (str, dict), None)
        return Ask(
            surface=surface,
            model=name,
            prompt=prompt,
            stream=read(body, "stream", (bool,), True),
            max_tokens=self.fit(served, prompt, limit),
            stop=read_stop(options),
            seed=read(options, "seed", (int,), 0),
            schema=True if wanted == "json" else wanted or None,
        )

    def native_embed(self, request: Request) -> Answer:
        """``POST /api/embed``. Raises ApiError."""
        body = self.parse(request.body)
        texts = read_inputs(body)
        name, _ = self.model_of(body)
        vectors = [embedding(text, self.dimensions) for text in texts]
        counts = {"total_duration": 1, "load_duration": 1}
        words = sum(count_words(text) for text in texts)
        return self.json(
            200, {"model": name, "embeddings": vectors, **counts, "prompt_eval_count": words}
        )

    # Headers.

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """As Go's net/http writes them: names sorted, then the framing."""
        told = [(name.title(), value) for name, value in answer.headers]
        yield from sorted([*told, ("Date", date)])
        if chunked:
            yield "Transfer-Encoding", "chunked"
        elif not answer.stream:
            yield "Content-Length", str(len(answer.frames[0].data))

    def show(self, request: Request) -> Answer:
        """``POST /api/show``; ``name`` is the older word for ``model``. Raises ApiError."""
        body = self.parse(request.body)
        _, served = self.model_of({"model": body.get("model") or body.get("name")})
        return self.json(200, ollama_models.shown(served, self.timestamp(self.started)))

    def tags(self) -> list[Json]:
        """The models on disk."""
        modified = self.timestamp(self.started)
        return [ollama_models.on_disk(model, modified) for model in self.spec.models]

    def loaded(self) -> list[Json]:
        """The models in memory: all, an emulated engine loads nothing."""
        return [ollama_models.in_memory(model) for model in self.spec.models]

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

    def opening_chunks(self, reply: Reply, index: int) -> list[Json]:
        """None for text, see `special_tokens`; a call comes in one piece, see `stream_frames`."""
        del reply, index
        return []

    def special_tokens(self, reply: Reply, index: int) -> dict[int, Json]:
        """The first token brings the role along; log probabilities make each chunk its own."""
        found = super().special_tokens(reply, index)
        words = reply.choices[index].tokens
        if reply.surface == "chat" and words:
            delta = {"role": "assistant", "content": words[0]}
            told = self.logprobs(reply, words[:1], 0) if self.tells_logprobs(reply) else None
            found[0] = self.chunk(reply, [self.chat_choice(reply, index, delta, None, told)])
        return found

    def chat_choice(
        self,
        reply: Reply,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Any = None,
    ) -> Json:
        """No ``logprobs`` unless asked."""
        del reply
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        return choice if logprobs is None else {**choice, "logprobs": logprobs}

    def text_choice(
        self, reply: Reply, index: int, text: str, finish: str | None = None, logprobs: Any = None
    ) -> Json:
        """Likewise, and never here."""
        del reply, logprobs
        return {"text": text, "index": index, "finish_reason": finish}

    def logprobs(self, reply: Reply, words: Sequence[str], offset: int) -> Json:
        """``ChoiceLogprobs`` has ``content`` alone."""
        del offset
        return {"content": [self.chat_logprob(reply, word) for word in words]}

    def chat_body(self, reply: Reply) -> Json:
        """``logprobs`` last, and only if asked for."""
        body = super().chat_body(reply)
        for choice in body["choices"]:
            told = choice.pop("logprobs")
            if told is not None:
                choice["logprobs"] = told
        return body

    def message(self, reply: Reply, index: int) -> Json:
        """No ``refusal``; content is empty beside a call."""
        choice = reply.choices[index]
        if not choice.called:
            return {"role": "assistant", "content": choice.text}
        call = {**self.tool_call(reply, index, choice.text)}
        called = {"id": call["id"], "index": 0, "type": "function", "function": call["function"]}
        return {"role": "assistant", "content": "", "tool_calls": [called]}

    def call_id(self, unique: str) -> str:
        """``call_`` and eight letters."""
        return f"call_{unique[-8:]}"

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
            return self.call_frames(reply) or super().stream_frames(reply)
        words = reply.choices[0].tokens
        template = Template(self.native_line(reply, MARK, done=False), compact, line)
        last = line(compact(self.native_line(reply, "", done=True)))
        return [
            *token_frames([(words, template, {})]),
            Frame("done", last, max(0, len(words) - 1)),
        ]

    def call_frames(self, reply: Reply) -> list[Frame]:
        """A tool call is parsed before it is sent, so it leaves whole with its last token."""
        choice, last = reply.choices[0], reply.last_token
        if choice.called is None:
            return []
        delta = self.message(reply, 0)
        told = self.chunk(reply, [self.chat_choice(reply, 0, delta)])
        return [Frame("token", event(compact(told)), last), *self.closing_frames(reply)]

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
