"""From addresses to source files: ask every server at once, then write down what is known."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.discovery.asking import MODELS, PROPS, Heard, ask
from harness.discovery.cataloguing import catalogue
from harness.discovery.recognising import Kind, Recognised, recognise
from harness.process.ports import LOOPBACK, free_port
from harness.registry.drafting import (
    GATEWAY,
    Draft,
    DraftModel,
    DraftProvider,
    DraftRoute,
    texts,
    unused,
)
from harness.registry.models import Ports
from harness.registry.rules.network import is_loopback
from harness.registry.writing import Noted
from harness.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.wire import RecordingClient

TIMEOUT_S = 5.0
"""How long one question may take; a server that is loading a model may need a moment."""

_ID = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_HEADER = """\
First draft, made by `harness init` from what running servers said. From now on this is the
source of truth. Lines marked UNKNOWN need a person; `harness validate` checks the result.
"""
_SUGGESTED = {
    "timeout_s": (30, "a suggestion: the longest silence of an answer"),
    "stream_timeout_s": (10, "a suggestion: the longest silence of a stream"),
    "retries": (0, "a retry asks the server that has just failed"),
    "allowed_fails": (1, "a suggestion"),
    "cooldown_s": (3, "a suggestion: how long a failing server is rested"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What was found at one address.

    ``models`` are those it lists. ``needs_key`` is True where it refuses without one.
    ``problem`` says why it is not, or not wholly, in the sources, and what to do; else empty.
    """

    name: str
    endpoint: str
    kind: Kind | None
    version: str | None = None
    evidence: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    needs_key: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """Every address that was asked, in order, and the text of the source files by name.

    ``sources`` is empty where no server listed a model.
    """

    servers: tuple[Server, ...]
    sources: Mapping[str, str] = field(default_factory=dict)


