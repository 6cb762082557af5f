"""A tiny model as a Hugging Face folder: what vLLM and transformers load.

Formats: safetensors (https://huggingface.co/docs/safetensors), tokenizer.json of the tokenizers
library, and the configuration of ``LlamaForCausalLM``.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from harness.engines.models import weights as w
from harness.engines.models.stream import HIDDEN, LAST_NORM
from harness.engines.models.vocabulary import END, SPECIAL, START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.engines.models.vocabulary import Vocabulary
    from harness.engines.models.weights import Weights

_LAYER = (
    ("self_attn.q_proj", "query"),
    ("self_attn.k_proj", "key"),
    ("self_attn.v_proj", "value"),
    ("self_attn.o_proj", "output"),
    ("mlp.gate_proj", "gate"),
    ("mlp.up_proj", "up"),
    ("mlp.down_proj", "down"),
)
_ONES = struct.pack("<e", 1.0) * HIDDEN


def write(
    folder: Path, vocabulary: Vocabulary, weights: Weights, *, context: int, template: str
) -> None:
    """Write the files of one model into an empty ``folder``."""
    limits = {"bos_token_id": vocabulary.special(START), "eos_token_id": vocabulary.special(END)}
    _json(folder / "config.json", {**_config(vocabulary, weights, context), **limits})
    _json(folder / "generation_config.json", {**limits, "pad_token_id": limits["eos_token_id"]})
    _json(folder / "tokenizer.json", _tokenizer(vocabulary))
    _json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "bos_token": START,
            "eos_token": END,
            "pad_token": END,
            "clean_up_tokenization_spaces": False,
            "chat_template": template,
        },
    )
    _safetensors(folder / "model.safetensors", weights)


def _config(vocabulary: Vocabulary, weights: Weights, context: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(vocabulary.tokens),
        "hidden_size": HIDDEN,
        "intermediate_size": w.INNER,
        "num_hidden_layers": len(weights.layers),
        "num_attention_heads": w.HEADS,
        "num_key_value_heads": 1,
        "head_dim": w.HEAD,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": w.EPSILON,
        "rope_theta": w.ROPE_THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": w.ROPE_THETA},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
    }


def _tokenizer(vocabulary: Vocabulary) -> dict[str, Any]:
    start = vocabulary.special(START)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    begin = {
        "type": "TemplateProcessing",
        "single": [_piece("SpecialToken", START), _piece("Sequence", "A")],
        "pair": [_piece("SpecialToken", START), _piece("Sequence", "A"), _piece("Sequence", "B")],
        "special_tokens": {START: {"id": START, "ids": [start], "tokens": [START]}},
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary.special(token),
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": begin,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary.ids,
            "merges": [list(pair) for pair in vocabulary.merges],
        },
    }


def _piece(kind: str, name: str) -> dict[str, Any]:
    return {kind: {"id": name, "type_id": 0}}


def _tensors(weights: Weights) -> Iterator[tuple[str, list[int], bytes]]:
    embedding, head = weights.embedding, weights.head
    yield "model.embed_tokens.weight", [embedding.rows, embedding.columns], embedding.half()
    for number, layer in enumerate(weights.layers):
        name = f"model.layers.{number}"
        yield f"{name}.input_layernorm.weight", [HIDDEN], _ONES
        yield f"{name}.post_attention_layernorm.weight", [HIDDEN], _ONES
        for theirs, ours in _LAYER:
            matrix = getattr(layer, ours)
            yield f"{name}.{theirs}.weight", [matrix.rows, matrix.columns], matrix.half()
    yield "model.norm.weight", [HIDDEN], struct.pack(f"<{HIDDEN}e", *LAST_NORM)
    yield "lm_head.weight", [head.rows, head.columns], head.half()


def _safetensors(path: Path, weights: Weights) -> None:
    tensors = list(_tensors(weights))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape, data in tensors:
        begin, end = end, end + len(data)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors))


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
