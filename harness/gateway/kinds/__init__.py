"""The gateways there are, a module each: ``gateway.type`` is the name of its file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from harness.registry import Finding, RegistryError, Severity
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from harness.gateway.base import Kind
    from harness.registry import Registry

UNKNOWN = "GW403"
EXPLAINED = {
    UNKNOWN: """The sources name a gateway that this harness cannot run (error)

`gateway.type` in model-mappings.yaml is the name of a module in harness/gateway/kinds, which says
how that gateway is generated, started and stopped. Without one nothing can be proved of it.

Remedy: write one of the names that are listed, or add the module.""",
}
"""What ``harness explain`` says of each id."""


def names() -> list[str]:
    """What ``gateway.type`` may be."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def findings(registry: Registry) -> list[Finding]:
    """What is wrong with the gateway that the sources name."""
    name = registry.gateway.type
    if name in names():
        return []
    place = registry.position(("gateway", "type"))
    return [
        Finding(
            file=place.file,
            line=place.line,
            column=place.column,
            rule=UNKNOWN,
            severity=Severity.ERROR,
            message=f"There is no gateway of type {quoted(name)}.",
            remedy=suggest(name, names()),
        )
    ]


def kind(registry: Registry) -> Kind:
    """The gateway that the sources name: what its module calls ``GATEWAY``.

    Raises:
        RegistryError: there is none of that name.
    """
    if wrong := findings(registry):
        raise RegistryError(wrong)
    found: Kind = importlib.import_module(f"{__name__}.{registry.gateway.type}").GATEWAY
    return found
