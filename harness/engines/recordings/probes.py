"""The questions: every one of them is asked of every server, also what it does not have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

MODEL = "tiny"
"""The name the recorded server gives to its model (``--alias``, ``--served-model-name``)."""
CONTEXT = 4096
"""The context the recorded server is started with."""
KEY = "a-key-for-the-recording"
"""The bearer the recorded server is started with."""

Who = Literal["key", "wrong", "nobody"]

_CHAT = "/v1/chat/completions"
_TEXT = "/v1/completions"
_HI = [{"role": "user", "content": "say hi to the contract"}]
_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Oslo", "Rome"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 3},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": ["red", "green"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "ready": {"type": "boolean"},
    },
    "required": ["colour", "count", "ready"],
    "additionalProperties": False,
}
_NAMED = {"type": "function", "function": {"name": "get_weather"}}
_MESSAGES = {"model": MODEL, "max_tokens": 4, "messages": _HI}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request. ``body`` is sent as JSON, bytes as they are, None not at all."""

    id: str
    method: str
    path: str
    body: Any = None
    who: Who = "key"

    @property
    def data(self) -> bytes | None:
        """The body as it is sent."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Request headers; both the OpenAI and the Anthropic way to present a key."""
        keys = {"key": KEY, "wrong": "wrong"}
        sent = {} if self.data is None else {"content-type": "application/json"}
        if self.path.startswith("/v1/messages"):
            sent["anthropic-version"] = "2023-06-01"
            if self.who in keys:
                sent["x-api-key"] = keys[self.who]
        if self.who in keys:
            sent["authorization"] = f"Bearer {keys[self.who]}"
        return sent


def _chat(id_: str, *, who: Who = "key", drop: tuple[str, ...] = (), **more: Any) -> Probe:
    body = {"model": MODEL, "messages": _HI, "max_tokens": 4, "temperature": 0, "seed": 7, **more}
    kept = {name: value for name, value in body.items() if name not in drop}
    return Probe(id=id_, method="POST", path=_CHAT, body=kept, who=who)


def _text(id_: str, *, drop: tuple[str, ...] = (), **more: Any) -> Probe:
    body = {"model": MODEL, "prompt": "once upon", "max_tokens": 4, "temperature": 0, **more}
    kept = {name: value for name, value in body.items() if name not in drop}
    return Probe(id=id_, method="POST", path=_TEXT, body=kept)


def _get(id_: str, path: str, who: Who = "key") -> Probe:
    return Probe(id=id_, method="GET", path=path, who=who)


def _post(id_: str, path: str, body: Any, who: Who = "key") -> Probe:
    return Probe(id=id_, method="POST", path=path, body=body, who=who)


def _schema(**more: Any) -> dict[str, Any]:
    wrapped = {"name": "answer", "strict": True, "schema": _SCHEMA}
    return {"response_format": {"type": "json_schema", "json_schema": wrapped}, **more}


def _tools(choice: Any, **more: Any) -> dict[str, Any]:
    return {"tools": [_TOOL], "tool_choice": choice, "max_tokens": 256, **more}


