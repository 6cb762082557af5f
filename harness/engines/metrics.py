"""What a server's metrics page says, and which of its names mean what.

The page is the Prometheus text format 0.0.4, or OpenMetrics 1.0 as far as they agree: one sample
a line, ``name{label="value",...} number [timestamp]``, with ``#`` before what is for people.
Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)"
    r'(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?'
    r"\s+(?P<value>\S+)(?:\s+-?[\d.]+)?(?:\s+#.*)?"
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Series:
    """One sample of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_metrics(page: str) -> tuple[Series, ...]:
    """Every sample of ``page``, in its order.

    Raises:
        ValueError: a line is no sample: the page is cut, or is no metrics page.
    """
    return tuple(
        _series(number, line)
        for number, line in enumerate(page.split("\n"), 1)
        if line.strip() and not line.startswith("#")
    )


def total(series: Sequence[Series], name: str) -> float | None:
    """The sum over all samples of a name; None if there is none."""
    values = [each.value for each in series if each.name == name]
    return sum(values) if values else None


def labels_of(series: Sequence[Series], name: str) -> Mapping[str, str]:
    """The labels of the first sample of a name; empty if there is none."""
    return next((each.labels for each in series if each.name == name), {})


class Quantity(StrEnum):
    """What an engine tells of its own load."""

    RUNNING = "running"
    """Requests it works on (a gauge)."""
    WAITING = "waiting"
    """Requests it has accepted and does not work on yet (a gauge)."""
    KV = "kv"
    """Share of the KV cache in use, 0 to 1 (a gauge)."""
    PREEMPTIONS = "preemptions"
    """Requests thrown out of the cache to be computed again (a counter)."""
    PREFIX_QUERIES = "prefix_queries"
    """Prompt tokens looked up in the prefix cache (a counter)."""
    PREFIX_HITS = "prefix_hits"
    """Prompt tokens found there (a counter)."""
    PROMPT_TOKENS = "prompt_tokens"
    """Prompt tokens processed (a counter)."""
    GENERATED = "generated"
    """Answer tokens generated (a counter)."""


COUNTERS = frozenset(
    {
        Quantity.PREEMPTIONS,
        Quantity.PREFIX_QUERIES,
        Quantity.PREFIX_HITS,
        Quantity.PROMPT_TOKENS,
        Quantity.GENERATED,
    }
)
"""The quantities that only grow while their server lives."""

NAMES: Mapping[str, Mapping[Quantity, tuple[str, ...]]] = {
    # vllm/v1/metrics/loggers.py (0.32); second names are those of 0.6 to 0.9.
    "vllm": {
        Quantity.RUNNING: ("vllm:num_requests_running",),
        Quantity.WAITING: ("vllm:num_requests_waiting",),
        Quantity.KV: ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        Quantity.PREEMPTIONS: ("vllm:num_preemptions_total",),
        Quantity.PREFIX_QUERIES: (
            "vllm:prefix_cache_queries_total",
            "vllm:gpu_prefix_cache_queries_total",
        ),
        Quantity.PREFIX_HITS: (
            "vllm:prefix_cache_hits_total",
            "vllm:gpu_prefix_cache_hits_total",
        ),
        Quantity.PROMPT_TOKENS: ("vllm:prompt_tokens_total",),
        Quantity.GENERATED: ("vllm:generation_tokens_total",),
    },
    # tools/server of llama.cpp; the use of the cache was told until the middle of 2025.
    "llama_cpp_native": {
        Quantity.RUNNING: ("llamacpp:requests_processing",),
        Quantity.WAITING: ("llamacpp:requests_deferred",),
        Quantity.KV: ("llamacpp:kv_cache_usage_ratio",),
        Quantity.PREFIX_HITS: ("llamacpp:prompt_tokens_cached_total",),
        Quantity.PROMPT_TOKENS: ("llamacpp:prompt_tokens_total",),
        Quantity.GENERATED: ("llamacpp:tokens_predicted_total",),
    },
}
"""By dialect what each quantity is called, the newest name first. A dialect without metrics of
its own load (Ollama, llama-cpp-python, cloud providers) is not in it."""

FACTS: Mapping[str, str] = {"vllm": "vllm:cache_config_info"}
"""By dialect the series whose labels say how the engine was started."""


def dialect_of(series: Sequence[Series]) -> str | None:
    """The dialect whose names stand in a page; None if none of them does."""
    found = {each.name for each in series}
    return next(
        (
            dialect
            for dialect, names in NAMES.items()
            if any(name in found for name in names[Quantity.RUNNING])
        ),
        None,
    )


def quantities(series: Sequence[Series], dialect: str) -> dict[Quantity, float]:
    """What a page of ``dialect`` says of each quantity; one it does not tell is left out.

    Several engines behind one page (vLLM's data parallel ranks) are summed; of their caches the
    fullest counts, for that is the one that preempts.
    """
    values: dict[str, list[float]] = {}
    for each in series:
        values.setdefault(each.name, []).append(each.value)
    return {
        quantity: (max if quantity is Quantity.KV else sum)(values[name])
        for quantity, names in NAMES[dialect].items()
        for name in [next((name for name in names if name in values), None)]
        if name is not None
    }


def _series(number: int, line: str) -> Series:
    found = _SAMPLE.fullmatch(line.strip())
    value = _number(found["value"]) if found else None
    if found is None or value is None:
        raise ValueError(f"line {number} is no sample of a metrics page: {line[:80]!r}")
    labels = {name: _unescaped(text) for name, text in _LABEL.findall(found["labels"] or "")}
    return Series(found["name"], labels, value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], value)
