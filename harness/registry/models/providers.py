"""``providers.yaml``: what can answer, with which models, on which hardware."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from harness.registry.models.base import (
    Count,
    EnvRef,
    Gigabytes,
    Health,
    Identifier,
    ModelName,
    Sequence,
    Source,
    Table,
    Text,
    UrlPath,
)

ProviderType = Literal[
    "ollama",
    "llama_cpp_native",
    "llama_cpp_python",
    "vllm",
    "openai",
    "anthropic",
    "openai_compatible",
]
"""Which server it is, hence which dialect of the API it speaks."""

Status = Literal["active", "optional", "disabled"]
"""active: must run. optional: may run. disabled: known, never asked."""

Residency = Literal["always", "on_demand", "manual"]
"""always: loaded with the server. on_demand: by the first request. manual: by a person."""

Mode = Literal["chat", "embedding", "completion"]
"""The endpoint a model answers on."""

Dtype = Literal["float32", "float16", "bfloat16", "fp8", "int8"]
"""Number format of a KV cache."""

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1, "int8": 1}
"""Bytes of one number in each format."""


def _server_root(url: str) -> str:
    """Accept ``https://host[:port][/prefix]``; ``ValueError`` names what does not belong."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it is what validates it
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.query or parts.fragment or url.endswith("/"):
        raise ValueError("must end after host, port or path prefix: no '/', '?' or '#' at the end")
    return url


Url = Annotated[
    str,
    Field(json_schema_extra={"pattern": r"^https?://[^?#]*[^/?#]$"}),
    AfterValidator(_server_root),
]
"""The root of a remote server; ``api_path`` is appended to it."""


class Geometry(Source):
    """The shape of a model's attention, which fixes what a token costs in GPU memory."""

    layers: Count = Field(description="Transformer layers (num_hidden_layers)")
    kv_heads: Count = Field(description="Heads that keep keys and values (num_key_value_heads)")
    head_dim: Count = Field(description="Numbers in one key or value (head_dim)")
    dtype: Dtype = Field(description="Number format of the KV cache")

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache of one token in bytes: a key and a value for each head of each layer.

        2 x layers x KV heads x head dimension x bytes per number (Kwon et al., "Efficient
        Memory Management for LLM Serving with PagedAttention", 2023, section 3).
        """
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES[self.dtype]


class Model(Source):
    """One model in a provider's catalogue."""

    name: ModelName = Field(description="Name in this registry; routes refer to it")
    served_as: ModelName = Field(description="Id the server lists in /v1/models and expects")
    context_length: Count = Field(description="Tokens, prompt and answer, as the server runs it")
    max_output: Count | None = Field(default=None, description="Most tokens in one answer")
    size_gb: Gigabytes | None = Field(default=None, description="Weights on disk, in GB")
    vram_gb: Gigabytes | None = Field(default=None, description="GPU memory when resident, in GB")
    quantization: Text | None = Field(default=None, description="Such as AWQ or Q5_K_M")
    geometry: Geometry | None = Field(default=None, description="Shape of its attention")
    capabilities: Sequence[Identifier] = Field(
        min_length=1, description="What it is good for; capability routes check against it"
    )
    mode: Mode = Field(description="The endpoint it answers on")
    residency: Residency = Field(description="When its weights are in memory")
    specialty: Text | None = Field(default=None, description="Free text for people")


class RateLimits(Source):
    """What the provider allows; at least one limit."""

    rpm: Count | None = Field(default=None, description="Requests per minute")
    tpm: Count | None = Field(default=None, description="Tokens per minute")
    max_parallel: Count | None = Field(default=None, description="Requests in flight")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.rpm is None and self.tpm is None and self.max_parallel is None:
            raise ValueError("holds no limit: give rpm, tpm or max_parallel, or drop it")
        return self


class Hardware(Source):
    """Where a provider runs."""

    host: Identifier = Field(description="Id under hosts")
    gpu: bool = Field(description="Whether its resident models occupy the host's GPU memory")


class Host(Source):
    """A machine and its GPU."""

    gpu: Text | None = Field(default=None, description="Name of the card; absent without one")
    vram_gb: Gigabytes | None = Field(default=None, description="GPU memory in GB")

    @model_validator(mode="after")
    def _gpu_has_memory(self) -> Self:
        if (self.gpu is None) != (self.vram_gb is None):
            raise ValueError("gives only one of gpu and vram_gb: a card has both, no card neither")
        return self


class Provider(Source):
    """Something that answers: one server and the models it serves."""

    type: ProviderType = Field(description="Which server it is")
    port: Identifier | None = Field(default=None, description="Service in ports.yaml, if local")
    base_url: Url | None = Field(default=None, description="Root of the server, if remote")
    api_path: UrlPath = Field(default="/v1", description="Path of the API below the root")
    api_key: EnvRef | None = Field(default=None, description="Its key, by environment variable")
    status: Status = Field(description="Whether it must run, may run, or is never asked")
    region: Identifier | None = Field(default=None, description="Where it is, such as eu-west-1")
    priority: int = Field(
        default=1, ge=1, le=1000, description="Level within a group; 1 is asked first"
    )
    failover_only: bool = Field(
        default=False, description="Whether it is asked only once all others have failed"
    )
    health: Health | None = Field(default=None, description="Readiness probe; needed if local")
    features: Sequence[Identifier] = Field(default=(), description="What the server supports")
    rate_limits: RateLimits | None = Field(default=None, description="Limits it enforces")
    hardware: Hardware | None = Field(default=None, description="Where it runs, if local")
    models: Sequence[Model] = Field(min_length=1, description="Its catalogue")

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.port is None) == (self.base_url is None):
            raise ValueError(
                "needs exactly one address: port (a service in ports.yaml) for a local server, "
                "base_url for a remote one"
            )
        if self.port is not None and self.health is None:
            raise ValueError("is local, so it needs health: the harness waits for it to be ready")
        return self

    @property
    def enabled(self) -> bool:
        """Whether it may be asked at all."""
        return self.status != "disabled"


class Providers(Source):
    """The whole of ``providers.yaml``."""

    hosts: Table[Identifier, Host] = Field(default={}, description="Machines by id")
    providers: Table[Identifier, Provider] = Field(min_length=1, description="Providers by id")