CHAT: tuple[Probe, ...] = (
    _chat("chat"),
    _chat("chat.stream", stream=True),
    _chat("chat.stream.usage", **_USAGE),
    _chat("chat.length.1.stream", max_tokens=1, stream=True),
    _chat("chat.max_completion_tokens", drop=("max_tokens",), max_completion_tokens=4, stop=[":"]),
    _chat("chat.parts", messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
    _chat("chat.system", messages=[{"role": "system", "content": "be short"}, *_HI]),
    _chat("chat.n2", n=2, temperature=0.5),
    _chat("chat.n2.greedy", n=2),
    _chat("chat.n2.stream", n=2, temperature=0.5, **_USAGE),
    _chat("chat.stop", max_tokens=16, stop=["a"]),
    _chat("chat.stop.stream", max_tokens=16, stop=["a"], **_USAGE),
    _chat("chat.logprobs", logprobs=True, top_logprobs=2),
    _chat("chat.logprobs.none_top", logprobs=True),
    _chat("chat.logprobs.stream", logprobs=True, top_logprobs=2, stream=True),
    _chat("chat.json_schema", max_tokens=256, **_schema()),
    _chat("chat.json_schema.stream", max_tokens=256, **_schema(**_USAGE)),
    _chat("chat.tools.none", **_tools("none", max_tokens=4)),
    _chat("chat.tools.required", **_tools("required")),
    _chat("chat.tools.named", **_tools(_NAMED)),
    _chat("chat.tools.named.stream", **_tools(_NAMED, **_USAGE)),
    _chat("chat.no_model", drop=("model",)),
    _chat("chat.unknown_key", no_such_parameter=1),
)
"""Chat completions that are answered, by those servers that can."""

TEXT: tuple[Probe, ...] = (
    _text("text"),
    _text("text.stream", stream=True),
    _text("text.stream.usage", **_USAGE),
    _text("text.tokens", prompt=[70, 71, 72]),
    _text("text.list", prompt=["once", "twice"]),
    _text("text.n2", n=2, temperature=0.5),
    _text("text.stop", max_tokens=16, stop="a"),
    _text("text.echo", echo=True),
    _text("text.logprobs", logprobs=2),
    _text("text.logprobs.stream", logprobs=2, stream=True),
)
"""The legacy endpoint."""

REFUSED: tuple[Probe, ...] = (
    _chat("bad.model", model="no-such-model"),
    _chat("bad.model.stream", model="no-such-model", stream=True),
    _text("bad.model.text", model="no-such-model"),
    _post("bad.json", _CHAT, b'{"model": "tiny", "messages": ['),
    _post("bad.empty", _CHAT, b""),
    _post("bad.list", _CHAT, []),
    _chat("bad.messages.missing", drop=("messages",)),
    _chat("bad.messages.text", messages="hi"),
    _chat("bad.messages.empty", messages=[]),
    _chat("bad.messages.item", messages=["hi"]),
    _chat("bad.messages.role", messages=[{"content": "hi"}]),
    _chat("bad.messages.content", messages=[{"role": "user", "content": 3}]),
    _chat("bad.temperature.type", temperature="hot"),
    _chat("bad.temperature.range", temperature=-1),
    _chat("bad.top_p.range", top_p=2),
    _chat("bad.stream.type", stream="maybe"),
    _chat("bad.max_tokens.type", max_tokens="ten"),
    _chat("bad.max_tokens.0", max_tokens=0, stop=[":"]),
    _chat("bad.max_tokens.negative", max_tokens=-5, stop=[":"]),
    _chat("bad.n.0", n=0),
    _chat("bad.stop.type", stop=[1]),
    _chat("bad.seed.type", seed="x"),
    _chat("bad.top_logprobs.alone", top_logprobs=2),
    _chat("bad.tool_choice.alone", tool_choice="required"),
    _chat("bad.response_format", response_format={"type": "poem"}),
    _chat("bad.overflow", max_tokens=CONTEXT, stop=[":"]),
    _chat("bad.overflow.prompt", messages=[{"role": "user", "content": "w " * (CONTEXT + 8)}]),
    _text("bad.prompt.missing", drop=("prompt",)),
    _text("bad.prompt.type", prompt=3),
    _text("bad.max_tokens.text.0", max_tokens=0, stop=[":"]),
    _chat("key.wrong", who="wrong"),
    _chat("key.none", who="nobody"),
    _get("key.models.none", "/v1/models", "nobody"),
    _get("key.health.none", "/health", "nobody"),
    _get("key.path.none", "/nowhere", "nobody"),
    _get("method.chat", _CHAT),
    _post("method.models", "/v1/models", {}),
    Probe(id="method.delete", method="DELETE", path=_CHAT),
    _get("path.unknown", "/v1/nowhere"),
    _post("path.unknown.post", "/nowhere", {}),
)
"""What is wrong, and how it is told."""

REST: tuple[Probe, ...] = (
    _get("models", "/v1/models"),
    _get("models.bare", "/models"),
    _get("models.retrieve", f"/v1/models/{MODEL}"),
    _get("models.retrieve.unknown", "/v1/models/no-such-model"),
    _post("embeddings", "/v1/embeddings", {"model": MODEL, "input": "hi"}),
    _post("embeddings.bad", "/v1/embeddings", {"model": MODEL}),
    _post("tokenize", "/tokenize", {"model": MODEL, "prompt": "hi", "content": "hi"}),
    _post("tokenize.chat", "/tokenize", {"model": MODEL, "messages": _HI}),
    _post("detokenize", "/detokenize", {"model": MODEL, "tokens": [70, 71]}),
    _post("extras.tokenize", "/extras/tokenize", {"input": "hi"}),
    _post("extras.tokenize.count", "/extras/tokenize/count", {"input": "hi"}),
    _post("extras.detokenize", "/extras/detokenize", {"tokens": [70, 71]}),
    _post("template", "/apply-template", {"messages": _HI}),
    _post("native", "/completion", {"prompt": "once upon", "n_predict": 4, "temperature": 0}),
    _post("native.stream", "/completion", {"prompt": "once upon", "n_predict": 4, "stream": True}),
    _get("health", "/health"),
    _get("health.v1", "/v1/health"),
    _get("ping", "/ping"),
    _get("load", "/load"),
    _get("version", "/version"),
    _get("props", "/props"),
    _get("slots", "/slots"),
    _get("metrics", "/metrics", "nobody"),
    _get("lora", "/lora-adapters"),
    _get("root", "/"),
    _get("sleeping", "/is_sleeping"),
    _post("responses", "/v1/responses", {"model": MODEL, "input": "hi", "max_output_tokens": 4}),
)
"""Models, embeddings, tokens, health: what is not a completion in OpenAI's dialect."""

MESSAGES: tuple[Probe, ...] = (
    _post("messages", "/v1/messages", _MESSAGES),
    _post("messages.stream", "/v1/messages", {**_MESSAGES, "stream": True}),
    _post("messages.bad", "/v1/messages", {"model": MODEL, "max_tokens": 4}),
    _post("messages.model", "/v1/messages", {**_MESSAGES, "model": "no-such-model"}),
    _post("messages.key", "/v1/messages", _MESSAGES, "wrong"),
    _post("messages.count", "/v1/messages/count_tokens", {"model": MODEL, "messages": _HI}),
)
"""Anthropic's Messages API, which vLLM and llama-server serve too."""

PROBES: tuple[Probe, ...] = CHAT + TEXT + REFUSED + REST + MESSAGES
"""All of them, in the order they are asked."""
