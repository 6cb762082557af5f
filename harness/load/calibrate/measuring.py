"""An engine driven in closed loops, its answers timed, its own counters read meanwhile."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from harness import answer as answers
from harness.engines.scheduler import SchedulerConfig
from harness.load.calibrate.loads import Request, words
from harness.load.timing import timing
from harness.wire import Request as Call
from harness.wire import http1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.calibrate.loads import Load
    from harness.wire import Exchange, RecordingClient

_PROBE_WORDS = 40
_SAMPLE_S = 0.1
_NS = 1e9
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


EXPLAINED = {
    "calibrate.not-vllm": """The engine does not say how large its cache is

A prediction needs the blocks of the cache and the longest context. vLLM tells them in `/metrics`
(vllm:cache_config_info) and `/v1/models` (max_model_len); this server tells them in neither.

Remedy: give the address of a vLLM server itself, not of a gateway in front of it.""",
    "calibrate.no-answer": """The engine did not answer a question

Nothing listens there, or it refused: a key that is missing or wrong refuses too.

Remedy: look at the address; give the variable that holds the key with `--key`.""",
    "calibrate.broken": """An answer was not whole

A stream without its end, its finish reason or its usage cannot be timed, and a fit over the others
would leave out the slowest.

Remedy: look at the engine's log; a request limit or a timeout below the load's shows like this.""",
    "calibrate.no-key": """The variable with the key is empty

`--key NAME` names an environment variable, so that the key is in no command line.

Remedy: set the variable.""",
    "calibrate.no-provider": """There is no such provider

A word that is no URL is looked up among the providers of the sources.

Remedy: give one of the names listed, or a URL with its scheme.""",
    "calibrate.url": """The address cannot be asked

Only http and https addresses with a host can be.

Remedy: write it as http://host:port.""",
}
"""What ``harness explain`` says of each error."""


