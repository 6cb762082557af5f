"""Invariants of the sources: what is written is what is read, wherever and however it stands."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.registry import Registry, Severity, examine
from harness.registry.load import PORTS

if TYPE_CHECKING:
    from harness.strategies import Page, Style, System

EXAMPLES = int(os.environ.get("HARNESS_PROPERTY_EXAMPLES", "25"))
prove = settings(max_examples=EXAMPLES, deadline=None)


def read(pages: dict[str, Page]) -> Registry:
    registry, findings = examine(strategies.source_bytes(pages))
    assert registry is not None, findings
    return registry


@prove
@given(strategies.sources())
def test_generated_sources_load_without_an_error(sources: dict[str, bytes]) -> None:
    registry, findings = examine(sources)
    assert registry is not None
    assert not [each for each in findings if each.severity is Severity.ERROR]


@prove
@given(strategies.sources())
def test_the_same_sources_give_the_same_findings_sorted_by_place(
    sources: dict[str, bytes],
) -> None:
    first, second = examine(sources)[1], examine(sources)[1]
    assert first == second == sorted(first)


@prove
@given(strategies.systems(), strategies.styles())
def test_what_is_read_is_what_was_written(system: System, style: Style) -> None:
    registry = read(strategies.write(system, style))
    assert {name: each.value for name, each in registry.documents.items()} == system


@prove
@given(strategies.systems(), strategies.styles())
def test_every_key_and_value_is_found_where_it_stands(system: System, style: Style) -> None:
    pages = strategies.write(system, style)
    for name, document in read(pages).documents.items():
        assert dict(document.keys) == pages[name].keys
        assert dict(document.values) == pages[name].values


@prove
@given(strategies.systems(), strategies.styles(), strategies.styles())
def test_style_comments_and_key_order_change_neither_hash_nor_meaning(
    system: System, one: Style, other: Style
) -> None:
    first, second = read(strategies.write(system, one)), read(strategies.write(system, other))
    assert first.sha256 == second.sha256
    assert first.providers_source == second.providers_source
    assert first.mappings_source == second.mappings_source
    assert first.ports == second.ports


@prove
@given(strategies.systems(), st.integers(1, 1000))
def test_another_value_has_another_hash(system: System, step: int) -> None:
    changed = copy.deepcopy(system)
    service = changed[PORTS]["services"]["gateway"]
    service["port"] = service["port"] % 1000 + step
    one, other = (
        examine(strategies.source_bytes(strategies.write(each)))[0] for each in (system, changed)
    )
    if one is not None and other is not None:
        assert (one.sha256 == other.sha256) == (system == changed)


@prove
@given(strategies.systems(), st.integers(1, 5))
def test_lines_above_move_every_finding_down_and_change_nothing_else(
    system: System, lines: int
) -> None:
    sources = strategies.source_bytes(strategies.write(system))
    lower = {name: b"# why\n" * lines + text for name, text in sources.items()}
    moved = [replace(each, line=each.line + lines) for each in examine(sources)[1]]
    # A message may name a line too; rule and place say enough.
    assert [(each.rule, each.place) for each in examine(lower)[1]] == [
        (each.rule, each.place) for each in moved
    ]


@prove
@given(strategies.registries())
def test_no_two_services_share_a_port_and_no_two_providers_a_service(registry: Registry) -> None:
    ports = [service.port for service in registry.ports.services.values()]
    assert len(set(ports)) == len(ports)
    local = [each.port for each in registry.providers.values() if each.port is not None]
    assert len({*local, registry.gateway.port}) == len(local) + 1
    for provider_id, provider in registry.providers.items():
        if provider.port is not None:
            assert registry.origin(provider_id).endswith(f":{registry.address(provider.port)[1]}")


@prove
@given(strategies.registries())
def test_models_that_are_always_loaded_fit_their_gpu_together(registry: Registry) -> None:
    used = dict.fromkeys(registry.hosts, 0.0)
    for provider in registry.enabled_providers().values():
        if provider.hardware is not None and provider.hardware.gpu:
            for model in provider.models:
                if model.residency == "always":
                    used[provider.hardware.host] += model.vram_gb or 0.0
    for host, needed in used.items():
        assert needed <= (registry.hosts[host].vram_gb or 0.0)


@prove
@given(strategies.registries())
def test_a_name_is_written_out_once(registry: Registry) -> None:
    routes = registry.routes
    tables = (routes.exact, routes.aliases, registry.load_balancing, registry.capabilities)
    names = [name for table in tables for name in table]
    assert len(set(names)) == len(names)


@prove
@given(strategies.registries())
def test_every_reference_leads_somewhere(registry: Registry) -> None:
    for route in registry.routes.exact.values():
        assert registry.model(route.provider, route.model)
        for chain in route.chains.values():
            assert chain in registry.fallback_chains
    named = [
        *registry.routes.aliases.values(),
        *(pattern.route for pattern in registry.routes.patterns if pattern.route is not None),
        *(each.route for targets in registry.capabilities.values() for each in targets),
        *(each.route for group in registry.load_balancing.values() for each in group.members),
        *(name for group in registry.load_balancing.values() for name in group.fallbacks),
        *(name for chain in registry.fallback_chains.values() for name in chain),
    ]
    for name in named:
        assert registry.route(name)
