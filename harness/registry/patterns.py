"""Patterns in order: which of them stands for a name, the most specific first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Pattern
    from harness.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Claim:
    """A pattern that stands for a name: ``text`` is the name it spells, or the prefix of it.

    ``position`` is that in ``routes.patterns``; ``model`` is what the name asks of the provider's
    catalogue, where the pattern has a provider.
    """

    position: int
    pattern: Pattern
    text: str
    is_open: bool
    model: str | None = None


class Patterns:
    """All patterns of a registry, indexed: a look-up does not walk the list."""

    def __init__(self, registry: Registry) -> None:
        self._whole: dict[str, list[Claim]] = {}
        self._open: dict[str, list[Claim]] = {}
        self._names: dict[str, None] = {}
        for position, pattern in enumerate(registry.routes.patterns):
            provider = registry.providers.get(pattern.provider or "")
            models = [model.name for model in provider.models] if provider else []
            if pattern.regex is not None and pattern.provider is not None:
                for name in filter(pattern.matches, models):
                    self._add(Claim(position, pattern, name, is_open=False, model=name))
                continue
            for text, is_open in pattern.outlines:
                self._add(Claim(position, pattern, text, is_open=is_open))
                if is_open:
                    self._names.update(dict.fromkeys(text + name for name in models))
        self._lengths = sorted({len(text) for text in self._open}, reverse=True)

    def _add(self, claim: Claim) -> None:
        table = self._open if claim.is_open else self._whole
        table.setdefault(claim.text, []).append(claim)
        if not claim.is_open:
            self._names[claim.text] = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that can be written down: all but the open ends of route patterns."""
        return tuple(self._names)

    def claims(self, name: str) -> Iterator[Claim]:
        """What stands for ``name``: whole names first, then the longest prefix, then file order."""
        yield from self._whole.get(name, ())
        for length in self._lengths:
            if length <= len(name):
                for claim in self._open.get(name[:length], ()):
                    if claim.pattern.provider is None:
                        yield claim
                    else:
                        yield Claim(
                            claim.position,
                            claim.pattern,
                            claim.text,
                            is_open=True,
                            model=name[length:],
                        )

    def twins(self) -> Iterator[tuple[Claim, Claim]]:
        """Pairs of claims on one and the same name or prefix: the first, and each one after it."""
        for table in (self._whole, self._open):
            for first, *others in table.values():
                for other in others:
                    yield first, other


def patterns(registry: Registry) -> Patterns:
    """The patterns of ``registry``, indexed once."""
    return registry.derived(Patterns)


def claimant(registry: Registry, name: str) -> Claim | None:
    """The pattern that answers ``name``: of a provider's, only one whose catalogue has it."""
    for claim in patterns(registry).claims(name):
        provider = claim.pattern.provider
        if provider is None or (
            provider in registry.providers
            and registry.providers[provider].enabled
            and claim.model in registry.catalogue(provider)
        ):
            return claim
    return None
