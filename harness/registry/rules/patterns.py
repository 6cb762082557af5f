"""Rules about patterns: each is reached, none is ambiguous, and the gateway can follow it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.patterns import patterns
from harness.registry.regular import MAX_OUTLINES, language
from harness.registry.rule import Hit, rule
from harness.registry.rules.targets import disabled_provider_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Pattern
    from harness.registry.patterns import Claim
    from harness.registry.registry import Registry
    from harness.registry.rule import Path

_NAME = re.compile(r"[A-Za-z0-9._:/@+-]+")


def _path(index: int, pattern: Pattern) -> Path:
    return ("routes", "patterns", index, "match" if pattern.match is not None else "regex")


@rule(
    "GW114",
    title="Two patterns match the same names",
    why="Neither is more specific than the other, so which of them answers would depend on their "
    "order in the file, which nobody reads as a decision.",
    remedy="Remove one of them, or make one more specific.",
    failing="model-mappings.yaml: "
    "{routes: {patterns: [{match: x-*, route: tiny}, {regex: 'x-.*|y', route: spare}]}}",
    passing="model-mappings.yaml: "
    "{routes: {patterns: [{match: x-*, route: tiny}, {regex: 'x-y.*|y', route: spare}]}}",
)
def pattern_twice(registry: Registry) -> Iterator[Hit]:
    """Patterns that spell a name, or a prefix, that an earlier one spells."""
    reported: set[int] = set()
    for first, other in patterns(registry).twins():
        if other.position in reported or other.position == first.position:
            continue
        reported.add(other.position)
        star = "*" if other.is_open else ""
        message = (
            f"{quoted(other.text + star)} already belongs to entry {first.position + 1} of this "
            f"list, {quoted(first.pattern.text)}."
        )
        yield Hit(_path(other.position, other.pattern), message)


@rule(
    "GW117",
    severity=Severity.WARNING,
    title="A pattern is never reached",
    why="Every name it stands for is taken by an exact name or by a more specific pattern, or it "
    "stands for none, so what it says never happens.",
    remedy="Remove the pattern, or what hides it.",
    failing="model-mappings.yaml: {routes: {patterns: [{regex: 'tiny|spare', route: tiny}]}}",
    passing="model-mappings.yaml: {routes: {patterns: [{regex: 'tiny|small', route: tiny}]}}",
)
def unreached(registry: Registry) -> Iterator[Hit]:
    """Patterns that answer no name at all."""
    index = patterns(registry)
    taken = _taken(registry)
    reached = {
        claim.position
        for name in index.names
        if name not in taken and (claim := next(_real(registry, index.claims(name)), None))
    }
    for position, pattern in enumerate(registry.routes.patterns):
        provider = registry.providers.get(pattern.provider or "")
        open_ended = pattern.provider is None and any(is_open for _, is_open in pattern.outlines)
        unknown = pattern.provider is not None and provider is None  # GW101 reports it
        disabled = provider is not None and not provider.enabled  # GW121 reports it
        unwritable = pattern.provider is None and not pattern.outlines  # GW119 reports it
        if position in reached or open_ended or unknown or disabled or unwritable:
            continue
        message = f"No name is left for the pattern {quoted(pattern.text)}."
        yield Hit(_path(position, pattern), message)


def _taken(registry: Registry) -> set[str]:
    routes = registry.routes
    return {*routes.exact, *routes.aliases, *registry.load_balancing}


def _real(registry: Registry, claims: Iterator[Claim]) -> Iterator[Claim]:
    """Claims on a name that has an answer: a provider's pattern needs the model to exist."""
    for claim in claims:
        provider = claim.pattern.provider
        if provider is None or (
            provider in registry.providers and claim.model in registry.catalogue(provider)
        ):
            yield claim


