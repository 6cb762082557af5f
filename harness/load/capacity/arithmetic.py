"""How many requests of a length a card holds at a time: vLLM's own arithmetic, each step shown.

Follows vLLM 0.32: ``vllm/v1/worker/utils.py`` (``request_memory``) for the budget,
``vllm/v1/core/kv_cache_utils.py`` (``get_kv_cache_groups``, ``get_kv_cache_config_from_groups``,
``get_max_concurrency_for_kv_cache_config``) for blocks and concurrency. It is memory, not speed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.load.capacity.geometry import GIB, CapacityError

if TYPE_CHECKING:
    from harness.load.capacity.geometry import Layer, Model

DEFAULT_UTILISATION = 0.92
"""vLLM 0.32, ``CacheConfig.gpu_memory_utilization``."""
CACHE_BYTES = {"auto": None, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "bfloat16": 2, "float16": 2}
"""Bytes of a number in the cache by vLLM's ``--kv-cache-dtype``; None: as the model computes."""
_LARGE = 70 * GIB
_HUGE = 160 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked: a card's memory, an engine's settings, and the length of the requests."""

    memory_bytes: int
    length: int
    """Tokens of a request, prompt and answer together; the engine's ``--max-model-len``."""
    utilisation: float = DEFAULT_UTILISATION
    reserved_bytes: int = 0
    """Activations, CUDA graphs and what is outside the allocator."""
    cache_dtype: str = "auto"
    block_size: int = 16
    gpus: int = 1
    """Cards that share the model (tensor parallel); memory and reserve are of each."""
    batched_tokens: int | None = None
    """``--max-num-batched-tokens``; None: vLLM's default for the card."""
    max_num_seqs: int | None = None
    """None: likewise."""
    memory_source: str = "given"
    reserved_source: str = "given"

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "length", "block_size", "gpus"):
            _require(getattr(self, name) > 0, name, "must be more than 0")
        _require(0 < self.utilisation <= 1, "utilisation", "must be above 0 and at most 1")
        _require(self.reserved_bytes >= 0, "reserved", "must not be negative")
        known = ", ".join(CACHE_BYTES)
        _require(self.cache_dtype in CACHE_BYTES, "kv-cache-dtype", f"must be one of {known}")

    @property
    def step_tokens(self) -> int:
        """Tokens computed in a step (vLLM, ``EngineArgs``, of an API server)."""
        if self.batched_tokens is not None:
            return self.batched_tokens
        if self.memory_bytes >= _HUGE:
            return 16384
        return 8192 if self.memory_bytes >= _LARGE else 2048

    @property
    def seats(self) -> int:
        """Sequences that may run at a time (likewise)."""
        if self.max_num_seqs is not None:
            return self.max_num_seqs
        return 1024 if self.memory_bytes >= _LARGE else 256


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the derivation: its name, the sum in numbers, the result, where it is from."""

    name: str
    formula: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share a block table, and the blocks a request needs of it."""

    layers: int
    window: int | None
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What fits, and how it came about."""

    ask: Ask
    model: Model
    kv_bytes_per_token: int
    """In all layers, of a token that all of them keep; on each card."""
    bytes_per_block: int
    pool_bytes: int
    blocks: int
    groups: tuple[Group, ...]
    steps: tuple[Step, ...]

    @property
    def blocks_per_request(self) -> int:
        """Blocks of a request of the full length, over all groups."""
        return sum(group.blocks for group in self.groups)

    @property
    def concurrency(self) -> float:
        """What vLLM prints as "Maximum concurrency for N tokens per request"."""
        return self.blocks / self.blocks_per_request

    @property
    def tokens(self) -> int:
        """What it prints as the size of the KV cache."""
        return int(self.concurrency * self.ask.length)

    @property
    def requests(self) -> int:
        """Whole requests of that length that run at a time, with nobody waiting.

        One block is vLLM's null block and holds nothing; no more run than ``max_num_seqs``.
        """
        return min(self.ask.seats, (self.blocks - 1) // self.blocks_per_request)


def fit(model: Model, ask: Ask) -> Fit:
    """Derive what fits.

    Raises:
        CapacityError: nothing does, or the length is beyond the model's context.
    """
    if ask.length > model.context_length:
        raise CapacityError(
            "capacity.setting",
            f"--len {ask.length:,}: {model.name} has a context of {model.context_length:,} tokens",
        )
    element = CACHE_BYTES[ask.cache_dtype] or model.cache_bytes
    groups, widest = _groups(model.layers, ask)
    per_token = element * sum(layer.elements(ask.gpus) for layer in model.layers)
    page = element * ask.block_size * model.layers[0].elements(ask.gpus)
    per_block = page * widest
    budget = math.ceil(ask.memory_bytes * ask.utilisation)
    weights = math.ceil(model.weight_bytes / ask.gpus)
    pool = budget - weights - ask.reserved_bytes
    blocks = pool // per_block
    if blocks < 1:
        raise CapacityError(
            "capacity.no-room",
            f"{model.name}: {_gib(weights)} of weights and {_gib(ask.reserved_bytes)} reserved "
            f"leave no room in {_gib(budget)} ({ask.utilisation:.0%} of the card). Raise the "
            "utilisation, take fewer bits or a smaller model, or more cards (--gpus).",
        )
    found = Fit(
        ask=ask,
        model=model,
        kv_bytes_per_token=per_token,
        bytes_per_block=per_block,
        pool_bytes=pool,
        blocks=blocks,
        groups=groups,
        steps=(),
    )
    return replace(found, steps=_steps(found, element, widest, budget, weights))


@dataclass(frozen=True, slots=True)
class Variant:
    """The same card and model with one thing changed; ``fit`` is None where nothing fits."""

    change: str
    fit: Fit | None


def variants(model: Model, ask: Ask) -> tuple[Variant, ...]:
    """What fp8, the utilisation, the length and an error of the reserve would change."""
    changes: list[tuple[str, Ask]] = [("as asked", ask)]
    if ask.cache_dtype == "auto":
        changes.append(("KV cache in fp8", replace(ask, cache_dtype="fp8")))
    changes += [
        (f"utilisation {share:.2f}", replace(ask, utilisation=share))
        for share in (0.80, 0.85, 0.90, 0.92, 0.95)
        if not math.isclose(share, ask.utilisation)
    ]
    changes += [
        (f"length {length:,}", replace(ask, length=length))
        for factor in (0.125, 0.25, 0.5, 2, 4, 8)
        if 0 < (length := int(ask.length * factor)) <= model.context_length
    ]
    half = GIB // 2
    changes += [
        (f"reserve {_gib(reserve)}", replace(ask, reserved_bytes=reserve))
        for reserve in (max(0, ask.reserved_bytes - half), ask.reserved_bytes + half)
    ]
    return tuple(Variant(change, _maybe(model, changed)) for change, changed in changes)


def _maybe(model: Model, ask: Ask) -> Fit | None:
    try:
        return fit(model, ask)
    except CapacityError:
        return None


def _groups(layers: tuple[Layer, ...], ask: Ask) -> tuple[tuple[Group, ...], int]:
    """The groups of layers, and how many layers the widest has.

    Layers of one kind make one group. Of several kinds, each is cut into groups as large as the
    smallest kind, or as the largest where that is less than half as large again, and all of them
    draw blocks from one pool (``_get_kv_cache_groups_uniform_page_size``).
    """
    kinds = Counter(layer.window for layer in layers)
    if len(kinds) == 1:
        window, number = next(iter(kinds.items()))
        return (Group(number, window, _blocks(window, ask)),), number
    least, most = min(kinds.values()), max(kinds.values())
    size = most if most < 1.5 * least else least
    groups: list[Group] = []
    for window, number in kinds.items():
        count = -(-number // size)
        groups += [
            Group(len(range(each, number, count)), window, _blocks(window, ask))
            for each in range(count)
        ]
    return tuple(groups), max(group.layers for group in groups)


def _blocks(window: int | None, ask: Ask) -> int:
    """Blocks of one request in one group.

    Behind a window, blocks are let go only once a step has settled, and two steps are under way
    (``SlidingWindowSpec.max_admission_blocks_per_request``, asynchronous scheduling).
    """
    if window is None:
        return -(-ask.length // ask.block_size)
    kept = min(window - 1 + 2 * ask.step_tokens, ask.length)
    return -(-kept // ask.block_size) + 1


def _steps(found: Fit, element: int, widest: int, budget: int, weights: int) -> tuple[Step, ...]:
    ask, model = found.ask, found.model
    first = model.layers[0]
    number = len(model.layers)
    kept = (
        f"{number} layers x {first.cells} latent numbers x {element} B"
        if first.latent
        else f"2 x {number} layers x {first.elements(ask.gpus) // first.cells} KV heads x "
        f"{first.cells // 2} x {element} B"
    )
    shared = f" / {ask.gpus} cards" if ask.gpus > 1 else ""
    needs = " + ".join(
        f"{count} x {blocks}" if count > 1 else str(blocks)
        for blocks, count in Counter(group.blocks for group in found.groups).items()
    )
    return (
        Step("KV cache of a token", kept, found.kv_bytes_per_token, "B", "config.json"),
        Step(
            "KV cache of a block",
            f"{ask.block_size} tokens x {widest} of {number} layers",
            found.bytes_per_block,
            "B",
            "the engine's block size",
        ),
        Step("memory", "of the card", ask.memory_bytes / GIB, "GiB", ask.memory_source),
        Step(
            "budget",
            f"{ask.utilisation:g} x {_gib(ask.memory_bytes)}",
            budget / GIB,
            "GiB",
            "the engine's utilisation",
        ),
        Step(
            "weights",
            f"in memory{shared}",
            weights / GIB,
            "GiB",
            model.weight_source,
        ),
        Step(
            "reserved",
            "activations, graphs, the rest",
            ask.reserved_bytes / GIB,
            "GiB",
            ask.reserved_source,
        ),
        Step(
            "KV pool",
            f"{budget / GIB:.3f} - {weights / GIB:.3f} - {ask.reserved_bytes / GIB:.3f}",
            found.pool_bytes / GIB,
            "GiB",
            "what is left",
        ),
        Step(
            "blocks",
            f"{found.pool_bytes:,} // {found.bytes_per_block:,}",
            found.blocks,
            "",
            "get_kv_cache_config_from_groups",
        ),
        Step(
            "blocks of a request",
            f"{ask.length:,} tokens: {needs}",
            found.blocks_per_request,
            "",
            "get_max_concurrency_for_kv_cache_config",
        ),
        Step(
            "concurrency",
            f"{found.blocks:,} / {found.blocks_per_request:,}",
            found.concurrency,
            "x",
            "what vLLM prints when it starts",
        ),
    )


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB"


def _require(holds: bool, name: str, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise CapacityError("capacity.setting", f"{name}: {text}")
