"""``model-mappings.yaml``: which name reaches which model, and what happens when it fails."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from harness.registry.models.base import (
    Count,
    Dollars,
    EnvRef,
    Health,
    Identifier,
    Lifetime,
    ModelName,
    Period,
    Seconds,
    Sequence,
    Source,
    Table,
    Text,
)
from harness.registry.regular import language


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


Glob = Annotated[
    str,
    Field(max_length=128, json_schema_extra={"pattern": r"^[^*?\s\[\]{}\\]+\*$"}),
    AfterValidator(_trailing_glob),
]
"""A prefix and one final ``*``."""


def _regular(text: str) -> str:
    """Accept a regular expression; `RegexError`, a ``ValueError``, says why not."""
    language(text)
    return text


Regex = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_regular)]
"""A regular expression over whole names; see :mod:`harness.registry.regular`."""


class Route(Source):
    """An exact name: one model of one provider, and the chains it falls back along."""

    provider: Identifier = Field(description="Id in providers.yaml")
    model: ModelName = Field(description="Name in that provider's catalogue")
    chain: Identifier | None = Field(
        default=None,
        description="Id of a fallback chain that contains this name; what follows it is tried",
    )
    context_window_chain: Identifier | None = Field(
        default=None, description="Chain tried instead when the prompt does not fit this model"
    )
    content_policy_chain: Identifier | None = Field(
        default=None, description="Chain tried instead when the provider's filter refuses"
    )
    degrade: bool = Field(
        default=False, description="Whether its fallbacks may lack capabilities that it has"
    )

    @property
    def chains(self) -> dict[str, str]:
        """The chains it refers to, by field."""
        found = {"chain": self.chain} if self.chain is not None else {}
        if self.context_window_chain is not None:
            found["context_window_chain"] = self.context_window_chain
        if self.content_policy_chain is not None:
            found["content_policy_chain"] = self.content_policy_chain
        return found


class Pattern(Source):
    """Names that look alike: to a provider's catalogue, or all to one route."""

    match: Glob | None = Field(default=None, description="Prefix and one final '*'")
    regex: Regex | None = Field(
        default=None, description="Regular expression that matches the whole name"
    )
    provider: Identifier | None = Field(
        default=None,
        description="What '*' stands for, or the whole name a regex matches, is a model of this "
        "provider",
    )
    route: ModelName | None = Field(default=None, description="Exact name that answers every match")

    @model_validator(mode="after")
    def _one_source_one_target(self) -> Self:
        if (self.match is None) == (self.regex is None):
            raise ValueError("needs exactly one of match (a glob) and regex")
        if (self.provider is None) == (self.route is None):
            raise ValueError("needs exactly one target: provider or route")
        return self

    @property
    def text(self) -> str:
        """The pattern as it is written."""
        return self.match or self.regex or ""

    @property
    def prefix(self) -> str:
        """What a name must start with to be matched by a glob, or by an open end of a regex.

        The star stands for anything, nothing included. Empty where a regex has no open end.
        """
        if self.match is not None:
            return self.match[:-1]
        return next((text for text, is_open in self.outlines if is_open), "")

    @property
    def outlines(self) -> tuple[tuple[str, bool], ...]:
        """The names it stands for, and the prefixes (marked True) that it stands for all of.

        Empty where a regex has no such list, which only one for a catalogue may lack.
        """
        if self.match is not None:
            return ((self.match[:-1], True),)
        return language(self.regex or "").outlines() or ()

    def matches(self, name: str) -> bool:
        """Whether it stands for ``name``, whatever its target makes of that."""
        if self.match is not None:
            return name.startswith(self.match[:-1])
        return language(self.regex or "").matches(name)


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


Strategy = Literal["weighted", "least-busy", "latency-based-routing"]
"""weighted: by chance. least-busy: fewest requests in flight. latency-based-routing: fastest."""


class Member(Source):
    """One member of a load-balanced group."""

    route: ModelName = Field(description="Exact name")
    weight: int = Field(
        default=1, ge=1, le=1000, description="Share of requests, relative to the others"
    )
    order: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Level: 1 is asked first, 2 once all of 1 are out; its provider's priority "
        "unless given",
    )