@rule(
    "GW118",
    title="A pattern takes over a name whose provider is disabled",
    why="The name is to be refused as long as its provider is disabled. But a gateway leaves such "
    "a name out, so the wider pattern answers it, with another model, and nobody notices.",
    remedy="Remove the name while its provider is disabled, or narrow the pattern.",
    failing="""
providers.yaml: {providers: {spare: {status: disabled}}}
model-mappings.yaml: {routes: {patterns: [{match: sp*, route: tiny}]}}
""",
    passing="""
providers.yaml: {providers: {spare: {status: optional}}}
model-mappings.yaml: {routes: {patterns: [{match: sp*, route: tiny}]}}
""",
)
def taken_over(registry: Registry) -> Iterator[Hit]:
    """Names on a disabled provider that an open route pattern matches."""
    for name in registry.routes.exact:
        yield from _taken_over(registry, name, name, ("routes", "exact", name))
    for alias, target in registry.routes.aliases.items():
        yield from _taken_over(registry, alias, target, ("routes", "aliases", alias))
    for group, balancer in registry.load_balancing.items():
        members = [disabled_provider_of(registry, member.route) for member in balancer.members]
        if all(members) and not balancer.fallbacks:
            first = balancer.members[0].route
            yield from _taken_over(registry, group, first, ("load_balancing", group))
    for position, pattern in enumerate(registry.routes.patterns):
        provider = registry.providers.get(pattern.provider or "")
        if provider is not None and not provider.enabled:
            every = (model.name for model in provider.models)
            names = (
                filter(pattern.matches, every)
                if pattern.regex is not None
                else (pattern.prefix + name for name in every)
            )
            wider = next((c for n in names if (c := _open_route(registry, n))), None)
            if wider is not None:
                message = (
                    f"{quoted(pattern.provider)} is disabled, yet {quoted(wider.pattern.text)} "
                    "makes the gateway answer names of its catalogue."
                )
                yield Hit(_path(position, pattern), message)


def _taken_over(registry: Registry, name: str, target: str, path: Path) -> Iterator[Hit]:
    provider = disabled_provider_of(registry, target)
    wider = _open_route(registry, name) if provider is not None else None
    if wider is not None:
        message = (
            f"{quoted(name)} is on the disabled provider {quoted(provider)}, yet the pattern "
            f"{quoted(wider.pattern.text)} makes the gateway answer it."
        )
        yield Hit(path, message, on_key=True)


def _open_route(registry: Registry, name: str) -> Claim | None:
    """The pattern that would answer ``name`` if nothing better did."""
    claims = patterns(registry).claims(name)
    return next((claim for claim in claims if claim.pattern.provider is None), None)


@rule(
    "GW119",
    title="The gateway cannot follow a regular expression",
    why="LiteLLM knows names and '*' and nothing else, and it does not anchor a wildcard at its "
    "end (litellm#42090). A regular expression for a route can be compiled only where it stands "
    "for some names (a|b, c?) and for all names with some prefix (x.*).",
    remedy="List the names, end it with '.*', or give it a provider: then it stands for the models "
    "of the catalogue that it matches.",
    failing="model-mappings.yaml: {routes: {patterns: [{regex: 'x.*-chat', route: tiny}]}}",
    passing="model-mappings.yaml: {routes: {patterns: [{regex: 'x-(a|b)-chat', route: tiny}]}}",
)
def not_expressible(registry: Registry) -> Iterator[Hit]:
    """Regular expressions for a route that are no list of names and prefixes."""
    for index, pattern in enumerate(registry.routes.patterns):
        if pattern.regex is None or pattern.provider is not None:
            continue
        outlines = language(pattern.regex).outlines()
        if outlines is None:
            problem = f"It is no list of names and prefixes, or one of more than {MAX_OUTLINES}."
        elif ("", True) in outlines:
            problem = "It matches everything, so it would answer every misspelt model name."
        elif not all(_NAME.fullmatch(text) for text, _ in outlines):
            problem = "It stands for a name no client can send: letters, digits and '._:/@+-'."
        else:
            continue
        yield Hit(("routes", "patterns", index, "regex"), problem)
