"""One request in particular: what it does not fit, what it needs, and who is down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.routing.route import PassedOver, Refusal, Route, Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.routing.route import Deployment


def narrow(
    route: Route,
    *,
    context: int | None = None,
    needs: Collection[str] = (),
    down: Collection[str] = (),
) -> Route | Refusal:
    """``route`` for a request of ``context`` prompt tokens that needs certain capabilities.

    Deployments that cannot answer it are taken out; each is in ``passed_over`` with a reason and
    has a step of its own. A Refusal if nobody is left.
    """
    tiers, steps = _sequence(route, context)
    kept: list[Tier] = []
    passed: dict[str, PassedOver] = {}
    for tier in tiers:
        able = []
        for deployment in tier.deployments:
            obstacle = next(_obstacles(deployment, context, needs, down), None)
            if obstacle is None:
                able.append(deployment)
            else:
                passed.setdefault(deployment.id, obstacle)
        if able:
            kept.append(replace(tier, deployments=tuple(able)))
    steps += [_step(obstacle) for obstacle in passed.values()]
    if not kept:
        return Refusal(
            name=route.name,
            steps=(*route.steps, *steps, "nobody is left who could answer it: refused"),
            passed_over=tuple(passed.values()),
        )
    return replace(
        route,
        tiers=tuple(kept),
        steps=(*route.steps, *steps),
        passed_over=tuple(passed.values()),
    )


def _sequence(route: Route, context: int | None) -> tuple[tuple[Tier, ...], list[str]]:
    """The tiers in the order they are tried for a prompt of this length."""
    if context is None or not route.on_context_window:
        return route.tiers, []
    if any(d.context_length >= context for tier in route.own for d in tier.deployments):
        return route.tiers, []
    step = f"{context} tokens do not fit {route.tiers[0].group}: its context-window chain follows"
    return (*route.own, *route.on_context_window), [step]


def _obstacles(
    deployment: Deployment, context: int | None, needs: Collection[str], down: Collection[str]
) -> Iterator[PassedOver]:
    if context is not None and deployment.context_length < context:
        why = f"takes {deployment.context_length} tokens, {context} are needed"
        yield PassedOver(deployment=deployment, why=why, by_gateway=True)
    lacking = [need for need in needs if need not in deployment.capabilities]
    if lacking:
        why = f"lacks {', '.join(lacking)}"
        yield PassedOver(deployment=deployment, why=why, by_gateway=False)
    if deployment.provider in down:
        yield PassedOver(deployment=deployment, why="is down", by_gateway=True)


def _step(passed: PassedOver) -> str:
    text = f"{passed.deployment.id} passed over: {passed.why}"
    return text if passed.by_gateway else f"{text}; the gateway does not know and asks it anyway"
