"""A first ledger for other sources: what servers of a kind are known for, under other names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.contract.targets import GATEWAY, public_names
from harness.registry.writing import document
from harness.routing import Route, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.contract.deviations import Deviation, Ledger
    from harness.registry import Registry
    from harness.registry.writing import Node

HEADER = """First draft: the known deviations of servers of these kinds, and of LiteLLM.
A failing check with an entry here does not block; one that passes although it has an entry fails
with "fixed upstream, delete the entry", unless the entry is flaky. After `expires` an entry
excuses nothing. subject: a glob on a provider id, or on gateway:NAME."""


def draft_ledger(ledger: Ledger, of: Registry, registry: Registry) -> str:
    """The text of a ``deviations.yaml`` for ``registry``, out of the ledger of other sources.

    What ``ledger`` says of a provider of ``of`` holds of every provider of that type; what it says
    of a name behind the gateway holds of names with the same adapter. What speaks of everybody,
    or of every name, stays as it is. Entries of servers that ``registry`` has not are left out.
    """
    entries: list[Node] = []
    for entry in ledger.entries:
        found = tuple(
            subject
            for subject in _subjects(entry.deviation.subject, of, registry)
            if not entry.deviation.keyed or _asks_for_a_key(subject, registry)
        )
        for number, subject in enumerate(found, start=1):
            name = entry.deviation.id if len(found) == 1 else f"{entry.deviation.id}.{number}"
            entries.append(_written(entry.deviation, name, subject))
    return document({"deviations": entries}, header=HEADER)


def _subjects(subject: str, of: Registry, registry: Registry) -> Iterator[str]:
    """Whom an entry for ``subject`` speaks of in ``registry``."""
    if subject in ("*", f"{GATEWAY}:*"):
        yield subject
        return
    yield from _alike(subject, _kinds(of), _kinds(registry))


def _alike(subject: str, known: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[str]:
    """Ours of the kinds that the glob meets among the known."""
    meant = {kind for name, kind in known.items() if fnmatchcase(name, subject)}
    yield from (name for name, kind in ours.items() if kind in meant)


def _kinds(registry: Registry) -> dict[str, str]:
    """Provider types by provider id, and adapters by subject of a name behind the gateway.

    The latter are told apart from the former by their prefix: a provider's own trait is not that
    of the adapter before it.
    """
    kinds = {name: provider.type for name, provider in registry.enabled_providers().items()}
    found: dict[str, str] = {**kinds}
    for subject, name in public_names(registry).items():
        route = resolve(registry, name)
        if isinstance(route, Route):
            found[subject] = f"{GATEWAY}:{kinds[route.expected()[0].provider]}"
    return found


def _asks_for_a_key(subject: str, registry: Registry) -> bool:
    """Whether whoever is meant asks for one; the gateway always does."""
    provider = registry.providers.get(subject)
    return provider is None or provider.api_key is not None


def _written(deviation: Deviation, name: str, subject: str) -> Mapping[str, Node]:
    told = deviation.model_dump(mode="json", exclude_defaults=True)
    return {**told, "id": name, "subject": subject}
