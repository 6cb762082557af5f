"""vLLM 0.32: pydantic models written with ``exclude_unset``, so unset fields are absent.

Read in vllm/entrypoints/openai: chat_completion/serving.py and protocol.py, engine/protocol.py,
completion/serving.py, and the middleware of api_server.py; held against recordings of a running
server field by field (tests/recordings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines import tokens
from harness.engines.emulator.answer import Answer, Choice, Frame, Reply
from harness.engines.emulator.asking import ApiError
from harness.engines.emulator.dialects import vllm_metrics, vllm_rules
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import Json, event
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.engines.emulator.asking import Ask, ErrorKind, Surface
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_TYPES = {
    400: "BadRequestError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}
_FASTAPI: dict[ErrorKind, str] = {"path": "Not Found", "method": "Method Not Allowed"}
_FINGERPRINT = "vllm-0.32.0-2cb8f0dc"


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
    clips = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "model": "The model `{model}` does not exist.",
        "context": "This model's maximum context length is {limit} tokens. However, your prompt "
        "contains at least {least} input tokens, which exceeds this limit even without any output "
        "tokens. Please reduce the length of the input prompt. "
        "(parameter=input_tokens, value={least})",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Health, metrics, sleep, tokens, version."""
        return {
            **vllm_metrics.routes(self),
            "/ping": ("GET", lambda _: self.plain(200, b"", "")),
            "/load": ("GET", lambda _: self.json(200, {"server_load": self.turns.running})),
            "/version": ("GET", lambda _: self.json(200, {"version": self.version})),
            "/tokenize": ("POST", self.tokenize),
            "/detokenize": ("POST", self.detokenize),
        }

    def needs_key(self, path: str) -> bool:
        """``AuthenticationMiddleware`` guards ``/v1`` only; health and metrics stay open."""
        return path.startswith("/v1")

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """CORS adds ``vary``; the key check comes before it."""
        for name, value in super().headers(answer, date, chunked=chunked):
            if name == "transfer-encoding":
                yield "vary", "Origin"
            yield name, value
        if not chunked and answer.status != 401:
            yield "vary", "Origin"

    # Requests.

    def parse(self, body: bytes) -> Json:
        """See `vllm_rules`."""
        return vllm_rules.parse(body)

    def checked(self, surface: Surface, body: Json) -> Json:
        """See `vllm_rules`."""
        return vllm_rules.checked(surface, body)

    def ask(self, surface: Surface, body: Json, prompt: Any, **wishes: Any) -> Ask:
        """With ``priority``; a tool called by name ends with ``stop``, as with OpenAI."""
        named = isinstance(body.get("tool_choice"), dict)
        priority = body.get("priority") or 0
        more = {"priority": priority, "details": {"named": named}}
        return super().ask(surface, body, prompt, **more, **wishes)

    def render(self, reply: Reply) -> Answer:
        """See `ask`."""
        for choice in reply.choices:
            if choice.finish == "tool_calls" and reply.ask.details.get("named"):
                choice.finish = "stop"
        return super().render(reply)

    def tokenize(self, request: Request) -> Answer:
        """``POST /tokenize`` of a prompt or of messages. Raises ApiError."""
        body = self.parse(request.body)
        _, served = self.model_of(body)
        asked = body.get("messages")
        texts = [body.get("prompt")] if asked is None else [each.get("content") for each in asked]
        ids = [each for text in texts for each in self.tokenizer.encode(str(text or ""))]
        strings = [self.tokenizer.decode([each]) for each in ids]
        return self.json(
            200,
            {
                "count": len(ids),
                "max_model_len": served.context_length,
                "tokens": ids,
                "token_strs": strings if body.get("return_token_strs") else None,
            },
        )

    def detokenize(self, request: Request) -> Answer:
        """``POST /detokenize``. Raises ApiError."""
        body = self.parse(request.body)
        return self.json(200, {"prompt": self.tokenizer.decode(body.get("tokens") or [])})

    def model_card(self, model: ServedModel) -> Json:
        """``ModelCard`` with its one permission."""
        permission = {
            "id": f"modelperm-{tokens_hex(model.id)}",
            "object": "model_permission",
            "created": self.clock(),
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        return {
            "id": model.id,
            "object": "model",
            "created": self.clock(),
            "owned_by": "vllm",
            "root": model.id,
            "parent": None,
            "max_model_len": model.context_length,
            "permission": [permission],
        }

    # Shapes.

    def identity(self, reply: Reply, kind: str) -> Json:
        """Ids of 16 digits; the fingerprint comes later."""
        identity = super().identity(reply, kind)
        del identity["system_fingerprint"]
        identity["id"] = f"{identity['id'].partition('-')[0]}-{reply.id[:16]}"
        return identity

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """``usage`` is absent until the end."""
        kind = "chat.completion.chunk" if reply.surface == "chat" else "text_completion"
        return {**self.identity(reply, kind), "choices": choices}

    def opening_chunks(self, reply: Reply, index: int) -> list[Json]:
        """The role with the prompt's fields set to null, then the name of the tool."""
        if reply.surface != "chat":
            return []
        delta: Json = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        prompt = {"prompt_token_ids": None, "prompt_text": None}
        opening = [{**self.chunk(reply, [choice]), **prompt}]
        called = reply.choices[index].called
        if called:
            function = {"function": {"name": called.name}}
            call = {"id": self.call_id(called.id), "type": "function", "index": 0, **function}
            delta = {"content": None, "tool_calls": [call]}
            opening.append(self.chunk(reply, [self.chat_choice(reply, index, delta)]))
        return opening

    def call_id(self, unique: str) -> str:
        """``make_tool_call_id``."""
        return f"chatcmpl-tool-{unique[-16:]}"

    def arguments_delta(self, reply: Reply, index: int, piece: str) -> Json:
        """The content is null beside it."""
        return {"content": None, **super().arguments_delta(reply, index, piece)}

    def chat_choice(
        self,
        reply: Reply,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Any = None,
    ) -> Json:
        """``stop_reason`` is set only where the choice ends."""
        choice = super().chat_choice(reply, index, delta, finish, logprobs)
        if finish is not None:
            choice["stop_reason"] = reply.choices[index].stop
        return {**choice, "token_ids": None}

    def text_choice(
        self, reply: Reply, index: int, text: str, finish: str | None = None, logprobs: Any = None
    ) -> Json:
        """The legacy endpoint writes unset fields too; in whole answers two more."""
        stop = None if finish is None else reply.choices[index].stop
        choice: Json = {"index": index, "text": text, "logprobs": logprobs}
        choice |= {"finish_reason": finish, "stop_reason": stop}
        if reply.stream:
            return {**choice, "prompt_token_ids": None, "token_ids": None}
        more = {"token_ids": None, "prompt_logprobs": None, "prompt_token_ids": None}
        return {**choice, **more, "routed_experts": None}

    def finish_rides_on_token(self, reply: Reply, choice: Choice) -> bool:
        """The last output carries its text and the reason; only an end token has no text."""
        rides = choice.finish == "length" or choice.cut
        return reply.finish and rides and bool(choice.tokens) and choice.called is None

    def special_tokens(self, reply: Reply, index: int) -> dict[int, Json]:
        """The last chunk of an answer, unless a count follows, tells the fingerprint."""
        special = super().special_tokens(reply, index)
        last = len(reply.choices[index].tokens) - 1
        if self.finish_rides_on_token(reply, reply.choices[index]) and self._ends_here(reply):
            special[last]["system_fingerprint"] = _FINGERPRINT
        return special

    def finish_chunk(self, reply: Reply, index: int) -> Json:
        """The end token: there is nothing in its delta."""
        choice = reply.choices[index]
        if reply.surface == "chat":
            made = self.chunk(reply, [self.chat_choice(reply, index, {}, choice.finish)])
        else:
            made = self.chunk(reply, [self.text_choice(reply, index, "", choice.finish)])
        return {**made, "system_fingerprint": _FINGERPRINT} if self._ends_here(reply) else made

    def _ends_here(self, reply: Reply) -> bool:
        return not (reply.include_usage and reply.usage)

    def usage_chunk(self, reply: Reply) -> Json:
        """The count, then the fingerprint."""
        return {**super().usage_chunk(reply), "system_fingerprint": _FINGERPRINT}

    def logprobs(self, reply: Reply, words: Any, offset: int) -> Json:
        """No ``refusal`` beside them."""
        found = super().logprobs(reply, words, offset)
        found.pop("refusal", None)
        return found

    def chat_body(self, reply: Reply) -> Json:
        """A whole answer, with the fields vLLM adds."""
        body = super().chat_body(reply)
        for choice, made in zip(body["choices"], reply.choices, strict=True):
            choice.update(stop_reason=made.stop, token_ids=None, routed_experts=None)
        prompt = {"prompt_logprobs": None, "prompt_token_ids": None, "prompt_text": None}
        return self._ended(reply, body, prompt)

    def completion_body(self, reply: Reply) -> Json:
        """A whole answer of the legacy endpoint."""
        return self._ended(reply, super().completion_body(reply), {})

    def _ended(self, reply: Reply, body: Json, prompt: Json) -> Json:
        usage = body.pop("usage", None)
        details = {"prompt_tokens_details": None, "completion_tokens_details": None}
        counted = {"usage": {**usage, **details}} if reply.usage else {}
        ending = {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}
        about = {"service_tier": None, "system_fingerprint": _FINGERPRINT}
        return {**body, **about, **counted, **prompt, **ending}

    def message(self, reply: Reply, index: int) -> Json:
        """``ChatMessage``: tool calls only where there are some."""
        choice = reply.choices[index]
        text = "" if choice.called else choice.text
        message: Json = {"role": "assistant", "content": text, "refusal": None, "annotations": None}
        message |= {"audio": None, "function_call": None}
        if choice.called:
            message["tool_calls"] = [self.tool_call(reply, index, choice.text)]
        return {**message, "reasoning": None}

    def usage(self, reply: Reply) -> Json:
        """``UsageInfo`` in its own order."""
        counts = super().usage(reply)
        return {key: counts[key] for key in ("prompt_tokens", "total_tokens", "completion_tokens")}

    # Errors.

    def explain(self, error: ApiError) -> tuple[int, str]:
        """A wrong model is told the right names; a prompt is only counted beyond the context."""
        if error.kind == "context":
            least = min(error.words["prompt"], error.words["limit"] + 1)
            error = ApiError("context", "input_tokens", **error.words, least=least)
        status, message = super().explain(error)
        if error.kind == "model":
            message += f" Valid aliases: {', '.join(model.id for model in self.spec.models)}."
        return status, message

    def refuse(self, error: ApiError, path: str) -> Answer:
        """The key check and FastAPI's own routing have envelopes of their own."""
        if error.kind == "unauthorised":
            return self.json(401, {"error": "Unauthorized"})
        if error.kind in _FASTAPI:
            answer = self.json(self.statuses[error.kind], {"detail": _FASTAPI[error.kind]})
            if error.kind == "method":
                answer.headers.insert(0, ("allow", self.routes[path][0]))
            return answer
        return super().refuse(error, path)

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``ErrorInfo``: the code is the status, as a number; FastAPI's type is the phrase."""
        kind = _TYPES.get(status, "InternalServerError")
        if error.kind in {"missing", "malformed"}:
            kind = "Bad Request"
        param = "input_tokens" if error.kind == "context" else error.param
        return {"message": message, "type": kind, "param": param, "code": status}

    def stream_error(self, error: ApiError, answer: Answer) -> list[Frame]:
        """The generator yields ``[DONE]`` even after an error."""
        return [*super().stream_error(error, answer), Frame("done", event("[DONE]"))]


def tokens_hex(text: str) -> str:
    """16 hexadecimal digits that follow from a text."""
    return tokens.canonical(text).encode().hex()[:16].ljust(16, "0")


dialect = VLLM
