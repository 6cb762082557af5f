"""Who is meant by the word that names whom to ask for the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.installs import KNOWN
from harness.routing import Route, listed, resolve
from harness.stack import kinds_of
from harness.stack.fleet import needed_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.registry import Registry

GATEWAY, EMULATED, REAL = "gateway", "emulated", "real"


class TargetError(ValueError):
    """There is nobody of this name, or not here; the text says who there is, or what to install."""


def targets(registry: Registry, word: str) -> list[str]:
    """The servers that ``word`` means, each as ``emulated:ID``, ``real:ID`` or ``gateway:NAME``.

    A provider, or an engine as ``nox -s engines`` names it, is the real server where that is
    installed, else the emulated one; ``real:`` and ``emulated:`` before it insist. ``emulated``
    and ``real`` alone are every provider that can be; ``gateway`` is one name an adapter.

    Raises:
        TargetError: no such name, or no such real server here.
    """
    if word == GATEWAY:
        return list(public_names(registry))
    providers = list(registry.enabled_providers())
    if word == EMULATED:
        return [f"{EMULATED}:{each}" for each in providers]
    kind, colon, name = word.rpartition(":")
    needs = _real(registry)
    groups = {provider: [provider] for provider in providers}
    groups |= {
        engine: [each for each, need in needs.items() if need == engine]
        for engine in needs.values()
        if engine
    }
    # `llama_cpp_python` is what the dialect is called, `llama-cpp-python` the provider.
    found = list(needs) if word == REAL else groups.get(name.replace("_", "-"))
    if found is None or (colon and kind not in (REAL, EMULATED)):
        known = ", ".join([EMULATED, REAL, GATEWAY, *groups])
        raise TargetError(f"nobody is called {word}: choose among {known}, or give a URL")
    here = {each for each, need in needs.items() if need is None or KNOWN[need].installed()}
    if REAL in (word, kind):
        if lacking := [each for each in found if each not in here]:
            raise _absent(word, lacking, needs)
        return [f"{REAL}:{each}" for each in found]
    real = here if kind != EMULATED else set()
    return [f"{REAL if each in real else EMULATED}:{each}" for each in found]


def install(registry: Registry, target: str) -> str | None:
    """What to install so that an emulated target can be asked for real; None: nothing helps."""
    kind, _, provider = target.partition(":")
    return _real(registry).get(provider) if kind == EMULATED else None


def public_names(registry: Registry) -> dict[str, str]:
    """One name per adapter behind a public name, by subject: the rest show nothing else.

    It is one that a single deployment answers, public if there is such: of a balanced group two
    answers may come from two servers, and nothing follows from their being different.
    """
    chosen: dict[str, str] = {}
    public = {adapter for name in registry.public_models for adapter in _adapters(registry, name)}
    for name in dict.fromkeys((*registry.public_models, *listed(registry))):
        adapters = _adapters(registry, name)
        if len(adapters) == 1 and adapters[0] in public:
            chosen.setdefault(adapters[0], name)
    return {f"{GATEWAY}:{name}": name for name in chosen.values()}


def _adapters(registry: Registry, name: str) -> list[str]:
    """The type of provider of each deployment that a name is answered by."""
    route = resolve(registry, name)
    expected = route.expected() if isinstance(route, Route) else ()
    return [registry.provider(each.provider).type for each in expected]


def _real(registry: Registry) -> dict[str, str | None]:
    """Providers that a real server can stand for, and what each needs installed."""
    return {
        provider: needed_by(registry.provider(provider).type)
        for provider, kind in kinds_of(registry, "full").items()
        if kind == "real"
    }


def _absent(word: str, lacking: Iterable[str], needs: dict[str, str | None]) -> TargetError:
    names = list(lacking)
    wanted = " ".join(dict.fromkeys(need for each in names if (need := needs.get(each))))
    how = f"run `nox -s engines -- {wanted}`" if wanted else "no registry has it"
    return TargetError(
        f"{word}: there is no real {', '.join(names)} here: {how}, or choose {EMULATED}:{names[0]}"
    )