class CalibrateError(RuntimeError):
    """An engine that cannot be calibrated, or did not answer; ``id`` is stable."""

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The engine to ask, and what it said about itself."""

    url: str
    """Base, without a path."""
    model: str
    config: SchedulerConfig
    key: str | None = field(default=None, repr=False)
    tokens_per_word: float = 1.0

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every request."""
        bearer = () if self.key is None else (("authorization", f"Bearer {self.key}"),)
        return (("content-type", "application/json"), *bearer)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load met. Times are seconds; the median of what its requests met."""

    requests: tuple[Request, ...] = field(repr=False)
    """As they turned out, in the order they were sent."""
    throughput: float
    """Answer tokens a second, over the whole load."""
    ttft_s: float
    itl_s: float
    e2e_s: float
    waiting: float
    """Requests waiting, on average over the load."""
    preemptions: float


async def discover(
    client: RecordingClient,
    url: str,
    *,
    key: str | None = None,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    async_scheduling: bool = True,
) -> Target:
    """Ask a vLLM server what it serves and how large its cache is.

    Its metrics do not tell ``max_num_seqs`` and ``max_num_batched_tokens``: say them as the
    server was started with them.

    Raises:
        CalibrateError: it does not answer, or is no vLLM server.
    """
    url = url.rstrip("/").removesuffix("/v1")
    bearer = () if key is None else (("authorization", f"Bearer {key}"),)
    models = _json(await client.send(Call(method="GET", url=f"{url}/v1/models", headers=bearer)))
    info = _labels(await _metrics(client, url), "vllm:cache_config_info")
    served = models.get("data") or [{}]
    if not info.get("num_gpu_blocks", "").isdigit() or "max_model_len" not in served[0]:
        raise CalibrateError(
            "calibrate.not-vllm",
            f"{url} does not say how large its cache is (vllm:cache_config_info in /metrics and "
            "max_model_len in /v1/models): only a vLLM server can be calibrated",
        )
    config = SchedulerConfig(
        num_blocks=int(info["num_gpu_blocks"]),
        block_size=int(info["block_size"]),
        max_model_len=int(served[0]["max_model_len"]),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        enable_prefix_caching=info.get("enable_prefix_caching") == "True",
        async_scheduling=async_scheduling,
    )
    target = Target(url=url, model=str(served[0]["id"]), config=config, key=key)
    probe = await client.send(_call(target, words(_PROBE_WORDS, "probe"), 1))
    counted = _usage(probe)[0]
    return Target(
        url=url,
        model=target.model,
        config=config,
        key=key,
        tokens_per_word=counted / _PROBE_WORDS,
    )


async def measure(client: RecordingClient, target: Target, load: Load, *, seed: str) -> Measured:
    """Play ``load`` once; ``seed`` makes prompts that the prefix cache has not seen.

    Raises:
        CalibrateError: an answer was not whole.
    """
    calls = [
        _call(
            target,
            words(max(1, round(each.prompt_tokens / target.tokens_per_word)), f"{seed} {number}"),
            each.answer_tokens,
        )
        for number, each in enumerate(load.requests)
    ]
    exchanges: list[Exchange | None] = [None] * len(calls)
    coming = iter(range(len(calls)))

    async def ask() -> None:
        for number in coming:
            exchanges[number] = await client.send(calls[number])

    before = _value(await _metrics(client, target.url), "vllm:num_preemptions_total")
    waiting: list[float] = []
    watching = asyncio.create_task(_watch(client, target.url, waiting))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(load.concurrency):
                group.create_task(ask())
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    after = _value(await _metrics(client, target.url), "vllm:num_preemptions_total")
    return _sum([each for each in exchanges if each is not None], waiting, after - before)


async def _watch(client: RecordingClient, url: str, waiting: list[float]) -> None:
    while True:
        waiting.append(_value(await _metrics(client, url), "vllm:num_requests_waiting"))
        await asyncio.sleep(_SAMPLE_S)


def _sum(exchanges: Sequence[Exchange], waiting: Sequence[float], preempted: float) -> Measured:
    times = []
    requests = []
    for exchange in exchanges:
        found = timing(answers.read(exchange))
        if found is None:
            raise _broken(exchange)
        times.append(found)
        requests.append(Request(_usage(exchange)[0], found.tokens))
    began = min(exchange.started_ns for exchange in exchanges)
    ended = max(exchange.ended_ns for exchange in exchanges)
    return Measured(
        requests=tuple(requests),
        throughput=sum(each.tokens for each in times) / ((ended - began) / _NS),
        ttft_s=median(each.ttft_ms for each in times) / 1000,
        itl_s=median(each.tpot_ms or 0.0 for each in times) / 1000,
        e2e_s=median(each.e2e_ms for each in times) / 1000,
        waiting=mean(waiting) if waiting else 0.0,
        preemptions=preempted,
    )


def _call(target: Target, prompt: str, answer_tokens: int) -> Call:
    body = {
        "model": target.model,
        "prompt": prompt,
        "max_tokens": answer_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return Call(
        method="POST",
        url=f"{target.url}/v1/completions",
        headers=target.headers(),
        body=json.dumps(body).encode(),
    )


def _usage(exchange: Exchange) -> tuple[int, int]:
    usage = answers.read(exchange).usage or {}
    if not isinstance(usage.get("prompt_tokens"), int):
        raise _broken(exchange)
    return usage["prompt_tokens"], usage.get("completion_tokens") or 0


def _broken(exchange: Exchange) -> CalibrateError:
    response = http1.parse(exchange)
    shown = response.body[:200].decode("utf-8", "replace")
    return CalibrateError(
        "calibrate.broken",
        f"{exchange.request.url} did not send a whole answer with its usage: status "
        f"{response.status}, {exchange.end} {exchange.detail}, {shown!r}; without whole answers "
        "there is nothing to fit",
    )


async def _metrics(client: RecordingClient, url: str) -> str:
    exchange = await client.send(Call(method="GET", url=f"{url}/metrics"))
    return http1.parse(exchange).body.decode("utf-8", "replace")


def _json(exchange: Exchange) -> dict[str, Any]:
    response = http1.parse(exchange)
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if response.status != 200 or not isinstance(value, dict):
        raise CalibrateError(
            "calibrate.no-answer",
            f"{exchange.request.url} answered {response.status or exchange.end}: "
            f"{exchange.detail or response.body[:200].decode('utf-8', 'replace')}",
        )
    return value


def _value(metrics: str, name: str) -> float:
    """The sum over the series of a name; 0 if there is none."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith((f"{name}{{", f"{name} "))
    )


def _labels(metrics: str, name: str) -> dict[str, str]:
    for line in metrics.splitlines():
        if line.startswith(f"{name}{{"):
            return dict(_LABEL.findall(line))
    return {}
