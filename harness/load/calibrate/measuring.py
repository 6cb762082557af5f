"""An engine driven in closed loops, its answers timed, its own counters read meanwhile."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from harness import answer as answers
from harness.engines.metrics import labels_of, total
from harness.engines.scheduler import SchedulerConfig
from harness.load.calibrate.loads import AHEAD_S, Request, words
from harness.load.calibrate.metering import metrics, watched
from harness.load.calibrate.steps import Step, Stream, steps
from harness.load.driving import Call, closed
from harness.load.timing import timing
from harness.wire import Request as Asked
from harness.wire import http1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.answer import Answer
    from harness.load.calibrate.loads import Load
    from harness.load.timing import Timing
    from harness.wire import Exchange
    from harness.wire.engine import LoadEngine, Ticket

_PROBE_WORDS = 40
_OK = 200
_PREEMPTIONS = "vllm:num_preemptions_total"
_WAITING = "vllm:num_requests_waiting"


EXPLAINED = {
    "calibrate.not-vllm": """The engine does not say how large its cache is

A prediction needs the blocks of the cache and the longest context. vLLM tells them in `/metrics`
(vllm:cache_config_info) and `/v1/models` (max_model_len); this server tells them in neither.

Remedy: give the address of a vLLM server itself, not of a gateway in front of it.""",
    "calibrate.no-answer": """The engine did not answer a question

Nothing listens there, or it refused: a key that is missing or wrong refuses too.

Remedy: look at the address; give the variable that holds the key with `--key-env`.""",
    "calibrate.broken": """An answer was not whole

A stream without its end, its finish reason or its usage cannot be timed, and a fit over the others
would leave out the slowest.

Remedy: look at the engine's log; a request limit or a timeout below the load's shows like this.""",
    "calibrate.no-key": """The variable with the key is empty

`--key-env VAR` names an environment variable, so that the key is in no command line.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one load met. Times are seconds; the median of what its requests met."""

    requests: tuple[Request, ...] = field(repr=False)
    """As they turned out, in the order they were sent."""
    throughput: float
    """Answer tokens a second, over the whole load."""
    ttft_s: float
    itl_s: float
    e2e_s: float
    ttft_deciles_s: tuple[float, ...] = field(repr=False)
    """The nine deciles; the fifth is the median."""
    e2e_deciles_s: tuple[float, ...] = field(repr=False)
    waiting: float
    """What the server's gauge of waiting requests showed, on average over the time."""
    preemptions: float
    ahead: Request | None = None
    """What was computed when the load began, as it turned out."""
    steps: tuple[Step, ...] = field(default=(), repr=False)
    """Those seen through the streams; none of a prediction."""

    @classmethod
    def of(
        cls,
        requests: Sequence[Request],
        *,
        seconds: float,
        ttft_s: Sequence[float],
        itl_s: Sequence[float],
        e2e_s: Sequence[float],
        waiting: float,
        preemptions: float,
        ahead: Request | None = None,
        steps: Sequence[Step] = (),
    ) -> Measured:
        """Sum up what each request met, in no order, within ``seconds``."""
        return cls(
            requests=tuple(requests),
            throughput=sum(each.answer_tokens for each in requests) / seconds,
            ttft_s=median(ttft_s),
            itl_s=median(itl_s),
            e2e_s=median(e2e_s),
            ttft_deciles_s=_deciles(ttft_s),
            e2e_deciles_s=_deciles(e2e_s),
            waiting=waiting,
            preemptions=preemptions,
            ahead=ahead,
            steps=tuple(steps),
        )


def discover(
    engine: LoadEngine,
    url: str,
    *,
    key: str | None = None,
    max_num_seqs: int,
    max_num_batched_tokens: int,
) -> Target:
    """Ask a vLLM server what it serves and how large its cache is.

    Its metrics do not tell ``max_num_seqs`` and ``max_num_batched_tokens``: say them as the
    server was started with them.

    Raises:
        CalibrateError: it does not answer, or is no vLLM server.
    """
    url = url.rstrip("/").removesuffix("/v1")
    bearer = () if key is None else (("authorization", f"Bearer {key}"),)
    asked = Asked(method="GET", url=f"{url}/v1/models", headers=bearer)
    models = _json(engine.submit(asked).wait().exchange)
    info = labels_of(metrics(engine, url), "vllm:cache_config_info")
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
    )
    target = Target(url=url, model=str(served[0]["id"]), config=config, key=key)
    probe = engine.submit(_asked(target, words(_PROBE_WORDS, "probe"), 1)).wait()
    return Target(
        url=url,
        model=target.model,
        config=config,
        key=key,
        tokens_per_word=_prompt_tokens(answers.read(probe.exchange)) / _PROBE_WORDS,
    )


