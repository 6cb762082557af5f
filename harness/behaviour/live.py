"""Is what the sources say of the running servers true? Asked of the servers themselves.

Three questions. Does each server list the model that is configured behind it (``live.served``)?
Do catalogue, routing and the gateway's own list speak of the same names (``live.catalogue``)?
Does a healthy server answer, and an unhealthy one not (``live.health``)?
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness import answer as answers
from harness.answer.ask import bearer, chat
from harness.behaviour.live_judges import (
    EXPLAINED,
    judge_catalogue,
    judge_health,
    judge_served,
)
from harness.evidence import Verdict
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from harness.answer import Answer
    from harness.evidence import Evidence
    from harness.registry import Registry
    from harness.registry.models import Model, Provider
    from harness.stack import Stack
    from harness.wire import Exchange

__all__ = [
    "EXPLAINED",
    "Endpoint",
    "Working",
    "endpoints_of",
    "judge_catalogue",
    "judge_health",
    "judge_served",
    "live_phase",
    "observe_live",
]


class Working(Protocol):
    """What the phase needs of the main job: a running stack."""

    @property
    def stack(self) -> Stack:
        """Gateway and engines, running."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where something runs: root URL without a path, and the key it wants, None for none."""

    url: str
    key: str | None = field(default=None, repr=False)


async def observe_live(
    registry: Registry,
    send: Callable[[Request, Mapping[str, str]], Awaitable[Exchange]],
    providers: Mapping[str, Endpoint],
    gateway: Endpoint | None = None,
    *,
    requests: bool = True,
) -> AsyncGenerator[Evidence, None]:
    """Ask the running servers, one after the other, and yield what is found.

    ``providers`` say where each enabled provider runs, by id: those of a stack, or the real ones
    (`endpoints_of`). One that is missing there is not asked. Each listed model is asked for one
    token, except one that is loaded by hand and is not there; without ``requests`` nothing is
    generated, and health is not judged.
    """
    for provider_id, provider in registry.enabled_providers().items():
        at = providers.get(provider_id)
        if at is None:
            continue
        api, probe = at.url + provider.api_path, None
        catalogue = await _models(send, api, at.key)
        if requests and provider.health is not None:
            asked = Request(method="GET", url=at.url + provider.health.path, headers=bearer(at.key))
            probe = await send(asked, {"purpose": "live health"})
        for model in provider.models:
            subject = f"{provider_id}:{model.served_as}"
            served = judge_served(subject, provider, model, catalogue)
            yield served
            if provider.health is None or probe is None or served.verdict is Verdict.NOT_RUN:
                continue
            question = _question(api, model, at.key)
            got = answers.read(await send(question, {"purpose": "live request"}))
            yield judge_health(subject, provider.health, probe, got)
    if gateway is not None:
        api = f"{gateway.url}/v1"
        yield judge_catalogue(registry, await _models(send, api, gateway.key))


def endpoints_of(registry: Registry, secrets: Mapping[str, str]) -> dict[str, Endpoint]:
    """Where the sources say each enabled provider runs, by id.

    ``secrets`` hold the values of key variables.
    """
    return {
        provider_id: Endpoint(url=registry.origin(provider_id), key=_key(provider, secrets))
        for provider_id, provider in registry.enabled_providers().items()
    }


async def live_phase(work: Working) -> AsyncGenerator[Evidence, None]:
    """The live checks over a running stack: every engine, then the gateway."""
    stack = work.stack

    async def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        return await stack.send(request, **labels)

    providers = {
        provider_id: Endpoint(
            url=engine.endpoint, key=_key(stack.registry.provider(provider_id), stack.secrets)
        )
        for provider_id, engine in stack.engines.items()
    }
    gateway = Endpoint(url=stack.gateway.endpoint, key=stack.gateway.key)
    async for evidence in observe_live(stack.registry, send, providers, gateway):
        yield evidence


async def _models(
    send: Callable[[Request, Mapping[str, str]], Awaitable[Exchange]], api: str, key: str | None
) -> Answer:
    request = Request(method="GET", url=f"{api}/models", headers=bearer(key))
    return answers.read(await send(request, {"purpose": "live models"}))


def _question(api: str, model: Model, key: str | None) -> Request:
    """The cheapest request that a model of this mode must answer."""
    if model.mode == "chat":
        return chat(api, model=model.served_as, content="ping", key=key, max_tokens=1)
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "completion": ("completions", {"prompt": "ping", "max_tokens": 1}),
        "embedding": ("embeddings", {"input": "ping"}),
    }
    path, body = bodies[model.mode]
    return Request(
        method="POST",
        url=f"{api}/{path}",
        headers=(("content-type", "application/json"), *bearer(key)),
        body=json.dumps({"model": model.served_as, **body}).encode(),
    )


def _key(provider: Provider, secrets: Mapping[str, str]) -> str | None:
    return secrets.get(provider.api_key.env) if provider.api_key else None
