"""A tiny model as one GGUF file: what llama.cpp loads.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from harness.engines.models import weights as w
from harness.engines.models.stream import HIDDEN, LAST_NORM, Matrix
from harness.engines.models.vocabulary import END, SPECIAL, START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.engines.models.vocabulary import Vocabulary
    from harness.engines.models.weights import Weights

    Value = str | bool | int | float | list[str] | list[int]

_ALIGNMENT = 32
_F32, _F16 = 0, 1
_NORMAL, _CONTROL = 1, 3
_STRING, _ARRAY, _I32, _U32, _FLOAT, _BOOL = 8, 9, 5, 4, 6, 7
_LAYER = (
    ("attn_q", "query"),
    ("attn_k", "key"),
    ("attn_v", "value"),
    ("attn_output", "output"),
    ("ffn_gate", "gate"),
    ("ffn_up", "up"),
    ("ffn_down", "down"),
)
_Tensor = tuple[str, tuple[int, ...], int, bytes]


def write(
    path: Path, name: str, vocabulary: Vocabulary, weights: Weights, *, context: int, template: str
) -> None:
    """Write one model to ``path``; ``name`` is what servers show of it."""
    facts = _facts(name, vocabulary, len(weights.layers), context, template)
    tensors = list(_tensors(weights))
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)))
    for key, value in facts.items():
        head += _text(key) + _typed(value)
    offset = 0
    for tensor, shape, kind, data in tensors:
        head += _text(tensor) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)
        offset += len(_padded(data))
    path.write_bytes(_padded(bytes(head)) + b"".join(_padded(data) for *_, data in tensors))


def _facts(
    name: str, vocabulary: Vocabulary, layers: int, context: int, template: str
) -> dict[str, Value]:
    tokens = vocabulary.tokens
    return {
        "general.architecture": "llama",
        "general.name": name,
        "general.file_type": _F16,
        "llama.context_length": context,
        "llama.embedding_length": HIDDEN,
        "llama.block_count": layers,
        "llama.feed_forward_length": w.INNER,
        "llama.attention.head_count": w.HEADS,
        "llama.attention.head_count_kv": 1,
        "llama.attention.key_length": w.HEAD,
        "llama.attention.value_length": w.HEAD,
        "llama.attention.layer_norm_rms_epsilon": w.EPSILON,
        "llama.rope.dimension_count": w.HEAD,
        "llama.rope.freq_base": w.ROPE_THETA,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.token_type": [_CONTROL if t in SPECIAL else _NORMAL for t in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in vocabulary.merges],
        "tokenizer.ggml.bos_token_id": vocabulary.special(START),
        "tokenizer.ggml.eos_token_id": vocabulary.special(END),
        "tokenizer.ggml.padding_token_id": vocabulary.special(END),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": template,
    }


def _tensors(weights: Weights) -> Iterator[_Tensor]:
    """Name, shape (fastest first), type and data; norms must be F32."""

    def matrix(name: str, value: Matrix, data: bytes | None = None) -> _Tensor:
        return f"{name}.weight", (value.columns, value.rows), _F16, data or value.half()

    def norm(name: str, values: tuple[float, ...] = (1.0,) * HIDDEN) -> _Tensor:
        return f"{name}.weight", (HIDDEN,), _F32, struct.pack(f"<{HIDDEN}f", *values)

    yield matrix("token_embd", weights.embedding)
    for number, layer in enumerate(weights.layers):
        yield norm(f"blk.{number}.attn_norm")
        yield norm(f"blk.{number}.ffn_norm")
        for theirs, ours in _LAYER:
            value = getattr(layer, ours)
            turned = value.half(_interleaved) if ours in {"query", "key"} else None
            yield matrix(f"blk.{number}.{theirs}", value, turned)
    yield norm("output_norm", LAST_NORM)
    yield matrix("output", weights.head)


def _interleaved(row: int) -> int:
    """Where llama.cpp keeps a row of queries or keys: the two of a RoPE pair side by side."""
    head, inside = divmod(row, w.HEAD)
    half, pair = divmod(inside, w.HEAD // 2)
    return head * w.HEAD + 2 * pair + half


def _typed(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    kind = _STRING if isinstance(value[0], str) else _I32
    items = (_text(v) if isinstance(v, str) else struct.pack("<i", v) for v in value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(items)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
