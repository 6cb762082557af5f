"""A user's own endpoint, looked at: what reading tells, and one answer where it may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from harness import answer as answers
from harness.answer.ask import chat
from harness.discovery import recognise
from harness.discovery.asking import ask
from harness.engines.engine import EngineError
from harness.engines.remote import RemoteEngine
from harness.load.timing import timing
from harness.wire import RecordingClient, WireError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.timing import Timing

READS = 3
"""Times its list of models is read; the median is told."""
TOKENS = 16
"""Tokens that the one answer may have."""
_TIMEOUT_S = 30.0
_API = "/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of a server that is not ours.

    ``known_by`` is what its kind was told by, empty where the caller said it. ``read_ms`` is the
    median time of a whole read of its list of models. ``asked`` is the model that was asked for
    one streamed answer, "" where none was; ``timing`` is None unless that came whole, and
    ``broken`` then says why.
    """

    endpoint: str
    dialect: str
    known_by: tuple[str, ...]
    version: str
    models: tuple[str, ...]
    read_ms: float
    asked: str = ""
    timing: Timing | None = None
    broken: str = ""

    def data(self) -> dict[str, Any]:
        """As plain JSON data."""
        met = self.timing
        return {
            "endpoint": self.endpoint,
            "kind": "remote",
            "dialect": self.dialect,
            "known_by": list(self.known_by),
            "version": self.version,
            "models": list(self.models),
            "read_ms": self.read_ms,
            "asked": self.asked or None,
            "tokens": met.tokens if met else None,
            "ttft_ms": met.ttft_ms if met else None,
            "tpot_ms": met.tpot_ms if met else None,
            "e2e_ms": met.e2e_ms if met else None,
            "broken": self.broken or None,
        }


async def look(
    url: str,
    *,
    dialect: str | None = None,
    key_variable: str | None = None,
    model: str | None = None,
    live: bool = False,
    environment: Mapping[str, str],
) -> Sight:
    """Read what ``url`` says of itself; with ``live`` ask it for one answer of 16 tokens too.

    Raises:
        EngineError: not reached, no key or a wrong one, no list of models, or no model to ask.
    """
    endpoint = url.rstrip("/").removesuffix(_API)
    async with RecordingClient(timeout_s=_TIMEOUT_S) as client:
        known_by: tuple[str, ...] = ()
        if dialect is None:
            dialect, known_by = await _recognised(endpoint, client)
        engine = RemoteEngine(
            endpoint,
            endpoint=endpoint,
            dialect=dialect,
            key_variable=key_variable,
            live=live,
            environment=environment,
        )
        await engine.start()
        await engine.ready(_TIMEOUT_S)
        sight = Sight(
            endpoint=endpoint,
            dialect=dialect,
            known_by=known_by,
            version=engine.version,
            models=engine.models,
            read_ms=median([await _read_ms(engine, client) for _ in range(READS)]),
        )
        return sight if not live else await _answered(sight, engine, client, model)


async def _recognised(endpoint: str, client: RecordingClient) -> tuple[str, tuple[str, ...]]:
    """What kind it is, told without its key by paths that only read."""
    try:
        heard = await ask(endpoint, client, timeout_s=_TIMEOUT_S)
    except WireError as error:
        raise EngineError("engine.remote-unreachable", f"{endpoint}: {error}") from error
    told = recognise(heard)
    if told.kind in ("gateway", "unknown"):
        return "openai_compatible", told.evidence
    return told.kind, told.evidence


async def _read_ms(engine: RemoteEngine, client: RecordingClient) -> float:
    exchange = await client.send(engine.request("GET", f"{_API}/models"))
    return (exchange.ended_ns - exchange.started_ns) / 1e6


async def _answered(
    sight: Sight, engine: RemoteEngine, client: RecordingClient, model: str | None
) -> Sight:
    asked = model or next(iter(engine.models), "")
    if not asked:
        raise EngineError(
            "engine.remote-not-ready", f"{sight.endpoint} lists no model to ask: say --model NAME"
        )
    question = chat(_API, model=asked, content="ping", stream=True, max_tokens=TOKENS)
    request = engine.request(
        "POST",
        f"{_API}/chat/completions",
        headers=(("content-type", "application/json"),),
        body=question.body,
    )
    exchange = await client.send(request, labels={"purpose": "live"})
    answer = answers.read(exchange)
    met = timing(answer)
    broken = "" if met else answer.wholeness.why or "no token came"
    if not met and (answer.status or 0) != 200:
        said = parse(exchange).body[:200].decode("utf-8", "replace")
        broken = f"status {answer.status}: {said}"
    return replace(sight, asked=asked, timing=met, broken=broken)
