"""What is said of the running servers, held against what they say themselves.

Pure functions over recorded answers; :mod:`harness.behaviour.live` gets the answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.registry.wording import nearest
from harness.routing import Route, listed, resident, resolve
from harness.wire.http1 import parse

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from harness.answer import Answer
    from harness.registry import Registry
    from harness.registry.models import Health, Model, Provider
    from harness.wire import Exchange

EXPLAINED = {
    "live.served": """The configured backend model is among those its server lists

A deployment asks its server for one id, `served_as` in providers.yaml. Where the server lists
that id under another name, every request is a 404, however healthy server and gateway are.

Remedy: write the id the server lists under /v1/models, or start the server with the id that is
written (--served-model-name, --alias, --model_alias).""",
    "live.catalogue": """Catalogue, routing and the gateway speak of the same names

Three sets are compared: the models in providers.yaml, those a route leads to, and the names the
gateway lists under /v1/models. A name that is advertised and not routed is refused when somebody
uses it; one that is public and not advertised is found by nobody.

Remedy: generate the configuration, restart the gateway, and route or remove what is left over.""",
    "live.health": """The health endpoint agrees with a real request

A health endpoint that says yes while requests fail keeps a dead server in rotation; one that
says no while they succeed takes a good one out.

Remedy: correct `health` in providers.yaml (path and status), or look why the server refuses.""",
}
"""What ``harness explain`` says of each check."""


def judge_served(subject: str, provider: Provider, model: Model, catalogue: Answer) -> Evidence:
    """Whether ``catalogue``, the server's own ``/v1/models``, lists the configured model.

    A model that is loaded by hand may be absent: another one stands in its place.
    """
    asked = f"lists {model.served_as} under /v1/models"
    recordings = (catalogue.exchange.id,)
    served = advertised(catalogue)
    if served is None:
        verdict, reason = Verdict.FAIL, f"no list of models: {catalogue.wholeness.why}"
    elif _listed_as(model.served_as, served, provider.type):
        verdict, reason = Verdict.PASS, ""
    elif not resident(provider, model):
        verdict = Verdict.NOT_RUN
        reason = f"{model.name} is loaded by hand, and is not now; the server lists " + _names(
            served
        )
    else:
        verdict = Verdict.FAIL
        reason = f"the server lists {_names(served)}. {_renamed(model, served)}"
    return Evidence(
        check="live.served",
        subject=subject,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=None if served is None else len(served),
        unit="models",
        recordings=recordings,
    )


def judge_catalogue(registry: Registry, catalogue: Answer) -> Evidence:
    """Compare what providers hold, what routes reach and what the gateway advertises.

    It fails where a name is advertised that routing refuses, or public and not advertised. A
    model of an enabled provider that no route reaches is told, and no fault.
    """
    routed = set(listed(registry))
    reached = {
        (deployment.provider, deployment.model)
        for name in routed
        if isinstance(route := resolve(registry, name), Route)
        for deployment in route
    }
    held = {
        (provider_id, model.name)
        for provider_id, provider in registry.enabled_providers().items()
        for model in provider.models
    }
    shown = advertised(catalogue)
    problems = []
    if shown is None:
        problems.append(f"the gateway gives no list of models: {catalogue.wholeness.why}")
    else:
        problems += _difference("advertised and not routed", _unrouted(registry, shown))
        problems += _difference("public and not advertised", set(registry.public_models) - shown)
    told = _difference("held and not routed", {f"{m} ({p})" for p, m in held - reached})
    sizes = f"{len(held)} held, {len(routed)} routed, {len(shown or ())} advertised"
    return Evidence(
        check="live.catalogue",
        subject="gateway",
        asked="advertises the public names and none that is refused",
        verdict=Verdict.FAIL if problems else Verdict.PASS,
        reason="; ".join([*problems, *told]) if problems else "",
        value="; ".join([sizes, *told]),
        recordings=(catalogue.exchange.id,),
    )


def judge_health(subject: str, health: Health, probe: Exchange, got: Answer) -> Evidence:
    """Whether the verdict of the health endpoint is that of a real request for a model."""
    status = parse(probe).status
    healthy = status == health.expect_status
    serves = bool(got.wholeness)
    said = f"{health.path} says {status or probe.end.value}"
    if healthy == serves:
        verdict, reason = Verdict.PASS, ""
    elif healthy:
        verdict, reason = Verdict.FAIL, f"{said}, yet a request fails: {got.wholeness.why}"
    else:
        wanted = f"{health.expect_status} was expected"
        verdict, reason = Verdict.FAIL, f"{said} ({wanted}), yet a request is answered in full"
    return Evidence(
        check="live.health",
        subject=subject,
        asked=f"{health.path} and a request agree",
        verdict=verdict,
        reason=reason,
        value=f"{'healthy' if healthy else 'unhealthy'}, {'served' if serves else 'not served'}",
        recordings=(probe.id, got.exchange.id),
    )


def advertised(catalogue: Answer) -> set[str] | None:
    """The ids of a ``/v1/models`` answer; None where it is no list of models."""
    data = catalogue.body.get("data") if isinstance(catalogue.body, dict) else None
    if catalogue.status != 200 or not isinstance(data, list):
        return None
    return {
        entry["id"]
        for entry in data
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }


def _listed_as(name: str, served: AbstractSet[str], kind: str) -> bool:
    """Whether the server knows ``name``; to Ollama, no tag means ``:latest``."""
    return name in served or (kind == "ollama" and f"{name}:latest" in served)


def _unrouted(registry: Registry, shown: AbstractSet[str]) -> set[str]:
    """Advertised names that routing refuses; the text of a pattern stands for its matches."""
    patterns = {pattern.match for pattern in registry.routes.patterns}
    return {
        name
        for name in shown
        if name not in patterns and not isinstance(resolve(registry, name), Route)
    }


def _renamed(model: Model, served: AbstractSet[str]) -> str:
    """What to write instead, if the server has the model under a name that resembles it."""
    near = nearest(model.served_as, served) or nearest(model.name, served)
    near = near or _kindred(model, served)
    if near is None:
        return f"Start the server with {model.served_as}, or write one of its ids as served_as."
    return (
        f"Did you mean served_as: {near}? Or start the server so that it lists "
        f"{model.served_as} (--served-model-name, --alias)."
    )


def _kindred(model: Model, served: AbstractSet[str]) -> str | None:
    """The one id that shares most words with the model's names, or the only id there is."""
    own = _words(f"{model.served_as} {model.name}")
    ranked = sorted(served, key=lambda name: (-len(own & _words(name)), name))
    if len(ranked) > 1 and len(own & _words(ranked[0])) == len(own & _words(ranked[1])):
        return None
    return ranked[0] if ranked else None


def _words(text: str) -> set[str]:
    return {word for word in re.split(r"[^a-z]+", text.lower()) if len(word) > 2}


def _difference(what: str, names: AbstractSet[str]) -> list[str]:
    return [f"{what}: {_names(names)}"] if names else []


def _names(names: AbstractSet[str]) -> str:
    """The names in order, cut where there are many."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return (", ".join(ordered[:_SHOWN]) or "nothing") + more


_SHOWN = 12
