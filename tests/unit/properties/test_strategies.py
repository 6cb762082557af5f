"""The strategies themselves: quick, rich, valid, and they shrink to something a person can read."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.registry import RULES, Registry, RegistryError, Severity, examine
from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.routing import Refusal, Route, Rule, listed, resolve
from harness.strategies import PLANTS, System


def seen(strategy: st.SearchStrategy[Any], examples: int = 200) -> list[Any]:
    """What a strategy generates; the health checks of hypothesis stay on."""
    found: list[Any] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        derandomize=True,
    )
    @given(strategy)
    def take(value: Any) -> None:
        found.append(value)

    take()
    return found


def test_registries_are_rich() -> None:
    rules: Counter[str] = Counter()
    tiers = 0
    for registry in seen(strategies.registries()):
        routes = [resolve(registry, name) for name in listed(registry)]
        rules.update(found.rule.value for found in routes if isinstance(found, Route))
        tiers = max([tiers, *(len(found.tiers) for found in routes if isinstance(found, Route))])
    assert set(rules) == {rule.value for rule in Rule}
    assert tiers >= 4


def test_systems_hold_every_type_status_residency_and_mode() -> None:
    systems = seen(strategies.systems())
    providers = [each for system in systems for each in system[PROVIDERS]["providers"].values()]
    models = [model for provider in providers for model in provider["models"]]
    assert len({each["type"] for each in providers}) == 7
    assert {each["status"] for each in providers} == {"active", "optional", "disabled"}
    assert {each["residency"] for each in models} == {"always", "on_demand", "manual"}
    assert {each["mode"] for each in models} == {"chat", "embedding", "completion"}
    assert {"fallback_chains", "load_balancing", "capabilities"} <= {
        key for system in systems for key in system[MAPPINGS]
    }


@given(strategies.registries(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
def test_names_are_known_unknown_and_in_between(registry: Registry, data: st.DataObject) -> None:
    assert isinstance(data.draw(strategies.names(registry)), str)
    assert data.draw(strategies.fault_sets(registry)) <= set(registry.providers)


def test_both_routes_and_refusals_are_asked_for() -> None:
    asked = seen(
        strategies.registries().flatmap(
            lambda registry: st.tuples(st.just(registry), strategies.names(registry))
        )
    )
    kinds = Counter(type(resolve(registry, name)) for registry, name in asked)
    assert min(kinds[Route], kinds[Refusal]) > len(asked) // 10


def test_a_failure_shrinks_to_something_a_person_can_read() -> None:
    system = find(
        strategies.systems(),
        lambda system: bool(system[MAPPINGS]["routes"].get("aliases")),
        settings=settings(database=None, derandomize=True, max_examples=200),
    )
    assert len(system[MAPPINGS]["routes"]["exact"]) == 1
    assert len(system[MAPPINGS]["routes"]["aliases"]) == 1
    assert len(system[PROVIDERS]["providers"]) == 1
    assert not {"fallback_chains", "load_balancing", "capabilities"} & set(system[MAPPINGS])
    assert len(strategies.write(system)[MAPPINGS].text.splitlines()) <= 30


def test_a_system_with_an_error_is_refused() -> None:
    (system, *_) = seen(strategies.systems(), 1)
    system[PORTS]["host"] = "0.0.0.0"
    with pytest.raises(RegistryError, match="GW141"):
        strategies.registry_of(system)


def test_every_plant_is_a_rule_and_most_kinds_of_rules_have_one() -> None:
    assert set(PLANTS) <= set(RULES)
    assert {rule[:3] for rule in PLANTS} >= {"GW0", "GW1"}
    assert {RULES[rule].severity for rule in PLANTS} == {Severity.ERROR, Severity.WARNING}


def test_healthy_sources_of_a_defect_load() -> None:
    for defect in seen(strategies.defects(), 30):
        assert examine(defect.healthy)[0] is not None
        assert defect.healthy != defect.sources


def test_a_new_plant_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_host(system: System) -> tuple[str, tuple[str | int, ...], bool]:
        system[PORTS]["host"] = "example.org"
        return PORTS, ("host",), False

    monkeypatch.setitem(PLANTS, "GW141", no_host)
    for defect in seen(strategies.defects("GW141"), 3):
        assert b"example.org" in defect.sources[PORTS]
        assert defect.rule == "GW141"
