"""Invariants of who answers a name."""

from __future__ import annotations

import copy
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.registry import Registry, examine
from harness.registry.load import MAPPINGS, PROVIDERS
from harness.routing import Refusal, Route, Rule, listed, resolve

EXAMPLES = int(os.environ.get("HARNESS_PROPERTY_EXAMPLES", "25"))
prove = settings(max_examples=EXAMPLES, deadline=None)

HIGHER = {Rule.EXACT, Rule.ALIAS, Rule.BALANCED}


def routed(registry: Registry, name: str) -> Route:
    found = resolve(registry, name)
    assert isinstance(found, Route), found
    return found


def meaning(found: Route | Refusal) -> object:
    """What is decided, without the words and line numbers that say why."""
    if isinstance(found, Refusal):
        return found.name
    groups = [[(d.id, d.served_as, d.weight) for d in tier.deployments] for tier in found.tiers]
    return found.name, found.rule, found.target, groups


@prove
@given(st.data())
def test_every_text_gets_one_route_or_one_refusal(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    name = data.draw(strategies.names(registry))
    found = resolve(registry, name)
    assert isinstance(found, Route | Refusal)
    assert found.name == name
    assert found.steps
    if isinstance(found, Route):
        assert found.tiers
        assert all(tier.deployments for tier in found.tiers)


@prove
@given(strategies.sources(), st.data())
def test_the_same_sources_give_the_same_answer(
    sources: dict[str, bytes], data: st.DataObject
) -> None:
    first, _ = examine(sources)
    second, _ = examine(dict(sources))
    assert first is not None
    assert second is not None
    name = data.draw(strategies.names(first))
    assert resolve(first, name) == resolve(first, name)
    assert meaning(resolve(first, name)) == meaning(resolve(second, name))
    assert resolve(first, name).steps == resolve(second, name).steps


@prove
@given(strategies.registries())
def test_every_listed_name_has_a_route(registry: Registry) -> None:
    assert len(set(listed(registry))) == len(listed(registry))
    for name in listed(registry):
        routed(registry, name)


@prove
@given(strategies.registries())
def test_every_public_model_has_a_route(registry: Registry) -> None:
    for name in registry.public_models:
        routed(registry, name)


@prove
@given(st.data())
def test_a_name_that_nothing_claims_is_refused(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    name = data.draw(strategies.names(registry))
    claimed = name in listed(registry) or any(
        pattern.matches(name) for pattern in registry.routes.patterns
    )
    if not claimed:
        assert isinstance(resolve(registry, name), Refusal)


@prove
@given(st.data())
def test_a_new_pattern_changes_no_name_that_was_written_out(data: st.DataObject) -> None:
    system = data.draw(strategies.systems())
    before = strategies.registry_of(system)
    wider = copy.deepcopy(system)
    name = data.draw(st.sampled_from(listed(before)))
    pattern = {"match": f"{name[:2]}q*", "route": next(iter(before.routes.exact))}
    wider[MAPPINGS]["routes"].setdefault("patterns", []).append(pattern)
    after = strategies.registry_of(wider)
    for each in listed(before):
        if routed(before, each).rule in HIGHER:
            assert meaning(resolve(after, each)) == meaning(resolve(before, each))


@prove
@given(st.data())
def test_a_new_capability_changes_no_other_name(data: st.DataObject) -> None:
    system = data.draw(strategies.systems())
    before = strategies.registry_of(system)
    able = copy.deepcopy(system)
    head = next(iter(before.routes.exact))
    model = before.route(head).model
    for each in able[PROVIDERS]["providers"]["p0"]["models"]:
        if each["name"] == model:
            each["capabilities"].append("planted")
    able[MAPPINGS].setdefault("capabilities", {})["planted"] = [{"route": head, "priority": 1}]
    after = strategies.registry_of(able)
    name = data.draw(strategies.names(before).filter(lambda name: name != "planted"))
    assert meaning(resolve(after, name)) == meaning(resolve(before, name))
    assert routed(after, "planted").tiers == routed(after, head).tiers


@prove
@given(st.data())
def test_a_new_name_changes_no_other_name(data: st.DataObject) -> None:
    system = data.draw(strategies.systems())
    before = strategies.registry_of(system)
    more = copy.deepcopy(system)
    head, route = next(iter(more[MAPPINGS]["routes"]["exact"].items()))
    target = {key: route[key] for key in ("provider", "model")}
    more[MAPPINGS]["routes"]["exact"]["planted"] = target
    more[MAPPINGS]["routes"].setdefault("aliases", {})["planted-alias"] = head
    after = strategies.registry_of(more)
    for name in listed(before):
        assert meaning(resolve(after, name)) == meaning(resolve(before, name))


@prove
@given(strategies.registries())
def test_an_alias_is_one_hop_and_has_the_tiers_of_its_target(registry: Registry) -> None:
    for alias, target in registry.routes.aliases.items():
        assert target in registry.routes.exact
        found, direct = resolve(registry, alias), resolve(registry, target)
        if isinstance(direct, Refusal):
            assert isinstance(found, Refusal)
            continue
        assert isinstance(found, Route)
        assert found.tiers == direct.tiers


@prove
@given(st.data())
def test_a_pattern_matches_whole_names(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    name = data.draw(strategies.names(registry))
    found = resolve(registry, name)
    if isinstance(found, Route) and found.rule is Rule.PATTERN:
        assert any(pattern.matches(name) for pattern in registry.routes.patterns)
        if found.target == name:  # a catalogue was asked: nothing may be left over
            longer = resolve(registry, f"{name}\N{SNOWMAN}")
            assert isinstance(longer, Refusal) or longer.target != name


@prove
@given(st.data())
def test_the_longest_pattern_wins(data: st.DataObject) -> None:
    system = data.draw(strategies.systems())
    route = next(iter(system[MAPPINGS]["routes"]["exact"]))
    patterns = [{"match": match, "route": route} for match in ("pl*", "plan*", "planted*")]
    written = system[MAPPINGS]["routes"].setdefault("patterns", [])
    written.extend(data.draw(st.permutations(patterns)))
    registry = strategies.registry_of(system)
    for name in ("pl", "plant", "planted-x"):
        longest = max(
            (p["match"][:-1] for p in patterns if name.startswith(p["match"][:-1])), key=len
        )
        assert routed(registry, name).target == f"{longest}*"


@prove
@given(strategies.registries())
def test_a_suggested_name_is_one_of_the_sources(registry: Registry) -> None:
    for name in listed(registry):
        found = resolve(registry, f"{name}~")
        if isinstance(found, Refusal):
            for near in found.nearest:
                assert near in {
                    *listed(registry),
                    *registry.routes.exact,
                    *registry.routes.aliases,
                    *registry.load_balancing,
                    *registry.capabilities,
                } or any(pattern.matches(near) for pattern in registry.routes.patterns)


@prove
@given(st.data())
def test_the_dead_answer_nothing(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    down = data.draw(strategies.fault_sets(registry))
    for name in listed(registry):
        route = routed(registry, name)
        answering = route.expected(down=down)
        assert not {deployment.provider for deployment in answering} & down
        assert all(deployment.resident for deployment in answering)
        able = [each for each in route if each.resident and each.provider not in down]
        assert bool(answering) == bool(able)


@prove
@given(st.data())
def test_killing_more_never_moves_the_answer_to_an_earlier_tier(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    fewer = data.draw(strategies.fault_sets(registry))
    more = fewer | data.draw(strategies.fault_sets(registry))

    def depth(route: Route, down: frozenset[str]) -> int:
        answering = route.expected(down=down)
        tiers = [
            number
            for number, tier in enumerate(route.tiers)
            if answering and answering[0] in tier.deployments
        ]
        return tiers[0] if tiers else len(route.tiers)

    for name in listed(registry):
        route = routed(registry, name)
        assert depth(route, more) >= depth(route, fewer)


@prove
@given(st.data())
def test_asking_for_one_request_only_takes_deployments_away(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    down = data.draw(strategies.fault_sets(registry))
    for name in listed(registry):
        whole, narrowed = routed(registry, name), resolve(registry, name, down=down)
        left = [each.id for each in narrowed] if isinstance(narrowed, Route) else []
        assert left == [each.id for each in whole if each.provider not in down]


@prove
@given(st.data())
def test_the_first_tier_left_alive_answers(data: st.DataObject) -> None:
    registry = data.draw(strategies.registries())
    down = data.draw(strategies.fault_sets(registry))
    for name in listed(registry):
        route = routed(registry, name)
        alive = [
            [each for each in tier.deployments if each.resident and each.provider not in down]
            for tier in route.tiers
        ]
        assert list(route.expected(down=down)) == next(filter(None, alive), [])


@prove
@given(strategies.registries())
def test_the_candidate_of_the_highest_priority_answers_a_capability(registry: Registry) -> None:
    for capability, targets in registry.capabilities.items():
        found = resolve(registry, capability)
        if isinstance(found, Route) and found.rule is Rule.CAPABILITY:
            enabled = [
                target
                for target in targets
                if registry.provider(registry.route(target.route).provider).enabled
            ]
            first = min(enabled, key=lambda target: target.priority)
            chain = registry.chain_after(first.route)
            assert [tier.group for tier in found.tiers][: 1 + len(chain)] == [first.route, *chain]


@prove
@given(strategies.registries())
def test_a_group_asks_its_members_level_by_level(registry: Registry) -> None:
    for group, balancer in registry.load_balancing.items():
        found = resolve(registry, group)
        if isinstance(found, Route) and found.rule is Rule.BALANCED and found.target == group:
            members = {
                (registry.route(member.route).provider, registry.route(member.route).model): member
                for member in balancer.members
            }
            asked = [
                members[each.provider, each.model]
                for tier in found.own
                for each in tier.deployments
            ]
            levels = [
                (
                    registry.provider(registry.route(member.route).provider).failover_only,
                    member.order
                    or registry.provider(registry.route(member.route).provider).priority,
                )
                for member in asked
            ]
            assert levels == sorted(levels)
