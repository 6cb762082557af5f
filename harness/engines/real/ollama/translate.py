"""Native requests as llama-server understands them, and its answers as Ollama would give them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from harness.engines.real.ollama.residency import Refusal

Json = dict[str, Any]
NS_PER_MS = 1_000_000
_OPTIONS = (
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "repeat_penalty"),
    *("repeat_last_n", "presence_penalty", "frequency_penalty"),
)
"""Options with the same name and meaning on both sides. Those that would make Ollama load its
model differently (``num_ctx``, ``num_gpu``, ...) change nothing here."""
_FINISH = {"length": "length"}


def chat_request(body: Json) -> Json:
    """``POST /v1/chat/completions`` for an ``/api/chat``. Raises `Refusal`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise Refusal(400, "messages must be a list of objects")
    out = {"messages": [_message(each) for each in messages], **_settings(body)}
    if body.get("tools"):
        out["tools"] = body["tools"]
    return out


def generate_request(body: Json) -> tuple[str, Json]:
    """Path and body for an ``/api/generate``: one turn, or ``raw`` text. Raises `Refusal`."""
    prompt = body.get("prompt") or ""
    if not isinstance(prompt, str):
        raise Refusal(400, "prompt must be a string")
    if body.get("images"):
        raise Refusal(400, "this model is missing data required for image input")
    if body.get("raw"):
        return "/v1/completions", {"prompt": prompt, **_settings(body)}
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    messages = [*system, {"role": "user", "content": prompt}]
    return "/v1/chat/completions", {"messages": messages, **_settings(body)}


def _settings(body: Json) -> Json:
    options = body.get("options") or {}
    if not isinstance(options, dict):
        raise Refusal(400, "options must be an object")
    out: Json = {"stream": True, "stream_options": {"include_usage": True}}
    out |= {name: options[name] for name in _OPTIONS if options.get(name) is not None}
    limit = options.get("num_predict")
    if isinstance(limit, int) and limit >= 0:
        out["max_tokens"] = limit
    if stop := options.get("stop"):
        out["stop"] = [stop] if isinstance(stop, str) else stop
    shape = body.get("format")
    if shape == "json":
        out["response_format"] = {"type": "json_object"}
    elif isinstance(shape, dict):
        schema = {"name": "format", "schema": shape, "strict": True}
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif shape:
        raise Refusal(400, f'invalid format: {json.dumps(shape)}; expected "json" or a schema')
    return out


def _message(message: Json) -> Json:
    if message.get("images"):
        raise Refusal(400, "this model is missing data required for image input")
    out = {"role": message.get("role", ""), "content": message.get("content") or ""}
    if calls := message.get("tool_calls"):
        out["tool_calls"] = [_call(number, each) for number, each in enumerate(calls)]
    if name := message.get("tool_name"):
        out["name"] = name
    return out


def _call(number: int, call: Json) -> Json:
    """Ollama's arguments are an object, OpenAI's the text of one; only the latter has ids."""
    function = call.get("function", {})
    arguments = json.dumps(function.get("arguments", {}))
    return {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": arguments},
    }


@dataclass(slots=True)
class Answer:
    """What a streamed answer of llama-server has said so far."""

    finish: str = "stop"
    prompt_tokens: int = 0
    tokens: int = 0
    prompt_ns: int = 0
    tokens_ns: int = 0
    calls: dict[int, Json] = field(default_factory=dict)

    def take(self, event: Json) -> tuple[str, str]:
        """Text and reasoning that an event adds; the rest is kept for the end."""
        if usage := event.get("usage"):
            self.prompt_tokens = usage["prompt_tokens"]
            self.tokens = usage["completion_tokens"]
        if timings := event.get("timings"):
            self.prompt_ns = int(timings["prompt_ms"] * NS_PER_MS)
            self.tokens_ns = int(timings["predicted_ms"] * NS_PER_MS)
        text = thought = ""
        for choice in event.get("choices", ()):
            delta = choice.get("delta", choice)
            text += delta.get("content") or delta.get("text") or ""
            thought += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                self._call(call)
            if reason := choice.get("finish_reason"):
                self.finish = _FINISH.get(reason, "stop")
        return text, thought

    def _call(self, part: Json) -> None:
        call = self.calls.setdefault(part.get("index", 0), {"name": "", "arguments": ""})
        for key, piece in (part.get("function") or {}).items():
            if key in call:
                call[key] += piece or ""

    def tool_calls(self) -> list[Json]:
        """The calls, in Ollama's form."""
        return [
            {"function": {"name": call["name"], "arguments": _object(call["arguments"])}}
            for _, call in sorted(self.calls.items())
        ]

    def metrics(self, *, total_ns: int, load_ns: int) -> Json:
        """The fields of ``api.Metrics``; times are nanoseconds."""
        return {
            "total_duration": total_ns,
            "load_duration": load_ns,
            "prompt_eval_count": self.prompt_tokens,
            "prompt_eval_duration": self.prompt_ns,
            "eval_count": self.tokens,
            "eval_duration": self.tokens_ns,
        }


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}
