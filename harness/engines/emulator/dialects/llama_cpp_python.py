"""The server of llama-cpp-python (``python -m llama_cpp.server``).

Read in llama_cpp/server: app.py, errors.py, model.py, types.py, and llama_chat_format.py, of
version 0.3.36; held against recordings of a running server field by field (tests/recordings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from harness.engines.emulator.answer import Frame
from harness.engines.emulator.asking import ApiError
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.fields import Field, Flaw, check, plural
from harness.engines.emulator.dialects.shapes import Json, event, spaced
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.engines.emulator.answer import Answer, Choice, Reply
    from harness.engines.emulator.asking import Ask, ErrorKind, Surface
    from harness.engines.emulator.http import Request
    from harness.engines.spec import ServedModel

_OWN_ENVELOPE: tuple[ErrorKind, ...] = ("context", "missing", "invalid", "told")
_APP = "/venv/site-packages/llama_cpp/server/app.py"
_PLACES = {
    "/v1/chat/completions": (376, "create_chat_completion"),
    "/v1/completions": (264, "create_completion"),
    "/v1/embeddings": (360, "create_embedding"),
}
_ROLES = (
    ("ChatCompletionRequestSystemMessage", ("role",)),
    ("ChatCompletionRequestUserMessage", ("role",)),
    ("ChatCompletionRequestAssistantMessage", ("role",)),
    ("ChatCompletionRequestToolMessage", ("role", "tool_call_id")),
    ("ChatCompletionRequestFunctionMessage", ("role", "name")),
)
_TEXTS = ("str", "list[str]")
_SHARED = (
    Field("stream", "bool"),
    Field("stop", "strings", members=_TEXTS),
    Field("presence_penalty", "float", low=-2, high=2),
    Field("frequency_penalty", "float", low=-2, high=2),
    Field("seed", "int"),
    Field("model", "str"),
    Field("n", "int"),
    Field("user", "str"),
)
_CHAT = (
    Field("messages", "messages", roles=_ROLES),
    Field("max_tokens", "int"),
    Field("logprobs", "bool"),
    Field("top_logprobs", "int", low=0),
    Field("temperature", "float"),
    Field("top_p", "float", low=0, high=1),
    *_SHARED,
)
_TEXT = (
    Field("prompt", "strings", members=_TEXTS),
    Field("max_tokens", "int", low=0),
    Field("temperature", "float"),
    Field("top_p", "float", low=0, high=1),
    Field("echo", "bool"),
    Field("logprobs", "int", low=0),
    *_SHARED,
)
_FORMAT = Field("type", "str", literals=("text", "json_object"))


class LlamaCppPython(Dialect):
    """No health, no usage in streams, spaces in its JSON, 500 where 400 is meant."""

    name = "llama_cpp_python"
    version = "0.3.36"
    capabilities = Capabilities(
        stream_usage=False, choices=False, retrieve_model=False, health="/v1/models"
    )
    server = "uvicorn"
    early_head = True
    lengths = ("max_tokens",)  # max_completion_tokens is ignored: llama-cpp-python#1907
    unlimited = True
    extra_choices = "ignore"  # llama-cpp-python#1906
    default_model = True
    any_model = True  # LlamaProxy falls back to its default model
    clips = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    statuses: ClassVar[Mapping[ErrorKind, int]] = {
        **Dialect.statuses,
        "malformed": 500,  # the error handler parses the body again and fails again
        "missing": 500,
        "invalid": 500,  # every validation error is "other errors"
    }
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "Internal Server Error",
        "unauthorised": "Invalid API key",
        "path": "Not Found",
        "method": "Method Not Allowed",
    }

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Embeddings, which need ``--embedding``, and tokens."""
        return {
            "/v1/embeddings": ("POST", self.embed),
            "/extras/tokenize": ("POST", self.tokenize),
            "/extras/tokenize/count": ("POST", self.count_tokens),
            "/extras/detokenize": ("POST", self.detokenize),
        }

    def needs_key(self, path: str) -> bool:
        """The key is a dependency of each route, so an unknown path is unknown first."""
        return path in self.routes

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """sse-starlette's, the request's id and time, CORS; h11 spells the framing its own way."""
        body = list(super().headers(answer, date, chunked=False))
        if answer.stream:
            body[2:2] = [
                ("cache-control", "no-store"),
                ("connection", "keep-alive"),
                ("x-accel-buffering", "no"),
            ]
        yield from body
        if answer.headers[-1:] == [("content-type", "text/plain; charset=utf-8")]:
            return  # the error handler's own failure passes no middleware
        if answer.status == 200:
            yield "openai-processing-ms", "0"
        yield "x-request-id", self.unique()
        yield "vary", "Origin"
        if chunked:
            yield "Transfer-Encoding", "chunked"

    def unique(self) -> str:
        """``uuid4().hex`` of a request, from the seed and how many came before."""
        self._asked = getattr(self, "_asked", 0) + 1
        return UUID(int=(self.spec.seed << 64) + self._asked * 0x9E3779B97F4A7C15 % 2**64).hex

    def dumps(self, value: Any) -> str:
        """``json.dumps`` as it comes."""
        return spaced(value)

    # Requests.

    def checked(self, surface: Surface, body: Json) -> Json:
        """As pydantic takes it. Raises ApiError."""
        chat = surface == "chat"
        taken, flaws = check(body, _CHAT if chat else _TEXT)
        format_ = body.get("response_format")
        if chat and isinstance(format_, dict) and "type" in format_:
            _, wrong = check(format_, [_FORMAT])
            flaws += [
                Flaw(each.type, ("body", "response_format", "type"), each.msg, each.input, each.ctx)
                for each in wrong
            ]
        if flaws:
            raise _refused("/v1/chat/completions" if chat else "/v1/completions", flaws)
        for unread in ("n", "stream_options"):
            taken.pop(unread, None)
        taken["top_logprobs"] = taken.get("top_logprobs") or None
        if not taken["top_logprobs"] and chat:  # without a count there are none
            taken["logprobs"] = None
        if taken.get("tool_choice") == "required":  # is not read
            taken["tool_choice"] = "auto"
        return taken

    def parse(self, body: bytes) -> Json:
        """Raises ApiError."""
        try:
            return super().parse(body)
        except ApiError as error:
            if "value" not in error.words:
                raise
            text = "Input should be a valid dictionary or object to extract fields from"
            flaw = Flaw("model_attributes_type", ("body",), text, error.words["value"])
            raise _refused("/v1/chat/completions", [flaw]) from error

    def read_messages(self, body: Json) -> list[Any]:
        """Even none: whether that is an error is the template's matter."""
        return body.get("messages") or []

    def read_prompt(self, body: Json) -> Any:
        """One text: an assertion without words refuses a list. Raises ApiError."""
        prompt = body.get("prompt", "")
        if not isinstance(prompt, str):
            raise ApiError("invalid", None, said="")
        return prompt

    def length(self, body: Json) -> int | None:
        """Completions get 16 tokens unless told otherwise (CreateCompletionRequest)."""
        given = body.get("max_tokens", None if "messages" in body else 16)
        return None if given is None or given < 1 else int(given)

    def embed(self, request: Request) -> Answer:
        """Not without ``--embedding``. Raises ApiError."""
        body = self.parse(request.body)
        if "input" not in body:
            flaw = Flaw("missing", ("body", "input"), "Field required", body)
            raise _refused("/v1/embeddings", [flaw])
        told = "Llama model must be created with embedding=True to call this method"
        raise ApiError("invalid", None, said=told)

    def tokenize(self, request: Request) -> Answer:
        """``POST /extras/tokenize``."""
        text = str(self.parse(request.body).get("input") or "")
        return self.timed({"tokens": self.tokenizer.encode(text)})

    def count_tokens(self, request: Request) -> Answer:
        """``POST /extras/tokenize/count``."""
        text = str(self.parse(request.body).get("input") or "")
        return self.timed({"count": len(self.tokenizer.encode(text))})

    def detokenize(self, request: Request) -> Answer:
        """``POST /extras/detokenize``."""
        ids = self.parse(request.body).get("tokens") or []
        return self.timed({"text": self.tokenizer.decode(ids)})

    def timed(self, value: Json) -> Answer:
        """An answer of a route of its own."""
        return self.json(200, value)

    def model_card(self, model: ServedModel) -> Json:
        """``ModelData``: there is no ``created``."""
        return {"id": model.id, "object": "model", "owned_by": "me", "permissions": []}

    # Shapes.

    def identity(self, reply: Reply, kind: str) -> Json:
        """Ids are UUIDs; chat chunks have another order, but not those of a call."""
        identity = super().identity(reply, kind)
        del identity["system_fingerprint"]
        prefix = identity["id"].partition("-")[0]
        identity["id"] = f"{prefix}-{UUID(hex=reply.id)}"
        if kind == "chat.completion.chunk" and not reply.choices[0].called:
            return {key: identity[key] for key in ("id", "model", "created", "object")}
        return identity

    def opening_chunks(self, reply: Reply, index: int) -> list[Json]:
        """Only the role, no content; of a call, all fields set to null."""
        if reply.surface != "chat":
            return []
        delta: Json = {"role": "assistant"}
        if reply.choices[index].called:
            delta |= {"content": None, "function_call": None, "tool_calls": None}
        return [self.chunk(reply, [self.chat_choice(reply, index, delta)])]

    def chat_choice(
        self,
        reply: Reply,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Any = None,
    ) -> Json:
        """The order of a call's chunks is another."""
        if not reply.choices[index].called:
            return super().chat_choice(reply, index, delta, finish, logprobs)
        return {"index": index, "finish_reason": finish, "logprobs": None, "delta": delta}

    def arguments_delta(self, reply: Reply, index: int, piece: str) -> Json:
        """Every piece names the call again, in the old way and in the new one."""
        call = self.tool_call(reply, index, piece)
        calls = [{"index": 0, **call}]
        delta = {"role": None, "content": None, "function_call": call["function"]}
        return {**delta, "tool_calls": calls}

    def special_tokens(self, reply: Reply, index: int) -> dict[int, Json]:
        """A piece of a call stands in its chunk twice, so no template has one hole for it."""
        choice = reply.choices[index]
        if not choice.called:
            return super().special_tokens(reply, index)
        return {k: self.token_chunk(reply, index, piece) for k, piece in enumerate(choice.tokens)}

    def closing_frames(self, reply: Reply) -> list[Frame]:
        """A call ends with an empty piece of its arguments."""
        frames = super().closing_frames(reply)
        if reply.choices[0].called:
            piece = event(self.dumps(self.token_chunk(reply, 0, "")))
            frames.insert(0, Frame("token", piece, reply.last_token))
        return frames

    def finish_chunk(self, reply: Reply, index: int) -> Json:
        """The end of a call repeats the fields set to null."""
        choice = reply.choices[index]
        if not choice.called:
            return super().finish_chunk(reply, index)
        delta = {"role": None, "content": None, "function_call": None, "tool_calls": None}
        return self.chunk(reply, [self.chat_choice(reply, index, delta, choice.finish)])

    def tool_call(self, reply: Reply, index: int, arguments: str) -> Json:
        """The id holds the name of the tool and the id of the answer."""
        call = super().tool_call(reply, index, arguments)
        unique = UUID(hex=reply.id)
        return {**call, "id": f"call__0_{call['function']['name']}_cmpl-{unique}"}

    def logprob_entry(self, word: str, value: float) -> Json:
        """No bytes."""
        return {"token": word, "logprob": value, "bytes": None}

    def chat_logprob(self, reply: Reply, word: str) -> Json:
        """In streams in another order."""
        found = super().chat_logprob(reply, word)
        order = ("token", "bytes", "logprob", "top_logprobs")
        return {key: found[key] for key in order} if reply.stream else found

    def logprobs(self, reply: Reply, words: Sequence[str], offset: int) -> Json:
        """In streams of completions in another order."""
        found = super().logprobs(reply, words, offset)
        if reply.surface == "chat" or not reply.stream:
            return found
        order = ("tokens", "text_offset", "token_logprobs", "top_logprobs")
        return {key: found[key] for key in order}

    def text_start(self, reply: Reply) -> int:
        """Offsets count the prompt."""
        prompt = reply.ask.prompt
        return len(prompt) if isinstance(prompt, str) else 0

    def message(self, reply: Reply, index: int) -> Json:
        """The role after the content; a call in the old way too."""
        choice = reply.choices[index]
        if not choice.called:
            return {"content": choice.text, "role": "assistant"}
        call = self.tool_call(reply, index, choice.text)
        message = {"content": None, "tool_calls": [call], "role": "assistant"}
        return {**message, "function_call": call["function"]}

    def finish_rides_on_token(self, reply: Reply, choice: Choice) -> bool:
        """It never does."""
        del reply, choice
        return False

    # Errors.

    def refuse(self, error: ApiError, path: str) -> Answer:
        """Only its own route class makes envelopes; Starlette and FastAPI answer the rest."""
        status, message = self.explain(error)
        if error.kind == "malformed":
            return self.plain(status, message.encode(), "text/plain; charset=utf-8")
        if error.kind in _OWN_ENVELOPE:
            return super().refuse(error, path)
        answer = self.json(status, {"detail": message})
        if error.kind == "method":
            answer.headers.insert(0, ("allow", self.routes[path][0]))
        return answer

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``ErrorResponseFormatters``, or "internal_server_error" for all that they do not know."""
        if error.kind == "context":
            return super().error(error, status, message)
        known = {"type": "internal_server_error", "param": None, "code": None}
        return {"message": message, **known}


def _refused(path: str, flaws: Sequence[Flaw]) -> ApiError:
    """``RequestValidationError`` as text: what is wrong, and where the route is defined."""
    line, function = _PLACES[path]
    lines = [plural(flaws), *(f"  {flaw.told()}" for flaw in flaws), ""]
    lines += [f'  File "{_APP}", line {line}, in {function}', f"    POST {path}"]
    return ApiError("invalid", None, said="\n".join(lines))


dialect = LlamaCppPython
