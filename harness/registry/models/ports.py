"""``ports.yaml``: the one home of every port."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.registry.models.base import Identifier, Source, Table, Text


class Service(Source):
    """One listening service."""

    port: int = Field(ge=1, le=65_535, description="TCP port it listens on")
    protocol: Literal["http", "tcp"] = Field(description="http, or tcp for any other protocol")
    owner: Text = Field(description="Who binds the port: a unit, a container, a program")
    optional: bool = Field(
        default=False, description="Whether the system is complete when it does not run"
    )


class Ports(Source):
    """The whole of ``ports.yaml``."""

    host: Text = Field(description="Address every service listens on; loopback only")
    services: Table[Identifier, Service] = Field(
        min_length=1, description="Every service by the name other files refer to it by"
    )