async def discover(
    where: Ports | Mapping[str, str] | Iterable[str],
    client: RecordingClient,
    *,
    gateway_port: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Discovered:
    """Ask what runs at each address and draft the sources for it.

    ``where`` is the content of a ports.yaml (its http services are asked, its gateway is where
    the new one is to listen), addresses (``http://host:port``) by name, or addresses alone.
    Only reads are sent: no model is loaded and no token generated. The files written load
    without an error; what nobody told is a cautious value with a comment that asks.

    A server that wants a key, is silent or is something else is reported in ``servers``; nothing
    is guessed about it. ``gateway_port`` is written as the gateway's; unless it is given, that
    of ports.yaml or of a running LiteLLM is, or any free one.
    """
    named = _addresses(where)
    asked = await asyncio.gather(*(_ask(url, client, timeout_s) for url in named.values()))
    draft = Draft(header=_HEADER, host=_host(named, where), gateway_port=0)
    owners = (
        {name: s.owner for name, s in where.services.items()} if isinstance(where, Ports) else {}
    )
    servers = [
        _describe(name, url, heard, draft, owners)
        for (name, url), heard in zip(named.items(), asked, strict=True)
    ]
    if not draft.providers:
        return Discovered(servers=tuple(servers))
    running = next((urlsplit(s.endpoint).port for s in servers if s.kind == "gateway"), None)
    known = where.services.get(GATEWAY) if isinstance(where, Ports) else None
    told = gateway_port or (known.port if known else None) or running
    taken = {provider.port for provider in draft.providers.values()}
    if told is None or told in taken:
        draft.gateway_port = Noted(free_port(), behind="UNKNOWN: where is it to listen?")
    else:
        draft.gateway_port = told
    draft.resilience = {key: Noted(value, behind=why) for key, (value, why) in _SUGGESTED.items()}
    return Discovered(servers=tuple(servers), sources=texts(draft))


def _addresses(where: Ports | Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Addresses by name, each once: localhost and 127.0.0.1 with one port are one place."""
    if isinstance(where, Ports):
        host = f"[{where.host}]" if ":" in where.host else where.host
        named = {
            name: f"http://{host}:{service.port}"
            for name, service in where.services.items()
            if service.protocol == "http"
        }
    elif hasattr(where, "items"):
        named = {str(name): str(url) for name, url in where.items()}
    else:
        named = {url: url for url in where}
    found: dict[object, tuple[str, str]] = {}
    for name, url in named.items():
        bare = url.rstrip("/").removesuffix("/v1")
        found.setdefault(_place(bare), (name, bare))
    return dict(found.values())


def _place(url: str) -> object:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    host = LOOPBACK if is_loopback(parts.hostname or "") else parts.hostname
    return parts.scheme, host, port, parts.path


def _host(named: Mapping[str, str], where: object) -> str:
    """The address local services share: that of ports.yaml, or the first that was asked."""
    if isinstance(where, Ports):
        return where.host
    places = [place for url in named.values() if isinstance(place := _place(url), tuple)]
    return next((str(host) for _, host, *_ in places if is_loopback(str(host))), LOOPBACK)


async def _ask(url: str, client: RecordingClient, timeout_s: float) -> Heard | str:
    try:
        return await ask(url, client, timeout_s=timeout_s)
    except WireError as error:
        return str(error)


def _describe(
    name: str, url: str, heard: Heard | str, draft: Draft, owners: Mapping[str, str]
) -> Server:
    """What stands at ``url``; enters it in ``draft`` where it lists models."""
    if isinstance(heard, str):
        scheme, _, rest = url.rpartition("://")  # what cannot be asked may hold a password
        url = f"{scheme}://{rest.rpartition('@')[2]}"
        return Server(name=name.rpartition("@")[2], endpoint=url, kind=None, problem=heard)
    if not heard.reached:
        return Server(name=name, endpoint=url, kind=None, problem=f"{heard.silence} at {url}.")
    told = recognise(heard)
    models, strange = catalogue(heard, told.kind)
    locked = heard.locked(MODELS) or heard.locked(PROPS)
    if told.kind not in ("gateway", "unknown") and models:
        _enter(name, url, told, models, draft, owners, locked=locked)
    return Server(
        name=name,
        endpoint=url,
        kind=told.kind,
        version=told.version,
        evidence=told.evidence,
        models=tuple(model.served_as for model in models),
        needs_key=locked,
        problem=_problem(url, told, models, strange, locked=locked),
    )


def _problem(
    url: str, told: Recognised, models: list[DraftModel], strange: list[str], *, locked: bool
) -> str:
    if told.kind == "gateway":
        return f"a LiteLLM gateway answers at {url}: it is no provider. `harness import` its file."
    if locked and not models:
        return (
            f"the server at {url} asks for a key before it lists its models. It was left out: "
            "add it to providers.yaml with api_key: {env: NAME}, or ask it without its key."
        )
    if told.kind == "unknown":
        return f"what answers at {url} is no model server: it lists no models."
    if strange:
        return (
            f"{', '.join(map(repr, strange[:3]))} of {url} is no id the sources can hold. Let the "
            "server list it under another: --alias, --model_alias or --served-model-name."
        )
    if not models:
        return f"the server at {url} lists no model. Load one, then ask again."
    return ""


def _enter(
    name: str,
    url: str,
    told: Recognised,
    models: list[DraftModel],
    draft: Draft,
    owners: Mapping[str, str],
    *,
    locked: bool,
) -> None:
    """A provider for this server, and an exact name for each of its models."""
    usable = name != GATEWAY and len(name) <= 60 and _ID.fullmatch(name)
    wanted = name if usable else told.kind.replace("_", "-")
    provider = DraftProvider(
        id=draft.unused_id(wanted),
        type=told.kind,  # type: ignore[arg-type]  # gateway and unknown do not come here
        note=f"{url}: " + "; ".join(told.evidence) + ".",
        models={model.served_as: model for model in models},
    )
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") and not parts.path:
        provider.port, provider.owner = parts.port or 80, owners.get(name, "unknown")
    else:
        provider.base_url = url
    if locked:
        provider.key = f"{re.sub('[^A-Z0-9]', '_', provider.id.upper())}_API_KEY"
        provider.note += " It asks for a key; UNKNOWN: is this the variable that holds it?"
    draft.providers[provider.id] = provider
    for model in models:
        route = model.served_as
        if route in draft.exact:
            route = unused(f"{model.served_as[:60]}-{provider.id}", draft.exact)
        draft.exact[route] = DraftRoute(provider=provider.id, model=model.served_as)
        draft.public.append(route)
