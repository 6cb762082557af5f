"""What vLLM says about itself: ``/metrics`` and ``/health``; and how it is put to sleep.

Names, help texts, labels and order of vllm/v1/metrics/loggers.py (0.32), in the text format as
``prometheus_client`` writes it: labels sorted, ``_total`` and ``_created`` after each counter.
What the emulator has no part for (adapters, remote caches, speculation) stays at zero.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from harness.engines.emulator.batching import Batch
from harness.engines.emulator.books import Books
from harness.engines.scheduler.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.engines.emulator.answer import Answer
    from harness.engines.emulator.asking import Ask
    from harness.engines.emulator.books import Histogram
    from harness.engines.emulator.dialects.base import Dialect
    from harness.engines.emulator.http import Request

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_OLDER_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = ("stop", "length", "abort", "error", "repetition")


def routes(dialect: Dialect) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
    """The paths of this module, for `Dialect.more_routes`.

    ``/sleep``, ``/wake_up`` and ``/is_sleeping`` exist in a server started with
    ``VLLM_SERVER_DEV_MODE=1``. Asleep, it begins nothing; unlike vLLM's default ``mode=abort`` it
    finishes what is under way, as ``mode=wait`` does.
    """
    return {
        "/health": ("GET", lambda _: health(dialect)),
        "/metrics": ("GET", lambda _: dialect.plain(200, render(dialect).encode(), CONTENT_TYPE)),
        "/metrics/": ("GET", lambda request: _some_metrics(dialect, request)),
        "/sleep": ("POST", lambda request: _sleep(dialect, request)),
        "/wake_up": ("POST", lambda request: _wake(dialect, request)),
        "/is_sleeping": (
            "GET",
            lambda _: dialect.json(200, {"is_sleeping": dialect.turns.sleep_level is not None}),
        ),
    }


def health(dialect: Dialect) -> Answer:
    """Empty 200; 503 while the engine warms up."""
    return dialect.plain(503 if dialect.turns.loading else 200, b"", "")


def _some_metrics(dialect: Dialect, request: Request) -> Answer:
    """All, or with ``name[]`` in the query the samples of these names.

    Two parts of the real server answer: ``prometheus_fastapi_instrumentator`` without the slash,
    which knows no names, and ``prometheus_client``'s own application with it.
    """
    names = parse_qs(urlsplit(request.target).query).get("name[]")
    text = render(dialect) if names is None else only(render(dialect), frozenset(names))
    return dialect.plain(200, text.encode(), _OLDER_TYPE)


def _sleep(dialect: Dialect, request: Request) -> Answer:
    asked = parse_qs(urlsplit(request.target).query).get("level", ["1"])[-1]
    if asked not in {"0", "1", "2"}:
        detail = {
            "type": "int_parsing",
            "loc": ["query", "level"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": asked,
        }
        return dialect.json(422, {"detail": [detail]})
    dialect.turns.sleep(int(asked))
    return dialect.json(200, {"status": "sleeping", "level": int(asked)})


def _wake(dialect: Dialect, request: Request) -> Answer:
    tags = parse_qs(urlsplit(request.target).query).get("tags")
    dialect.turns.wake()
    return dialect.json(200, {"status": "awake", "tags": tags})


def render(dialect: Dialect) -> str:
    """The text of ``/metrics``."""
    return "\n".join(_Text(dialect).lines()) + "\n"


def only(text: str, names: frozenset[str]) -> str:
    """The samples of ``names`` in ``text``, each family under its help and type."""
    found: list[str] = []
    head: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("# HELP"):
            head = [line]
        elif line.startswith("#"):
            head.append(line)
        elif line.partition("{")[0].partition(" ")[0] in names:
            found += [*head, line]
            head = []
    return "".join(found)


class _Text:
    def __init__(self, dialect: Dialect) -> None:
        spec, self.turns = dialect.spec, dialect.turns
        self.books = self.turns.books or Books(spec.models[0].context_length)
        self.batch = self.turns if isinstance(self.turns, Batch) else None
        self.created = float(dialect.started)
        self.labels = {"engine": "0", "model_name": spec.models[0].id}

    def lines(self) -> Iterator[str]:
        turns, batch, gauges = self.turns, self.batch, self.turns.gauges
        for quantity in ("floating point operations", "bytes read from memory"):
            yield from self.estimated(quantity)
        yield from self.estimated("bytes written to memory")
        yield from self.gauge(
            "num_requests_running", "Number of requests in model execution batches.", gauges.running
        )
        yield from self.gauge(
            "num_requests_waiting", "Number of requests waiting to be processed.", gauges.waiting
        )
        yield from self.gauge(
            "num_requests_waiting_by_reason",
            "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for "
            "scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, "
            "KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting.",
            {"capacity": gauges.waiting, "deferred": 0},
            "reason",
        )
        level = turns.sleep_level
        yield from self.gauge(
            "engine_sleep_state",
            "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is "
            "awake; weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level "
            "2.",
            {"awake": level is None, "weights_offloaded": level == 1, "discard_all": level == 2},
            "sleep_state",
        )
        yield from self.gauge(
            "kv_cache_usage_perc",
            "KV-cache usage. 1 means 100 percent usage.",
            gauges.kv_usage,
        )
        yield from self.counters()
        for name, text, histogram in self.histograms():
            yield from self.histogram(name, text, histogram)
        if batch is not None:
            yield from self.cache_config(batch)

    def estimated(self, quantity: str) -> Iterator[str]:
        name = {"f": "flops", "r": "read_bytes", "w": "write_bytes"}[
            quantity.removeprefix("bytes ")[0]
        ]
        yield from self.counter(
            f"estimated_{name}_per_gpu",
            f"Estimated number of {quantity} per GPU (for Model Flops Utilization calculations).",
            0,
        )

    def counters(self) -> Iterator[str]:
        books, batch = self.books, self.batch
        found = Counters() if batch is None else batch.stepper.scheduler.counters
        queried = "cache queries, in terms of number of queried"
        hit = "cache hits, in terms of number of cached"
        yield from self.counter(
            "prefix_cache_queries", f"Prefix {queried} tokens.", found.prefix_queries
        )
        yield from self.counter("prefix_cache_hits", f"Prefix {hit} tokens.", found.prefix_hits)
        shared = "from KV connector cross-instance cache sharing, in terms of number of"
        for name, what in (("queries", "queried"), ("hits", "cached")):
            yield from self.counter(
                f"external_prefix_cache_{name}",
                f"External prefix cache {name} {shared} {what} tokens.",
                0,
            )
        yield from self.counter("mm_cache_queries", f"Multi-modal {queried} items.", 0)
        yield from self.counter("mm_cache_hits", f"Multi-modal {hit} items.", 0)
        yield from self.counter(
            "num_preemptions",
            "Cumulative number of preemption from the engine.",
            found.preemptions,
        )
        yield from self.counter(
            "prompt_tokens", "Number of prefill tokens processed.", books.prompt_tokens
        )
        cached = books.cached_tokens
        yield from self.counter(
            "prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            {
                "local_compute": books.prompt_tokens - cached,
                "local_cache_hit": cached,
                "external_kv_transfer": 0,
            },
            "source",
        )
        yield from self.counter(
            "prompt_tokens_cached",
            "Number of cached prompt tokens (local + external).",
            cached,
        )
        yield from self.counter(
            "prompt_tokens_cached_by_source",
            "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), "
            "host (offloaded to DRAM), disk, p2p (transferred from another vLLM instance) or "
            "external_unspecified. Counted at admission; sums to vllm:prefix_cache_hits + "
            "vllm:external_prefix_cache_hits.",
            {
                "device": found.prefix_hits,
                **dict.fromkeys(("host", "p2p", "disk", "external_unspecified"), 0),
            },
            "source",
        )
        yield from self.counter(
            "generation_tokens", "Number of generation tokens processed.", books.generation_tokens
        )
        finished = dict.fromkeys(_REASONS, 0)
        for reason, count in books.finished.items():
            finished["stop" if reason == "tool_calls" else reason] += count
        yield from self.counter(
            "request_success",
            "Count of successfully processed requests.",
            finished,
            "finished_reason",
        )
        yield from self.counter(
            "admission_rejections",
            "Number of admission attempts rejected by a queue limit, by reason.",
            {"max_num_queued_reqs": 0, "max_num_queued_tokens": 0},
            "reason",
            engine=False,
        )

    def histograms(self) -> Iterator[tuple[str, str, Histogram]]:
        books = self.books
        yield "request_prompt_tokens", "Number of prefill tokens processed.", books.prompts
        yield "request_generation_tokens", "Number of generation tokens processed.", books.answers
        yield (
            "iteration_tokens_total",
            "Histogram of number of tokens per engine_step.",
            books.step_tokens,
        )
        yield (
            "request_max_num_generation_tokens",
            "Histogram of maximum number of requested generation tokens.",
            books.answers,
        )
        yield "request_params_n", "Histogram of the n request parameter.", books.choices
        yield (
            "request_params_max_tokens",
            "Histogram of the max_tokens request parameter.",
            books.limits,
        )
        yield (
            "time_to_first_token_seconds",
            "Histogram of time to first token in seconds.",
            books.ttft,
        )
        yield (
            "inter_token_latency_seconds",
            "Histogram of inter-token latency in seconds.",
            books.itl,
        )
        yield (
            "request_time_per_output_token_seconds",
            "Histogram of time_per_output_token_seconds per request.",
            books.tpot,
        )
        yield (
            "e2e_request_latency_seconds",
            "Histogram of e2e request latency in seconds.",
            books.e2e,
        )
        phases = (("queue", "WAITING", books.queue), ("inference", "RUNNING", books.inference))
        later = (("prefill", "PREFILL", books.prefill), ("decode", "DECODE", books.decode))
        for name, phase, histogram in (*phases, *later):
            text = f"Histogram of time spent in {phase} phase for request."
            yield f"request_{name}_time_seconds", text, histogram
        yield (
            "request_num_preemptions",
            "Histogram of the number of times a request was preempted.",
            books.preempted,
        )
        yield (
            "request_prefill_kv_computed_tokens",
            "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
            books.computed_prompts,
        )

    def cache_config(self, batch: Batch) -> Iterator[str]:
        """``vllm:cache_config_info``; of its labels those that the scheduler knows of."""
        config = batch.config
        labels = {
            "block_size": str(config.block_size),
            "enable_prefix_caching": str(config.enable_prefix_caching),
            "engine": "0",
            "kv_cache_max_concurrency": str(config.max_concurrency),
            "kv_cache_size_tokens": str(config.cache_tokens),
            "num_gpu_blocks": str(config.num_blocks),
        }
        yield from _head("vllm:cache_config_info", "Information of the LLMEngine CacheConfig")
        yield f"vllm:cache_config_info{_labels(labels)} 1.0"

    def gauge(
        self, name: str, text: str, value: float | Mapping[str, float], label: str = ""
    ) -> Iterator[str]:
        yield from _head(f"vllm:{name}", text)
        for labels, each in self.each(value, label):
            yield f"vllm:{name}{labels} {_number(each)}"

    def counter(
        self,
        name: str,
        text: str,
        value: float | Mapping[str, float],
        label: str = "",
        *,
        engine: bool = True,
    ) -> Iterator[str]:
        yield from _head(f"vllm:{name}_total", text, "counter")
        for labels, each in self.each(value, label, engine=engine):
            yield f"vllm:{name}_total{labels} {_number(each)}"
        yield from _head(f"vllm:{name}_created", text)
        for labels, _ in self.each(value, label, engine=engine):
            yield f"vllm:{name}_created{labels} {_number(self.created)}"

    def histogram(self, name: str, text: str, histogram: Histogram) -> Iterator[str]:
        whole = f"vllm:{name}"
        yield from _head(whole, text, "histogram")
        below = 0
        for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
            below += count
            edge = "+Inf" if bound is None else _number(bound)
            yield f"{whole}_bucket{_labels({**self.labels, 'le': edge})} {_number(below)}"
        labels = _labels(self.labels)
        yield f"{whole}_count{labels} {_number(below)}"
        yield f"{whole}_sum{labels} {_number(histogram.sum)}"
        yield from _head(f"{whole}_created", text)
        yield f"{whole}_created{labels} {_number(self.created)}"

    def each(
        self, value: float | Mapping[str, float], label: str, *, engine: bool = True
    ) -> Iterator[tuple[str, float]]:
        labels = dict(self.labels)
        if not engine:
            del labels["engine"]
        if isinstance(value, float | int):
            yield _labels(labels), value
            return
        for name, one in value.items():
            yield _labels({**labels, label: name}), one


def _head(name: str, text: str, kind: str = "gauge") -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    """As Go prints floats, which ``prometheus_client`` imitates: an exponent from 1e+06 on."""
    text = repr(float(value))
    point = text.find(".")
    if value <= 0 or point <= 6:  # more digits than these get an exponent
        return text
    digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
    return f"{digits}e+{point - 1:02d}"


def _labels(labels: Mapping[str, str]) -> str:
    """Sorted, and quoted as JSON quotes what can stand in them."""
    inside = ",".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items())
    )
    return "{" + inside + "}"
