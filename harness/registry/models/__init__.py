"""The shape of the three source files, one pydantic class per concept."""

from __future__ import annotations

from harness.registry.models.base import EnvRef, Health, Source
from harness.registry.models.mappings import (
    Balancer,
    CapabilityTarget,
    Gateway,
    Mappings,
    Member,
    Pattern,
    Resilience,
    Route,
    Routes,
)
from harness.registry.models.ports import Ports, Service
from harness.registry.models.providers import (
    Hardware,
    Host,
    Mode,
    Model,
    Provider,
    Providers,
    ProviderType,
    RateLimits,
    Residency,
    Status,
)

__all__ = [
    "Balancer",
    "CapabilityTarget",
    "EnvRef",
    "Gateway",
    "Hardware",
    "Health",
    "Host",
    "Mappings",
    "Member",
    "Mode",
    "Model",
    "Pattern",
    "Ports",
    "Provider",
    "ProviderType",
    "Providers",
    "RateLimits",
    "Residency",
    "Resilience",
    "Route",
    "Routes",
    "Service",
    "Source",
    "Status",
]
