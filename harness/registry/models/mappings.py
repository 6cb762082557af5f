"""``model-mappings.yaml``: which name reaches which model, and what happens when it fails."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from harness.registry.models.base import (
    EnvRef,
    Health,
    Identifier,
    ModelName,
    Seconds,
    Sequence,
    Source,
    Table,
    Text,
)


def _trailing_glob(glob: str) -> str:
    """Accept ``prefix*``; ``ValueError`` says why any other glob is refused."""
    if glob.count("*") != 1 or not glob.endswith("*"):
        raise ValueError(
            "must hold exactly one '*', at its end: LiteLLM does not anchor a wildcard at its "
            "end (litellm#42090), so any other glob would match more there than it says"
        )
    if glob == "*":
        raise ValueError("must not be a bare '*': it would answer every misspelt model name")
    if any(letter.isspace() or letter in "?[]{}\\" for letter in glob):
        raise ValueError("may hold only letters, digits, '._:/@+-' and the final '*'")
    return glob


Glob = Annotated[str, Field(max_length=128), AfterValidator(_trailing_glob)]
"""A prefix and one final ``*``."""


class Route(Source):
    """An exact name: one model of one provider, and the chain it falls back along."""

    provider: Identifier = Field(description="Id in providers.yaml")
    model: ModelName = Field(description="Name in that provider's catalogue")
    chain: Identifier | None = Field(
        default=None,
        description="Id of a fallback chain that contains this name; what follows it is tried",
    )


class Pattern(Source):
    """Names matched by prefix: to a provider's catalogue, or all to one route."""

    match: Glob = Field(description="Prefix and one final '*'")
    provider: Identifier | None = Field(
        default=None, description="'*' stands for a model name in this provider's catalogue"
    )
    route: ModelName | None = Field(default=None, description="Exact name that answers every match")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.provider is None) == (self.route is None):
            raise ValueError("needs exactly one target: provider or route")
        return self

    @property
    def prefix(self) -> str:
        """What a name must start with; the star stands for anything, nothing included."""
        return self.match[:-1]


class Routes(Source):
    """Names, in order of precedence."""

    exact: Table[ModelName, Route] = Field(min_length=1, description="Exact names")
    aliases: Table[ModelName, ModelName] = Field(
        default={}, description="Second names of exact names, one hop"
    )
    patterns: Sequence[Pattern] = Field(
        default=(), description="Tried after exact names; the longest prefix wins"
    )


class CapabilityTarget(Source):
    """One candidate for a capability."""

    route: ModelName = Field(description="Exact name")
    priority: int = Field(ge=1, le=1000, description="1 is asked first")


class Member(Source):
    """One member of a load-balanced group."""

    route: ModelName = Field(description="Exact name")
    weight: int = Field(ge=1, le=1000, description="Share of requests, relative to the others")


class Balancer(Source):
    """A name answered by several deployments in turn."""

    strategy: Literal["weighted"] = Field(description="How a member is picked")
    members: Sequence[Member] = Field(min_length=2, description="Who takes part")


class Resilience(Source):
    """When the gateway gives up on a deployment. Nothing here has a default on purpose."""

    timeout_s: Seconds = Field(description="Longest silence of an answer that is not streamed")
    stream_timeout_s: Seconds = Field(description="Longest silence of a stream")
    retries: int = Field(ge=0, le=10, description="Further attempts on the same deployment")
    allowed_fails: int = Field(
        ge=0, le=1000, description="Failures per minute tolerated before the deployment is rested"
    )
    cooldown_s: Seconds = Field(description="How long it is rested")


class Gateway(Source):
    """The one door."""

    port: Identifier = Field(description="Service in ports.yaml")
    cors_origins: Sequence[Text] = Field(description="Browser origins that may call it")
    master_key: EnvRef = Field(description="Key every client must send")
    metrics: bool = Field(description="Whether it exposes Prometheus metrics")
    health: Health = Field(description="Readiness probe that costs no completion")


class Mappings(Source):
    """The whole of ``model-mappings.yaml``."""

    public_models: Sequence[ModelName] = Field(
        min_length=1, description="The names the gateway advertises"
    )
    routes: Routes = Field(description="Exact names, aliases, patterns")
    capabilities: Table[Identifier, Annotated[Sequence[CapabilityTarget], Field(min_length=1)]] = (
        Field(default={}, description="Candidates by capability")
    )
    load_balancing: Table[ModelName, Balancer] = Field(
        default={}, description="Load-balanced groups by name"
    )
    fallback_chains: Table[Identifier, Annotated[Sequence[ModelName], Field(min_length=2)]] = Field(
        default={}, description="Exact names in the order they are tried, by chain id"
    )
    resilience: Resilience = Field(description="Timeouts, retries, circuit breaker")
    gateway: Gateway = Field(description="The one door")