def measure(engine: LoadEngine, target: Target, load: Load, *, seed: str) -> Measured:
    """Play ``load`` once; ``seed`` makes prompts that the prefix cache has not seen.

    Raises:
        CalibrateError: an answer was not whole.
    """

    def asked(each: Request, number: int) -> Asked:
        count = max(1, round(each.prompt_tokens / target.tokens_per_word))
        return _asked(target, words(count, f"{seed} {number}"), each.answer_tokens)

    def make(number: int) -> Call:
        return Call(asked(load.requests[number], number))

    before = total(metrics(engine, target.url), _PREEMPTIONS) or 0.0
    ahead = None
    with watched(engine, target.url, _WAITING) as waiting:
        if load.ahead is not None:
            ahead = engine.submit(asked(load.ahead, -1))
            time.sleep(AHEAD_S)
        drive = closed(engine, make, users=load.concurrency, requests=len(load.requests))
    after = total(metrics(engine, target.url), _PREEMPTIONS) or 0.0
    met = [answers.read(each.exchange) for each in drive.recorded]
    times = [_timed(answer) for answer in met]
    requests = [
        Request(_prompt_tokens(answer), each.tokens)
        for answer, each in zip(met, times, strict=True)
    ]
    streams = [
        Stream(request.prompt_tokens, [delta.at_ns for delta in answer.deltas])
        for answer, request in zip(met, requests, strict=True)
    ]
    return Measured.of(
        requests,
        seconds=drive.seconds,
        ttft_s=[each.ttft_ms / 1000 for each in times],
        itl_s=[(each.tpot_ms or 0.0) / 1000 for each in times],
        e2e_s=[each.e2e_ms / 1000 for each in times],
        waiting=waiting.mean(drive.begun_ns, drive.ended_ns),
        preemptions=after - before,
        ahead=_turned_out(ahead),
        steps=steps(streams),
    )


def _turned_out(ahead: Ticket | None) -> Request | None:
    if ahead is None:
        return None
    answer = answers.read(ahead.wait().exchange)
    _timed(answer)
    return Request(_prompt_tokens(answer), 1)


def _deciles(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) == 1:
        return (values[0],) * 9
    return tuple(quantiles(values, n=10, method="inclusive"))


def _asked(target: Target, prompt: str, answer_tokens: int) -> Asked:
    body = {
        "model": target.model,
        "prompt": prompt,
        "max_tokens": answer_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return Asked(
        method="POST",
        url=f"{target.url}/v1/completions",
        headers=target.headers(),
        body=json.dumps(body).encode(),
    )


def _timed(answer: Answer) -> Timing:
    found = timing(answer)
    if found is None:
        raise _broken(answer.exchange)
    return found


def _prompt_tokens(answer: Answer) -> int:
    counted = (answer.usage or {}).get("prompt_tokens")
    if not isinstance(counted, int):
        raise _broken(answer.exchange)
    return counted


def _broken(exchange: Exchange) -> CalibrateError:
    response = http1.parse(exchange)
    shown = response.body[:200].decode("utf-8", "replace")
    return CalibrateError(
        "calibrate.broken",
        f"{exchange.request.url} did not send a whole answer with its usage: status "
        f"{response.status}, {exchange.end} {exchange.detail}, {shown!r}; without whole answers "
        "there is nothing to fit",
    )


def _json(exchange: Exchange) -> dict[str, Any]:
    response = http1.parse(exchange)
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if response.status != _OK or not isinstance(value, dict):
        raise CalibrateError(
            "calibrate.no-answer",
            f"{exchange.request.url} answered {response.status or exchange.end}: "
            f"{exchange.detail or response.body[:200].decode('utf-8', 'replace')}",
        )
    return value
