"""Runs in vLLM's own environment: what it makes of a model's config.json and a memory.

Models with their cases as JSON on standard input, the answers by model on standard output. No
weights are loaded and no GPU is asked: the layers' cache specifications are made from what vLLM's
own `ModelConfig` reads out of the file, and everything after that is vLLM's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.v1.core.kv_cache_utils import (
    get_kv_cache_capacity,
    get_kv_cache_config_from_groups,
    get_kv_cache_groups,
)
from vllm.v1.kv_cache_interface import FullAttentionSpec, MLAAttentionSpec, SlidingWindowSpec


def configure(config: dict[str, Any], folder: Path) -> Any:
    """A whole configuration for a model; what a case changes is set on it later."""
    (folder / "config.json").write_text(json.dumps(config))
    return VllmConfig(
        model_config=ModelConfig(
            model=str(folder),
            skip_tokenizer_init=True,
            max_model_len=4096,
            dtype="bfloat16",
            enforce_eager=True,
        ),
        cache_config=CacheConfig(block_size=16),
        scheduler_config=SchedulerConfig(
            is_encoder_decoder=False, max_model_len=4096, max_num_batched_tokens=4096
        ),
        device_config=DeviceConfig("cpu"),
    )


def answer(config: Any, case: dict[str, Any]) -> dict[str, Any]:
    config.model_config.max_model_len = case["length"]
    config.scheduler_config.max_num_batched_tokens = case["batched_tokens"]
    config.scheduler_config.async_scheduling = True
    config.cache_config.block_size = case["block_size"]
    config.cache_config.kv_cache_layout = "LBNHC"  # FlashAttention's; an engine asks its backend
    specs = _specs(config, torch.uint8 if case["cache_dtype"] == "fp8" else torch.bfloat16)
    groups = get_kv_cache_groups(config, specs)
    made = get_kv_cache_config_from_groups(config, groups, case["pool_bytes"])
    tokens, concurrency = get_kv_cache_capacity(config, made)
    return {
        "blocks": made.num_blocks,
        "tokens": tokens,
        "concurrency": concurrency,
        "in_flight": config.max_in_flight_tokens,
    }


def _specs(config: Any, dtype: Any) -> dict[str, Any]:
    model, block = config.model_config, config.cache_config.block_size
    text = model.hf_text_config
    heads = model.get_num_kv_heads(config.parallel_config)
    common = {"block_size": block, "num_kv_heads": heads, "dtype": dtype}
    specs: dict[str, Any] = {}
    kinds = getattr(text, "layer_types", None)
    window = getattr(text, "sliding_window", None)
    for layer in range(text.num_hidden_layers):
        name = f"model.layers.{layer}.attn"
        # As model_executor/models/*.py choose: by layer type, else the model's window, if any.
        slides = kinds[layer] == "sliding_attention" if kinds else window is not None
        if model.use_mla:
            specs[name] = MLAAttentionSpec(**{**common, "head_size": model.get_head_size()})
        elif slides:
            specs[name] = SlidingWindowSpec(
                **common, head_size=model.get_head_size(), sliding_window=window
            )
        else:
            specs[name] = FullAttentionSpec(**common, head_size=model.get_head_size())
    return specs


def main() -> None:
    told = json.load(sys.stdin)
    answers: dict[str, list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in told.items():
            config = configure(model["config"], Path(folder))
            answers[name] = [answer(config, case) for case in model["cases"]]
    sys.stdout.write("@" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
