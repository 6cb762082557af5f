"""Engines one can name: a card, a model on it, and the scheduler that the two of them get.

What a data sheet says stands here as it says it. Efficiencies and reserved memory are estimates,
each with where it comes from; `harness calibrate` replaces them by measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.scheduler.config import SchedulerConfig, SchedulerError
from harness.engines.scheduler.steptime import Fitted, Geometry, Hardware, Roofline, kv_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 1024**3

QUADRO_RTX_5000 = Hardware(
    name="Quadro RTX 5000",
    memory_bytes=16 * GIB,
    bandwidth=448e9,
    flops=89.2e12,
    bandwidth_efficiency=0.48,
    flops_efficiency=0.40,
    overhead_s=0.002,
)
"""NVIDIA Quadro RTX 5000 data sheet: 16 GB GDDR6, 448 GB/s, 89.2 TFLOPS tensor (FP16).

Bandwidth: AWQ kernels on Turing reach about 34 tokens a second for a 7B model on a T4 (AutoAWQ
pull request 92), 0.48 of what its 320 GB/s allow. Arithmetic and overhead: estimates.
"""

H100_SXM = Hardware(
    name="H100 SXM",
    memory_bytes=80 * GIB,
    bandwidth=3.35e12,
    flops=989e12,
    bandwidth_efficiency=0.75,
    flops_efficiency=0.55,
    overhead_s=0.003,
)
"""NVIDIA H100 data sheet: 80 GB HBM3, 3.35 TB/s, 989 TFLOPS dense BF16. The rest are estimates."""

QWEN2_5_7B_AWQ = Geometry(
    name="Qwen2.5-Coder-7B-Instruct-AWQ",
    weight_bytes=int(5.2032 * GIB),
    read_bytes=int(4.48e9),
    parameters=int(7.07e9),
    layers=28,
    heads=28,
    kv_heads=4,
    head_dim=128,
)
"""``config.json``: 28 layers, 28 heads, 4 KV heads of 128. Weights: "Loading model weights took
5.2032 GB" for a 4-bit Qwen2.5-7B (vllm issue 13882). Read and multiplied: all but the embedding
of 152,064 x 3,584 in 16 bit."""

LLAMA_3_1_8B = Geometry(
    name="Llama-3.1-8B-Instruct",
    weight_bytes=int(16.06e9),
    read_bytes=int(15.01e9),
    parameters=int(7.50e9),
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
)
"""``config.json``: 32 layers, 32 heads, 8 KV heads of 128; 8.03 billion parameters in BF16, of
which the input embedding has 128,256 x 4,096."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A scheduler and its step time, and how the numbers came about."""

    scheduler: SchedulerConfig
    step_time: Roofline | Fitted
    text: str


def quadro_rtx_5000() -> Preset:
    """The 16 GB card with a 7B model in 4 bit, at 0.85 of its memory and 4,096 tokens a request.

    ===============================  ==========================================  =============
    KV bytes of a token              2 x 28 layers x 4 KV heads x 128 x 2 B      57,344
    KV bytes of a block              16 tokens                                   917,504
    memory it may use                0.85 x 16 GiB                               13.600 GiB
    weights                          as logged                                   5.203 GiB
    activations and the rest         estimate, see below                         1.040 GiB
    blocks                           floor(7.357 GiB / 917,504)                  8,609
    tokens                           8,609 x 16                                  137,744
    requests of 4,096 tokens         8,609 / 256 blocks                          33.63
    ===============================  ==========================================  =============

    The remainder of 1.040 GiB is what makes a printed "33.63x" come out, and between the 0.82 and
    1.04 GiB that 15.74 to 16.00 GiB of visible memory leave; it was not measured on the card.
    """
    blocks = kv_blocks(
        QUADRO_RTX_5000, QWEN2_5_7B_AWQ, utilisation=0.85, reserved_bytes=int(1.04 * GIB)
    )
    return Preset(
        SchedulerConfig(
            num_blocks=blocks,
            max_model_len=4096,
            max_num_seqs=256,
            max_num_batched_tokens=2048,
            async_scheduling=True,
        ),
        Roofline(QUADRO_RTX_5000, QWEN2_5_7B_AWQ),
        "Quadro RTX 5000 16 GB, Qwen2.5-Coder-7B in 4-bit AWQ, utilisation 0.85",
    )


def h100() -> Preset:
    """An 80 GB card with an 8B model in BF16, at vLLM's defaults for its class (0.32).

    ``max_num_seqs`` 1,024 and ``max_num_batched_tokens`` 8,192 for 70 GiB and more
    (vllm/engine/arg_utils.py), utilisation 0.92; 4 GiB for activations and graphs: an estimate.
    """
    blocks = kv_blocks(H100_SXM, LLAMA_3_1_8B, utilisation=0.92, reserved_bytes=4 * GIB)
    return Preset(
        SchedulerConfig(
            num_blocks=blocks,
            max_model_len=8192,
            max_num_seqs=1024,
            max_num_batched_tokens=8192,
            async_scheduling=True,
        ),
        Roofline(H100_SXM, LLAMA_3_1_8B),
        "H100 SXM 80 GB, Llama-3.1-8B in BF16, utilisation 0.92",
    )


def cpu_tiny() -> Preset:
    """A CPU engine of vLLM with a model of a third of a million parameters, on one thread.

    4,305 blocks of 32 print the same 33.63x. vLLM does not schedule ahead on a CPU
    (vllm/platforms/cpu.py, 0.32). Prices as `harness calibrate` fitted them once on a
    shared 4-core machine: an example of the shape, not a promise about another machine.
    """
    return Preset(
        SchedulerConfig(
            num_blocks=4305,
            block_size=32,
            max_model_len=4096,
            max_num_seqs=128,
            max_num_batched_tokens=2048,
            async_scheduling=False,
        ),
        Fitted(
            constant_s=0.0013,
            prefill_token_s=1.28e-4,
            decode_s=1.9e-4,
            context_token_s=1.5e-7,
            front_s=0.0015,
            front_delay_s=0.0042,
            front_token_s=7e-5,
        ),
        "vLLM on one CPU thread, a model of 0.3 million parameters",
    )


PRESETS: Mapping[str, Preset] = {
    "rtx-5000": quadro_rtx_5000(),
    "h100": h100(),
    "cpu-tiny": cpu_tiny(),
}


def preset(name: str) -> Preset:
    """The preset of this name. Raises SchedulerError."""
    found = PRESETS.get(name)
    if found is None:
        raise SchedulerError(
            "scheduler.preset", f"no preset {name!r}: there are {', '.join(PRESETS)}"
        )
    return found
