"""An answer reduced to what two servers of one kind must have in common.

Kept as they are: status, names and order of headers, keys and their order, types, words, flags,
error messages, and the order of events. Reduced to their kind: what must differ from answer to
answer, such as ids, times, generated text and counts of tokens. Runs of events, or of elements
of a list, that reduce to the same are one.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from harness.engines.recordings.probes import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.recordings.recording import Reply

Lines = dict[str, str]
"""What was found, by where it was found; for objects and headers also the order of their names."""

_IDS = {"id", "system_fingerprint", "media_marker", "x-request-id"}
_TEXTS = {
    *("content", "text", "token", "arguments", "partial_json", "prompt", "root", "model_path"),
    *("chat_template", "bos_token", "eos_token", "stop_sequence", "response", "generation_prompt"),
}
_COUNTS = {
    *("created", "created_at", "completed_at", "modified_at", "expires_at", "size", "size_vram"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "n_prompt_tokens"),
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "tokens_predicted", "count"),
    *("tokens_evaluated", "tokens_cached", "original_input_tokens", "id_slot", "id_task"),
    *("n_vocab", "n_embd", "n_params", "vocab_type", "n_prompt_tokens_processed", "digest"),
    *("n_prompt_tokens_cache", "cache_n", "prompt_n", "predicted_n", "n_ctx_train", "logprob"),
    *("prompt_eval_count", "eval_count", "total_duration", "load_duration", "eval_duration"),
    *("prompt_eval_duration", "content-length", "openai-processing-ms", "server_load"),
    *("process-start-time-unix", "n_decoded", "n_remain", "date"),
}
_TOKEN_ID = 8
"""Numbers below it that are called id count something; the others are in a vocabulary."""
_LISTS = {"bytes", "tokens", "text_offset", "token_logprobs", "embedding"}
_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_WORD = re.compile(r"(?![0-9a-f]+$)[a-z]{1,11}")
_SPACE = re.compile(r'^[\[{]*"[^"]*":( ?)')
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(\{.*\})? \S+$")


def reduce(reply: Reply) -> Lines:
    """The lines of one answer."""
    lines = {"status": str(reply.status), "headers": ", ".join(name for name, _ in reply.headers)}
    for name, value in reply.headers:
        lines[f"header {name}"] = _header(name.lower(), value)
    return lines | dict(_body(reply))


def _header(name: str, value: str) -> str:
    if name == "date":
        return "<date>" if _DATE.fullmatch(value) else value
    return _scalar(name, int(value) if value.isdigit() else value)


def _body(reply: Reply) -> Iterator[tuple[str, str]]:
    kind = reply.header("content-type")
    if kind.startswith("text/event-stream"):
        yield from _stream([_event(block) for block in reply.body.split("\n\n") if block.strip()])
        yield "ends", repr(reply.body[-2:])
    elif kind.startswith("application/x-ndjson"):
        yield from _stream([_flat("", json.loads(line)) for line in reply.body.splitlines()])
    elif kind.startswith("application/json"):
        yield from _flat("body", _loads(reply.body))
        yield "spacing", repr(_SPACE.findall(reply.body)[:1])
    elif reply.body.startswith("# HELP"):
        families: dict[str, list[str]] = {}
        for line in reply.body.splitlines():
            if line.startswith("# HELP"):
                family = line.split()[2]
            families.setdefault(family, []).append(_metric(line))
        yield from ((f"metric {name}", "\n".join(told)) for name, told in families.items())
    else:
        yield "text", reply.body


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return f"no JSON: {text}"


def _event(block: str) -> list[tuple[str, str]]:
    """One server-sent event; whatever is not ``data`` is kept as it stands."""
    lines = block.split("\n")
    rest = [("line", line) for line in lines if not line.startswith("data: ")]
    data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    return [*rest, *([("", data)] if data == "[DONE]" else _flat("", _loads(data)))]


def _stream(events: list[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Events in order; of several interleaved choices, each choice by itself."""
    lanes: dict[str, list[list[tuple[str, str]]]] = {}
    several = {_choice(event) for event in events} - {""}
    for event in events:
        lanes.setdefault(_choice(event) if len(several) > 1 else "", []).append(event)
    for choice, lane in sorted(lanes.items()):
        runs = [list(run) for run, _ in groupby(lane)]
        prefix = f"choice {choice} " if choice else ""
        yield f"{prefix}events", str(len(runs))
        for number, run in enumerate(runs):
            for path, value in run:
                yield f"{prefix}event[{number}]{path}", value


def _choice(event: Iterable[tuple[str, str]]) -> str:
    return dict(event).get(".choices[0].index", "")


def _flat(path: str, value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        numbers = all(isinstance(each, float | int) for each in value.values())
        if name == "top_logprobs[]" and value and numbers:
            return [(path, "<number by token>")]
        found = [(path, "{" + ", ".join(value) + "}")]
        for key, each in value.items():
            found += _flat(f"{path}.{key}", each, key)
        return found
    if isinstance(value, list):
        if name in _LISTS:
            return [(path, "[" + ", ".join(sorted({_kind(each) for each in value})) + "]")]
        shapes = [tuple(_flat("", each, f"{name}[]")) for each in value]
        runs = [run for run, _ in groupby(shapes)]
        found = [(path, f"[{len(runs)}]")]
        for number, run in enumerate(runs):
            found += [(f"{path}[{number}]{at}", told) for at, told in run]
        return found
    return [(path, _scalar(name, value))]


def _kind(value: Any) -> str:
    return {"NoneType": "null"}.get(type(value).__name__, type(value).__name__)


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if name in _COUNTS or name.endswith(("_ms", "_per_second", "_seconds")):
        return f"<{_kind(value)}>"
    if not isinstance(value, str):
        return f"<{_kind(value)}>" if name == "id" and value >= _TOKEN_ID else json.dumps(value)
    if name in _IDS:
        return _pattern(value)
    if name in _TEXTS and value:
        return "<text>"
    return json.dumps(re.sub(r"\d+", _beyond, value), ensure_ascii=False)


def _beyond(number: re.Match[str]) -> str:
    """A count of tokens beyond the context is a matter of the tokenizer."""
    return number[0] if int(number[0]) <= CONTEXT else "<beyond>"


def _pattern(text: str) -> str:
    """An id with its random parts reduced to alphabet and length."""
    return re.sub(r"[A-Za-z0-9]{4,}(?=$|[-_])", _random, text)


def _random(part: re.Match[str]) -> str:
    text = part[0]
    return text if _WORD.fullmatch(text) else f"<{_alphabet(text)}:{len(text)}>"


def _alphabet(text: str) -> str:
    return "hex" if re.fullmatch("[0-9a-f]+", text) else "alnum"


def _metric(line: str) -> str:
    """A line of the Prometheus text format without its value."""
    sample = _SAMPLE.match(line)
    return line if sample is None else f"{sample[1]}{sample[2] or ''}"
