"""One server, asked everything that a read can tell; nothing is generated, loaded or changed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.answer.strict import loads
from harness.wire import End, Request
from harness.wire.http1 import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.wire import Exchange, RecordingClient
    from harness.wire.http1 import Response

MODELS, TAGS, LOADED, SHOW = "/v1/models", "/api/tags", "/api/ps", "/api/show"
PROPS, METRICS, HEALTH, VERSION = "/props", "/metrics", "/health", "/version"
OLLAMA_VERSION, ALIVE = "/api/version", "/health/liveliness"
PATHS = (
    *(MODELS, OLLAMA_VERSION, TAGS, LOADED, PROPS, HEALTH, METRICS, VERSION),
    ALIVE,  # LiteLLM alone has it, and needs no key for it
)
"""What is asked of every server, with GET. None of these loads a model or costs a token."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server answered on one path; ``status`` is None where no answer came."""

    exchange: Exchange
    response: Response

    @property
    def status(self) -> int | None:
        """HTTP status."""
        return self.response.status

    @property
    def ok(self) -> bool:
        """Whether it answered 200, all of it."""
        return self.response.status == 200 and self.response.complete

    @property
    def json(self) -> Any:
        """The JSON of a good answer, else None."""
        return loads(self.response.body)[0] if self.ok else None

    @property
    def text(self) -> str:
        """The text of a good answer."""
        return self.response.body.decode("utf-8", "replace") if self.ok else ""


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything one server said, by path; ``shown`` is what Ollama tells of each model."""

    endpoint: str
    said: Mapping[str, Said]
    shown: Mapping[str, Any] = field(default_factory=dict)

    def json(self, path: str) -> Mapping[str, Any]:
        """The JSON object a path gave; empty where it gave none."""
        found = self.said[path].json if path in self.said else None
        return found if isinstance(found, dict) else {}

    def listed(self, path: str, key: str) -> list[Mapping[str, Any]]:
        """The objects of a list inside the answer of a path."""
        items = self.json(path).get(key)
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def locked(self, path: str) -> bool:
        """Whether a path asked for a key (401, or 403 from those who confuse them)."""
        return self.said[path].status in (401, 403) if path in self.said else False

    @property
    def reached(self) -> bool:
        """Whether anything answered as HTTP at all."""
        return any(said.status is not None for said in self.said.values())

    @property
    def silence(self) -> str:
        """Why nothing answered, in words."""
        ends = [said.exchange.end for said in self.said.values()]
        if ends and all(end is End.REFUSED for end in ends):
            return "nobody listens"
        if End.TIMEOUT in ends:
            return "something listens and does not answer in time"
        return "what listens does not speak HTTP"


async def ask(endpoint: str, client: RecordingClient, *, timeout_s: float) -> Heard:
    """Ask the server at ``endpoint`` (``http://host:port``) and wait for all its answers.

    The first path is asked alone: where it finds nobody, the rest is not tried.

    Raises:
        WireError: ``endpoint`` is no URL.
    """
    first = await _get(endpoint, MODELS, client, timeout_s)
    if first.exchange.end in (End.REFUSED, End.UNREACHABLE):
        return Heard(endpoint, {MODELS: first})
    rest = await asyncio.gather(*(_get(endpoint, path, client, timeout_s) for path in PATHS[1:]))
    heard = Heard(endpoint, dict(zip(PATHS, (first, *rest), strict=True)))
    names = [str(item["name"]) for item in heard.listed(TAGS, "models") if "name" in item]
    return Heard(endpoint, heard.said, await _show(endpoint, names, client, timeout_s))


async def _get(endpoint: str, path: str, client: RecordingClient, timeout_s: float) -> Said:
    request = Request(method="GET", url=endpoint + path)
    exchange = await client.send(request, labels={"purpose": "discovery"}, timeout_s=timeout_s)
    return Said(exchange, parse(exchange))


async def _show(
    endpoint: str, names: Iterable[str], client: RecordingClient, timeout_s: float
) -> dict[str, Any]:
    """What ``/api/show`` says of each model: a read, though Ollama wants it as a POST."""
    found = {}
    for name in names:
        request = Request(
            method="POST",
            url=endpoint + SHOW,
            headers=(("content-type", "application/json"),),
            body=json.dumps({"model": name}).encode(),
        )
        exchange = await client.send(request, labels={"purpose": "discovery"}, timeout_s=timeout_s)
        shown = Said(exchange, parse(exchange)).json
        if isinstance(shown, dict):
            found[name] = shown
    return found
