"""How long a step takes: from the hardware and the model's geometry, or fitted to a real engine.

All times are seconds, all sizes bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.engines.scheduler.config import SchedulerError

if TYPE_CHECKING:
    from harness.engines.scheduler.plan import StepPlan


class StepTime(Protocol):
    """Says how long the engine computes on a step."""

    def seconds(self, plan: StepPlan) -> float:
        """Time from the start of the step to its tokens."""
        ...

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data that `step_time_from_json` reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A processor by its data sheet, and the share of it that real kernels reach."""

    name: str
    memory_bytes: int
    bandwidth: float
    """Bytes a second from its memory."""
    flops: float
    """Floating point operations a second in the precision of the weights' products."""
    bandwidth_efficiency: float = 1.0
    flops_efficiency: float = 1.0
    overhead_s: float = 0.0
    """Time of a step that does not depend on its size: launches, sampling, the scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A decoder model by its ``config.json``."""

    name: str
    weight_bytes: int
    """Weights in memory."""
    read_bytes: int
    """Weights that every step reads: all but the input embedding, of which it reads some rows."""
    parameters: int
    """Parameters that every token is multiplied with: all but the input embedding."""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_element_bytes: int = 2

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers: 2 x layers x kv_heads x head_dim x bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.kv_element_bytes

    @property
    def flops_per_pair(self) -> int:
        """Operations for a token to attend to another: 4 x layers x heads x head_dim.

        A product with the key and one with the value, each a multiplication and an addition.
        """
        return 4 * self.layers * self.heads * self.head_dim


def kv_blocks(
    hardware: Hardware,
    geometry: Geometry,
    *,
    utilisation: float,
    block_size: int = 16,
    reserved_bytes: int = 0,
) -> int:
    """Blocks that fit beside the model: what vLLM computes when it starts.

    ``floor((memory x utilisation - weights - reserved) / (block_size x kv_bytes_per_token))``;
    ``reserved_bytes`` are the peak of the activations, CUDA graphs and what is outside the
    allocator (vllm/v1/core/kv_cache_utils.py; vllm/v1/worker/gpu_worker.py,
    ``determine_available_memory``). Raises SchedulerError if nothing fits.
    """
    pool = hardware.memory_bytes * utilisation - geometry.weight_bytes - reserved_bytes
    blocks = int(pool // (block_size * geometry.kv_bytes_per_token))
    if blocks < 1:
        raise SchedulerError(
            "scheduler.no-memory",
            f"{geometry.name} leaves no memory for a KV cache on {hardware.name} at "
            f"utilisation {utilisation}: raise it, or take a smaller model",
        )
    return blocks


@dataclass(frozen=True, slots=True)
class Roofline:
    """The least time that memory and arithmetic allow, at the efficiencies of ``hardware``.

    The matrix products of a step read all weights once and multiply each with every token:
    ``max(read_bytes / bandwidth, 2 x parameters x tokens / flops)``. Attention reads the cached
    keys and values and multiplies pairs of tokens: ``max(kv bytes / bandwidth, pairs x
    flops_per_pair / flops)``. The kernels run one after another, so the two add up.

    Roofline: Williams, Waterman and Patterson 2009. Two operations for each parameter and token:
    Kaplan et al. 2020. Time of decoding as weights plus cache over bandwidth: Pope et al. 2022.
    """

    hardware: Hardware
    geometry: Geometry

    def seconds(self, plan: StepPlan) -> float:
        """See `StepTime`."""
        hardware, geometry = self.hardware, self.geometry
        bandwidth = hardware.bandwidth * hardware.bandwidth_efficiency
        flops = hardware.flops * hardware.flops_efficiency
        decodes = plan.decodes
        pairs = plan.context + decodes + plan.prefill_pairs
        read = plan.context + decodes + plan.prefill_tokens
        products = max(
            geometry.read_bytes / bandwidth,
            2 * geometry.parameters * (decodes + plan.prefill_tokens) / flops,
        )
        attention = max(
            read * geometry.kv_bytes_per_token / bandwidth,
            pairs * geometry.flops_per_pair / flops,
        )
        return hardware.overhead_s + products + attention

    def to_json(self) -> dict[str, Any]:
        """See `StepTime`."""
        return {"kind": "roofline", **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A sum of what a step holds, each at its price: the prices come from a running engine.

    ``constant_s + prefill_token_s x prompt tokens + decode_s x sequences with one token +
    context_token_s x cached tokens these attend to``.
    """

    constant_s: float
    prefill_token_s: float = 0.0
    decode_s: float = 0.0
    context_token_s: float = 0.0
    front_s: float = 0.0
    """What a request costs the server in front of the engine: HTTP, template, tokenizer."""
    front_delay_s: float = 0.0
    """What a request waits on its way to the engine besides: one process handing it to another."""
    front_token_s: float = 0.0
    """What a token costs it on its way out: detokenizer, JSON, the write."""

    def seconds(self, plan: StepPlan) -> float:
        """See `StepTime`."""
        return (
            self.constant_s
            + self.prefill_token_s * plan.prefill_tokens
            + self.decode_s * plan.decodes
            + self.context_token_s * plan.context
        )

    def to_json(self) -> dict[str, Any]:
        """See `StepTime`."""
        return {"kind": "fitted", **asdict(self)}


def step_time_from_json(data: dict[str, Any]) -> Roofline | Fitted:
    """The inverse of ``to_json``. Raises SchedulerError."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    try:
        if kind == "fitted":
            return Fitted(**fields)
        if kind == "roofline":
            return Roofline(Hardware(**fields["hardware"]), Geometry(**fields["geometry"]))
    except (KeyError, TypeError) as error:
        raise SchedulerError(
            "scheduler.step-time", f"the {kind} step time is incomplete or malformed: {error}"
        ) from error
    raise SchedulerError(
        "scheduler.step-time", f"no step time of kind {kind!r}: there are 'roofline' and 'fitted'"
    )
