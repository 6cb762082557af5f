"""What OpenAI's API accepts and refuses, and the places where its imitators differ.

Checks and wording follow the OpenAI API reference (chat completions, completions, models, error
codes). A dialect overrides what its server does otherwise, and says where that was read.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote

from harness.engines import tokens
from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.asking import (
    ApiError,
    Ask,
    ErrorKind,
    Surface,
    parse_json,
    read,
    read_count,
    read_messages,
    read_number,
    read_prompt,
    read_stop,
)
from harness.engines.emulator.dialects.shapes import Json, event
from harness.engines.emulator.dialects.writing import Writing
from harness.engines.emulator.vocabulary import Tokenizer, embedding
from harness.engines.emulator.wishes import (
    read_call,
    read_format,
    read_inputs,
    read_logprobs,
    read_text_logprobs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.emulator.http import Request
    from harness.engines.emulator.pacing import Turns
    from harness.engines.engine import Capabilities
    from harness.engines.spec import EmulatorSpec, ServedModel

_MOST_CHOICES = 128


class Dialect(Writing):
    """How one kind of server speaks: routes, checks, shapes and errors."""

    name: ClassVar[str]
    version: ClassVar[str]
    """The release whose source or documentation was followed."""
    capabilities: ClassVar[Capabilities]
    lengths: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "max_tokens")
    """Fields that limit the answer, the one that wins first."""
    unlimited: ClassVar[bool] = False
    """A limit below 1 means none, rather than an error."""
    extra_choices: ClassVar[Literal["honour", "refuse", "ignore"]] = "honour"
    default_model: ClassVar[bool] = False
    """A request that names no model gets the first."""
    any_model: ClassVar[bool] = False
    """A model that is not served is answered by the first, under the name that was asked for."""
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"temperature": (0, 2), "top_p": (0, 1)}
    """Lowest and highest value of sampling parameters."""
    default_logprobs: ClassVar[int] = 0
    """Alternatives told with each token when the request does not say how many."""
    default_length: ClassVar[int | None] = None
    """Length of an answer that nothing limits; None: see `Settings.default_max_tokens`."""
    dimensions: ClassVar[int] = 1536
    """Length of an embedding."""
    clips: ClassVar[bool] = False
    """An answer too long for the context is cut to fit; only a prompt too long is refused."""

    statuses: ClassVar[Mapping[ErrorKind, int]] = {
        "malformed": 400,
        "missing": 400,
        "invalid": 400,
        "model": 404,
        "context": 400,
        "unauthorised": 401,
        "path": 404,
        "method": 405,
        "told": 500,
    }
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        "malformed": "We could not parse the JSON body of your request: {reason}.",
        "missing": "Missing required parameter: '{param}'.",
        "invalid": "Invalid value for '{param}': {reason}.",
        "model": "The model `{model}` does not exist or you do not have access to it.",
        "context": "This model's maximum context length is {limit} tokens. However, you requested "
        "{total} tokens ({prompt} in the messages, {asked} in the completion). "
        "Please reduce the length of the messages or completion.",
        "unauthorised": "Incorrect API key provided.",
        "path": "Invalid URL ({method} {path})",
        "method": "Not allowed to {method} on {path}.",
        "told": "{reason}",
    }
    codes: ClassVar[Mapping[ErrorKind, str]] = {
        "missing": "missing_required_parameter",
        "invalid": "invalid_value",
        "model": "model_not_found",
        "context": "context_length_exceeded",
        "unauthorised": "invalid_api_key",
        "path": "unknown_url",
        "method": "method_not_supported",
    }

    def __init__(self, spec: EmulatorSpec, clock: Callable[[], int], turns: Turns) -> None:
        self.spec, self.clock, self.turns = spec, clock, turns
        self.started = clock()
        self.tokenizer = Tokenizer()
        self.routes: dict[str, tuple[str, Callable[[Request], Answer | Ask]]] = {
            "/v1/chat/completions": ("POST", self.chat),
            "/v1/completions": ("POST", self.completion),
            "/v1/models": ("GET", self.list_models),
            **self.more_routes(),
        }

    # What a dialect may add or decide.

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Paths beside ``/v1``, with their method."""
        return {}

    def needs_key(self, path: str) -> bool:
        """Whether a path is closed to those without the key."""
        del path
        return True

    def find(self, model: str) -> ServedModel | None:
        """The model served under a name."""
        return next((each for each in self.spec.models if each.id == model), None)

    # Requests.

    def route(self, request: Request) -> Answer | Ask:
        """Answer what needs no generation; else say what is asked. Raises ApiError."""
        path, key = request.path, self.spec.api_key
        if key is not None and self.needs_key(path) and request.bearer != key:
            raise ApiError("unauthorised")
        method, handler = self.routes.get(path, ("", None))
        model_path = "/v1/models/"
        if self.capabilities.retrieve_model and path.startswith(model_path):
            method, handler = "GET", self.retrieve_model
        if handler is None:
            raise ApiError("path", method=request.method, path=path)
        if request.method != method:
            raise ApiError("method", method=request.method, path=path)
        return handler(request)

    def chat(self, request: Request) -> Ask:
        """``POST /v1/chat/completions``."""
        body = self.checked("chat", self.parse(request.body))
        messages = self.read_messages(body)
        return self.ask(
            "chat",
            body,
            messages,
            logprobs=read_logprobs(body, default=self.default_logprobs),
            schema=read_format(body),
            call=read_call(body),
        )

    def completion(self, request: Request) -> Ask:
        """``POST /v1/completions``, the legacy endpoint."""
        body = self.checked("completion", self.parse(request.body))
        prompt = self.read_prompt(body)
        several = isinstance(prompt, list) and not all(isinstance(each, int) for each in prompt)
        return self.ask(
            "completion",
            body,
            prompt,
            logprobs=read_text_logprobs(body),
            echo=bool(read(body, "echo", (bool,), False)),
            prompts=tuple(prompt) if several else (),
        )

    def parse(self, body: bytes) -> Json:
        """The body as a JSON object. Raises ApiError."""
        return parse_json(body)

    def checked(self, surface: Surface, body: Json) -> Json:
        """The body as this server understands it. Raises ApiError."""
        del surface
        return body

    def read_messages(self, body: Json) -> list[Any]:
        """``messages`` of a chat. Raises ApiError."""
        return read_messages(body)

    def read_prompt(self, body: Json) -> Any:
        """``prompt`` of a completion. Raises ApiError."""
        return read_prompt(body)

    def ask(self, surface: Surface, body: Json, prompt: Any, **wishes: Any) -> Ask:
        """Check what both endpoints share. Raises ApiError."""
        for name, (low, high) in self.ranges.items():
            read_number(body, name, low, high)
        options = read(body, "stream_options", (dict,), {})
        include_usage = read(options, "include_usage", (bool,), False)
        name, served = self.model_of(body)
        return Ask(
            surface=surface,
            model=name,
            prompt=prompt,
            stream=read(body, "stream", (bool,), False),
            include_usage=include_usage and self.capabilities.stream_usage,
            max_tokens=self.fit(served, prompt, self.length(body)),
            choices=self.count_choices(body),
            stop=read_stop(body),
            seed=read(body, "seed", (int,), 0),
            **wishes,
        )

    def length(self, body: Json) -> int | None:
        """The limit the request sets on its answer."""
        return read_count(body, self.lengths, unlimited=self.unlimited)

    def model_of(self, body: Json) -> tuple[str, ServedModel]:
        """The name the answer will carry, and the model that gives it. Raises ApiError."""
        first = self.spec.models[0]
        name = read(body, "model", (str,), "") or (first.id if self.default_model else "")
        if not name:
            raise ApiError("missing", "model")
        served = self.find(name)
        if served is None and not self.any_model:
            raise ApiError("model", "model", model=name)
        return name, served or first

    def fit(self, served: ServedModel, prompt: Any, asked: int | None) -> int | None:
        """The limit after the context had its say. Raises ApiError."""
        limit, words = served.context_length, tokens.count_words(prompt)
        if words >= limit or (not self.clips and words + (asked or 0) > limit):
            total = words + (asked or 0)
            raise ApiError(
                "context", "messages", limit=limit, total=total, prompt=words, asked=asked or 0
            )
        return None if asked is None else min(asked, limit - words)

    def count_choices(self, body: Json) -> int:
        """``n``. Raises ApiError."""
        count = read_count(body, ["n"]) or 1
        if count > 1 and self.extra_choices == "refuse":
            raise ApiError("invalid", "n", reason="only one completion choice is allowed")
        if count > _MOST_CHOICES:
            raise ApiError("invalid", "n", reason=f"expected at most {_MOST_CHOICES}, got {count}")
        return count if self.extra_choices == "honour" else 1

    # Embeddings.

    def embed(self, request: Request) -> Answer:
        """``POST /v1/embeddings``. Raises ApiError."""
        body = self.parse(request.body)
        texts = read_inputs(body)
        name, _ = self.model_of(body)
        length = read_count(body, ["dimensions"]) or self.dimensions
        packed = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(text, length, packed)}
            for index, text in enumerate(texts)
        ]
        count = sum(tokens.count_words(text) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return self.json(200, {"object": "list", "data": data, "model": name, "usage": usage})

    # Models.

    def list_models(self, request: Request) -> Answer:
        """``GET /v1/models``."""
        del request
        cards = [self.model_card(model) for model in self.spec.models]
        return self.json(200, {"object": "list", "data": cards})

    def retrieve_model(self, request: Request) -> Answer:
        """``GET /v1/models/{id}``. Raises ApiError."""
        name = unquote(request.path.removeprefix("/v1/models/"))
        found = self.find(name)
        if found is None:
            raise ApiError("model", "model", model=name)
        return self.json(200, self.model_card(found))

    def model_card(self, model: ServedModel) -> Json:
        """One entry of the model list."""
        card = {"id": model.id, "object": "model", "created": self.started}
        return {**card, "owned_by": "organization-owner"}

    # Errors.

    def refuse(self, error: ApiError, path: str) -> Answer:
        """The error answer; ``path`` for servers whose doors have different envelopes."""
        del path
        status, message = self.explain(error)
        return self.json(status, {"error": self.error(error, status, message)})

    def explain(self, error: ApiError) -> tuple[int, str]:
        """Status and message of an error."""
        status = error.status or self.statuses[error.kind]
        if "said" in error.words:
            return status, str(error.words["said"])
        return status, self.messages[error.kind].format(param=error.param, **error.words)

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """The inside of the error envelope."""
        kind, code = "invalid_request_error", self.codes.get(error.kind)
        if error.kind == "told":
            by_status = {429: ("requests", "rate_limit_exceeded")}
            kind, code = by_status.get(status, ("server_error" if status >= 500 else kind, None))
        return {"message": message, "type": kind, "param": error.param, "code": code}

    def stream_error(self, error: ApiError, answer: Answer) -> list[Frame]:
        """A failure told in ``answer`` after it has begun; nothing follows it."""
        del answer
        status, message = self.explain(error)
        return [Frame("error", event(self.dumps({"error": self.error(error, status, message)})))]


def _vector(text: str, length: int, packed: bool) -> list[float] | str:  # noqa: FBT001
    """An embedding as numbers, or as base64 of little-endian 32-bit floats."""
    vector = embedding(text, length)
    return base64.b64encode(struct.pack(f"<{length}f", *vector)).decode() if packed else vector
