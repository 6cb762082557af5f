"""What a scheduler is told: the limits of a step, and the cache it shares out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Policy = Literal["fcfs", "priority"]


EXPLAINED = {
    "scheduler.config": """A limit of the scheduler is out of range

The names and their meaning are vLLM's; some limits bound one another, as a step must have a token
for every running sequence.

Remedy: change the field that is named.""",
    "scheduler.pool-too-small": """The KV cache cannot hold one longest request

A sequence that fills the whole cache and still grows could never end: everybody else has been
preempted already. vLLM refuses to start for the same reason.

Remedy: more blocks (memory), or a smaller max_model_len.""",
    "scheduler.too-long": """A prompt leaves no room for an answer

Prompt and answer together may have max_model_len tokens.

Remedy: shorten the prompt, or raise max_model_len.""",
    "scheduler.sequence": """A sequence without tokens

A prompt has at least one token, and an answer too.

Remedy: look at the lengths of the workload.""",
    "scheduler.no-memory": """The model leaves no memory for a KV cache

Weights and activations fill the share of the memory that the engine may use.

Remedy: raise the utilisation, take a smaller model or one with fewer bits, or a larger card.""",
    "scheduler.step-time": """A step time that cannot be read

It is written by `harness calibrate`, or by hand with a kind of `roofline` or `fitted`.

Remedy: calibrate again, or complete the fields that are named.""",
    "scheduler.preset": """There is no such preset

Presets are engines whose card and model are written down with their sources.

Remedy: take one of those named, or a file written by `harness calibrate`.""",
}
"""What ``harness explain`` says of each error."""


class SchedulerError(ValueError):
    """A configuration that cannot serve, or a sequence that can never be computed.

    ``id`` is stable; the text says what is wrong and what to change.
    """

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """Limits, by vLLM's names for them (``SchedulerConfig`` and ``CacheConfig`` of 0.32).

    Raises SchedulerError: a limit out of range, or a pool too small for one longest sequence
    (vLLM refuses that at start: "To serve at least one request with the model's max seq len").
    """

    num_blocks: int
    """Blocks of the pool. One of them is vLLM's null block and holds no tokens."""
    block_size: int = 16
    """Tokens of one block."""
    max_model_len: int = 4096
    """Tokens of one sequence, prompt and answer together."""
    max_num_seqs: int = 256
    """Sequences that run at a time."""
    max_num_batched_tokens: int = 2048
    """Tokens computed in one step, over all sequences."""
    long_prefill_token_threshold: int = 0
    """Most prompt tokens of one sequence in a step while others wait or run; 0: no such limit."""
    enable_chunked_prefill: bool = True
    """A prompt may be computed over several steps."""
    enable_prefix_caching: bool = True
    """Full blocks are kept after their sequence and found again by what they hold."""
    scheduler_reserve_full_isl: bool = True
    """A sequence is admitted only if all of its known tokens fit, not its first chunk alone."""
    watermark: float = 0.0
    """Share of the pool that an admission must leave free while others run."""
    policy: Policy = "fcfs"
    """Who is admitted first and preempted last: the first to come, or the lowest number."""
    async_scheduling: bool = False
    """A step is planned while the one before it is computed, as vLLM does by default."""

    def __post_init__(self) -> None:
        for name in ("num_blocks", "block_size", "max_model_len", "max_num_seqs"):
            _require(getattr(self, name) > 0, name, "must be at least 1")
        _require(
            self.max_num_batched_tokens >= self.max_num_seqs,
            "max_num_batched_tokens",
            f"{self.max_num_batched_tokens} is less than max_num_seqs {self.max_num_seqs}: "
            "every running sequence needs a token of the step",
        )
        _require(
            self.enable_chunked_prefill or self.max_num_batched_tokens >= self.max_model_len,
            "max_num_batched_tokens",
            f"{self.max_num_batched_tokens} is less than max_model_len {self.max_model_len}: "
            "allow it, or enable chunked prefill",
        )
        _require(
            0 <= self.long_prefill_token_threshold <= self.max_model_len,
            "long_prefill_token_threshold",
            "must be from 0 to max_model_len",
        )
        _require(0 <= self.watermark < 1, "watermark", "must be from 0 to below 1")
        _require(self.policy in {"fcfs", "priority"}, "policy", "is 'fcfs' or 'priority'")
        needed = self.blocks_for(self.max_model_len)
        if needed > self.num_blocks - 1:
            most = (self.num_blocks - 1) * self.block_size
            raise SchedulerError(
                "scheduler.pool-too-small",
                f"to serve one request of max_model_len {self.max_model_len} the KV cache needs "
                f"{needed} blocks and {self.num_blocks - 1} can be used: raise num_blocks "
                f"(memory), or lower max_model_len to {most} or less",
            )

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold ``tokens`` tokens of one sequence."""
        return -(-tokens // self.block_size)

    @property
    def max_concurrency(self) -> float:
        """Sequences of ``max_model_len`` that the pool holds: what vLLM prints when it starts.

        ``num_blocks / ceil(max_model_len / block_size)`` for a model whose layers all cache alike
        (vllm/v1/core/kv_cache_utils.py, ``get_max_concurrency_for_kv_cache_config``).
        """
        return self.num_blocks / self.blocks_for(self.max_model_len)

    @property
    def cache_tokens(self) -> int:
        """Tokens of the cache as vLLM states them: ``int(max_concurrency * max_model_len)``."""
        return int(self.max_concurrency * self.max_model_len)

    @property
    def capacity_line(self) -> str:
        """The line vLLM prints at start-up, in its words (0.32: one line)."""
        return (
            f"GPU KV cache size: {self.cache_tokens:,} tokens, Maximum concurrency for "
            f"{self.max_model_len:,} tokens per request: {self.max_concurrency:.2f}x"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SchedulerConfig:
        """The inverse of `to_json`. Raises SchedulerError."""
        known = [each.name for each in fields(cls)]
        for name in data:
            _require(name in known, name, f"no such setting; there are {', '.join(known)}")
        _require("num_blocks" in data, "num_blocks", "is missing: how many blocks has the pool?")
        return cls(**data)


def _require(holds: bool, name: str, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise SchedulerError("scheduler.config", f"{name}: {text}")