class Balancer(Source):
    """A name answered by several deployments in turn, and by others once these have failed."""

    strategy: Strategy = Field(description="How a member is picked; one for the whole gateway")
    members: Sequence[Member] = Field(min_length=2, description="Who takes part")
    fallbacks: Sequence[ModelName] = Field(
        default=(), description="Exact names tried in this order once every member has failed"
    )


class Resilience(Source):
    """When the gateway gives up on a deployment. Nothing here has a default on purpose."""

    timeout_s: Seconds = Field(description="Longest silence of an answer that is not streamed")
    stream_timeout_s: Seconds = Field(description="Longest silence of a stream")
    retries: int = Field(ge=0, le=10, description="Further attempts on the same deployment")
    allowed_fails: int = Field(
        ge=0, le=1000, description="Failures within cooldown_s tolerated before it is rested"
    )
    cooldown_s: Seconds = Field(
        description="How long a deployment is rested, and how long its failures are remembered"
    )


class When(Source):
    """What a request must be like for a special case; all that is given must hold."""

    tag: Identifier | None = Field(default=None, description="Tag the request carries")
    min_tokens: Count | None = Field(
        default=None, description="Estimated prompt tokens, at least so many"
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.tag is None and self.min_tokens is None:
            raise ValueError("holds no condition: give tag or min_tokens")
        return self


class SpecialCase(Source):
    """A request that goes elsewhere than its name says."""

    name: ModelName = Field(description="Exact name the request asks for")
    when: When = Field(description="What the request must be like")
    route: ModelName = Field(description="Exact name that answers instead")


class Cache(Source):
    """Answers kept and given again to the same question."""

    type: Literal["redis", "local"] = Field(description="local: in the gateway's own memory")
    ttl_s: Lifetime = Field(description="How long an answer is kept")
    service: Identifier | None = Field(default=None, description="Service in ports.yaml, if redis")
    password: EnvRef | None = Field(default=None, description="Its password, if redis asks for one")
    namespace: Identifier | None = Field(default=None, description="Prefix of its keys")

    @model_validator(mode="after")
    def _service_for_redis(self) -> Self:
        if (self.type == "redis") != (self.service is not None):
            raise ValueError("needs service exactly if its type is redis")
        if self.type == "local" and self.password is not None:
            raise ValueError("is local, so there is nobody to send a password to")
        return self


class Budget(Source):
    """The most that may be spent in a period."""

    limit_usd: Dollars = Field(description="US dollars")
    period: Period = Field(description="When spending starts anew, such as 30d")


class Budgets(Source):
    """Spending limits."""

    total: Budget | None = Field(default=None, description="For everything together")
    providers: Table[Identifier, Budget] = Field(default={}, description="By provider id")


class Queue(Source):
    """Requests that wait for a free place instead of being refused."""

    max_size: Count = Field(description="Requests that may wait")
    max_wait_s: Seconds = Field(description="How long one may wait")
    priorities: Annotated[Sequence[Identifier], Field(min_length=1)] = Field(
        description="Classes of requests, the most urgent first"
    )
    overflow: Literal["reject", "shed_lowest"] = Field(
        description="Who goes when it is full: the newcomer, or the least urgent"
    )


class Gateway(Source):
    """The one door."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        default="litellm", description="What it is: a module of harness/gateway/kinds"
    )
    port: Identifier = Field(description="Service in ports.yaml")
    cors_origins: Sequence[Text] = Field(description="Browser origins that may call it")
    master_key: EnvRef = Field(description="Key every client must send")
    metrics: bool = Field(description="Whether it exposes Prometheus metrics")
    drop_params: bool = Field(
        default=False,
        description="Whether a parameter that a provider does not know is left out of what it is "
        "asked; else the request is refused",
    )
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
    rules: Sequence[SpecialCase] = Field(
        default=(), description="Special cases, the first that holds wins"
    )
    cache: Cache | None = Field(default=None, description="Answers given again; none without it")
    budgets: Budgets = Field(default=Budgets(), description="Spending limits")
    queue: Queue | None = Field(default=None, description="Requests that wait; none without it")
    resilience: Resilience = Field(description="Timeouts, retries, circuit breaker")
    gateway: Gateway = Field(description="The one door")
