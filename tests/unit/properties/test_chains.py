"""Invariants of what is tried after what."""

from __future__ import annotations

import os
from dataclasses import replace
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.routing import Refusal, Route, Rule, listed, resolve

if TYPE_CHECKING:
    from harness.registry import Registry

EXAMPLES = int(os.environ.get("HARNESS_PROPERTY_EXAMPLES", "25"))
prove = settings(max_examples=EXAMPLES, deadline=None)


def routes(registry: Registry) -> list[Route]:
    """The route of every listed name."""
    return [
        found for name in listed(registry) if isinstance(found := resolve(registry, name), Route)
    ]


def chained(registry: Registry) -> list[Route]:
    """Those whose tiers are one chain of the sources."""
    return [route for route in routes(registry) if route.rule in (Rule.EXACT, Rule.ALIAS)]


def without(registry: Registry, provider_id: str) -> Registry:
    """The same registry with one provider disabled, past the rules that would refuse it."""
    providers = {
        key: each.model_copy(update={"status": "disabled"}) if key == provider_id else each
        for key, each in registry.providers.items()
    }
    source = registry.providers_source.model_copy(update={"providers": providers})
    return replace(registry, providers_source=source)


@prove
@given(strategies.registries())
def test_fallbacks_form_no_circle(registry: Registry) -> None:
    after = {route.tiers[0].group: set(route.fallbacks) for route in chained(registry)}
    for route in routes(registry):
        if route.name not in after:
            after[route.name] = {route.target, *route.fallbacks} - {route.name}
    assert list(TopologicalSorter(after).static_order())


@prove
@given(strategies.registries())
def test_every_fallback_is_an_exact_name_that_is_asked_and_not_the_source(
    registry: Registry,
) -> None:
    for route in routes(registry):
        assert route.tiers[0].group not in route.fallbacks
        for group in route.fallbacks:
            assert registry.provider(registry.route(group).provider).enabled


@prove
@given(strategies.registries())
def test_no_fallback_stands_twice_in_a_list(registry: Registry) -> None:
    for route in routes(registry):
        assert len(set(route.fallbacks)) == len(route.fallbacks)


@prove
@given(strategies.registries())
def test_no_upstream_model_is_asked_twice_along_a_chain(registry: Registry) -> None:
    for route in chained(registry):
        upstreams = [(each.provider, each.served_as) for each in route]
        assert len(set(upstreams)) == len(upstreams)


@prove
@given(strategies.registries())
def test_the_context_never_shrinks_along_a_chain(registry: Registry) -> None:
    for route in chained(registry):
        for upper, lower in pairwise(route):
            assert upper.context_length <= lower.context_length


@prove
@given(strategies.registries())
def test_a_chain_for_long_prompts_grows_at_every_step(registry: Registry) -> None:
    for route in chained(registry):
        tiers = (*route.own, *route.on_context_window) if route.on_context_window else ()
        for upper, lower in pairwise(each for tier in tiers for each in tier.deployments):
            assert upper.context_length < lower.context_length


@prove
@given(strategies.registries())
def test_a_fallback_can_do_what_the_first_one_can(registry: Registry) -> None:
    for route in chained(registry):
        first, *rest = route
        for each in rest:
            assert set(first.capabilities) <= set(each.capabilities)


@prove
@given(strategies.registries())
def test_one_route_answers_on_one_endpoint(registry: Registry) -> None:
    for route in (*chained(registry), *routes(registry)):
        if route.rule is not Rule.CAPABILITY:
            assert len({registry.model(each.provider, each.model).mode for each in route}) == 1


@prove
@given(strategies.registries())
def test_disabling_a_provider_takes_it_out_of_every_chain(registry: Registry) -> None:
    for provider_id in registry.enabled_providers():
        changed = without(registry, provider_id)
        for route in routes(changed):
            assert provider_id not in route.providers


@prove
@given(strategies.registries())
def test_disabling_a_provider_breaks_no_name_that_has_another(registry: Registry) -> None:
    for provider_id in registry.enabled_providers():
        changed = without(registry, provider_id)
        for route in routes(registry):
            left = [each.id for each in route if each.provider != provider_id]
            found = resolve(changed, route.name)
            if route.rule is Rule.PATTERN or len(left) < len(list(route)):
                assert bool(left) <= isinstance(found, Route)
            else:
                assert [each.id for each in found if isinstance(found, Route)] == left


@prove
@given(strategies.registries())
def test_a_disabled_provider_is_asked_by_no_name(registry: Registry) -> None:
    for route in routes(registry):
        assert all(registry.provider(each).enabled for each in route.providers)


@prove
@given(strategies.registries(), st.data())
def test_a_level_is_left_only_when_it_is_dead(registry: Registry, data: st.DataObject) -> None:
    down = data.draw(strategies.fault_sets(registry))
    for route in routes(registry):
        orders = [tier.deployments[0].order for tier in route.own]
        assert len(orders) == 1 or orders == sorted(order for order in orders if order is not None)
        answering = route.expected(down=down)
        for tier in route.own:
            alive = [
                each for each in tier.deployments if each.resident and each.provider not in down
            ]
            if alive:
                assert list(answering) == alive
                break


@prove
@given(strategies.registries())
def test_what_stands_behind_a_group_comes_after_all_its_members_in_order(
    registry: Registry,
) -> None:
    for group, balancer in registry.load_balancing.items():
        found = resolve(registry, group)
        if isinstance(found, Route):
            tried = [tier.group for tier in found.tiers]
            first = len(tried) - len(balancer.fallbacks)
            assert tried[first:] == list(balancer.fallbacks)
            assert {group, *(member.route for member in balancer.members)}.issuperset(tried[:first])


@prove
@given(strategies.registries(), st.data())
def test_what_stands_behind_a_group_answers_only_when_every_member_is_dead(
    registry: Registry, data: st.DataObject
) -> None:
    down = data.draw(strategies.fault_sets(registry))
    for group, balancer in registry.load_balancing.items():
        found = resolve(registry, group)
        if isinstance(found, Route):
            members = {registry.route(member.route).provider for member in balancer.members}
            alive = [each for each in found if each.resident and each.provider not in down]
            able = [each for each in alive if each.group not in balancer.fallbacks]
            behind = [each for each in alive if each.group in balancer.fallbacks]
            assert list(found.expected(down=down))[:1] == [*able, *behind][:1]
            assert {each.provider for each in able} <= members


@prove
@given(strategies.registries())
def test_a_refused_name_has_no_deployment_left(registry: Registry) -> None:
    for name in registry.routes.exact:
        if isinstance(resolve(registry, name), Refusal):
            assert not registry.provider(registry.route(name).provider).enabled
