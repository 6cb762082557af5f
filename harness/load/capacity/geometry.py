"""A model by its ``config.json``: what a token of it costs the KV cache, and what it weighs.

Which layers keep how much follows what vLLM 0.32 makes of the same file; what it does not say
(an architecture nobody described here) is refused, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3

EXPLAINED = {
    "capacity.model": """A model whose geometry cannot be read

The KV cache of a model follows from its `config.json`: layers, KV heads, head size, or the latent
of multi-head latent attention. A field is missing, or the architecture is one whose cache nobody
described here; a figure for it would be a guess.

Remedy: give the config.json of the model that is served; for another architecture start the engine
and read the capacity that it prints.""",
    "capacity.hardware": """Hardware that is not listed

`harness capacity --list` names the cards that are.

Remedy: take one of those, or give `--memory 24GiB` for one that is not.""",
    "capacity.no-room": """The model leaves no room for a KV cache

Weights and what the engine reserves fill the share of the memory that it may use.

Remedy: raise the utilisation, take fewer bits for the weights, a smaller model, a larger card.""",
    "capacity.setting": """A setting of the capacity is out of range

Lengths, shares and sizes have the meaning of vLLM's settings of the same name, and their limits.

Remedy: change the one that is named.""",
}
"""What ``harness explain`` says of each error."""

_WINDOW = "sliding_attention"
_GATED = {
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "GemmaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "Phi3ForCausalLM",
    "GptOssForCausalLM",
    "DeepseekV2ForCausalLM",
    "DeepseekV3ForCausalLM",
}
"""Architectures described here: decoders with a gated MLP, or experts of one."""
_LATENT = {"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"}
_BYTES = {"float16": 2, "bfloat16": 2, "half": 2, "float32": 4, "float": 4}
_TIED = {"GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM"} | {
    "Gemma3ForConditionalGeneration"
}
"""Architectures that share input and output embedding where the file does not say otherwise."""


class CapacityError(ValueError):
    """A capacity that cannot be computed; ``id`` is stable, the text says what to change."""

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps of a token: ``cells`` numbers, times ``heads``.

    ``heads`` are divided over GPUs, a latent is not. ``window`` is how many tokens it looks back;
    None: all of them.
    """

    heads: int
    cells: int
    latent: bool = False
    window: int | None = None

    def elements(self, gpus: int = 1) -> int:
        """Numbers kept of a token, on each of ``gpus`` (vLLM, ``get_num_kv_heads``)."""
        return self.cells * (self.heads if self.latent else max(1, self.heads // gpus))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as a planner sees it."""

    name: str
    layers: tuple[Layer, ...]
    weight_bytes: int
    weight_source: str
    cache_bytes: int
    """Bytes of a number in the cache, where nothing else is asked: those of its activations."""
    context_length: int
    parameters: int
    """Of all layers and embeddings, biases and norms left out."""


def read_config(
    data: Any, *, name: str, weight_bytes: int | None = None, weight_source: str = ""
) -> Model:
    """The model of a parsed ``config.json``; its weights are computed unless given.

    Raises:
        CapacityError: a field is missing, or the architecture is not known.
    """
    if not isinstance(data, Mapping):
        raise CapacityError("capacity.model", f"{name}: config.json holds no object")
    architectures = data.get("architectures") or []
    architecture = str(architectures[0]) if architectures else ""
    if architecture not in _GATED:
        said = f"its architecture is {architecture}" if architecture else "it names no architecture"
        raise CapacityError(
            "capacity.model",
            f"{name}: {said}, whose KV cache is not described here. Known: "
            f"{', '.join(sorted(_GATED))}. Start the engine and read the line it prints instead.",
        )
    text = data.get("text_config")
    fields = _Fields(name, {**data, **text} if isinstance(text, Mapping) else data)
    layers = _layers(fields, architecture)
    quantised = data.get("quantization_config")
    scheme = quantised if isinstance(quantised, Mapping) else {}
    inner, experts, outer = _parameters(fields, architecture)
    if weight_bytes is None:
        weight_bytes = _weight_bytes(fields, scheme, inner, experts, outer)
        weight_source = f"computed from the geometry{_said(scheme)}"
    return Model(
        name=name,
        layers=layers,
        weight_bytes=weight_bytes,
        weight_source=weight_source,
        cache_bytes=2,  # vLLM runs float32 checkpoints in half precision, too
        context_length=fields.count("max_position_embeddings", 4096),
        parameters=inner + experts + outer,
    )


def read_folder(path: Path, *, weight_bytes: int | None = None) -> Model:
    """The model of a ``config.json``, or of the folder that holds one.

    Weights are those of the ``*.safetensors`` beside it (or what their index says), else computed.

    Raises:
        CapacityError: it cannot be read, or its architecture is not known.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no JSON ({error})"
        raise CapacityError("capacity.model", f"{file} cannot be read: {why}") from error
    source = "given"
    if weight_bytes is None:
        weight_bytes, source = _found_weights(file.parent)
    return read_config(
        data, name=file.parent.name or str(file), weight_bytes=weight_bytes, weight_source=source
    )


def _found_weights(folder: Path) -> tuple[int | None, str]:
    index = folder / "model.safetensors.index.json"
    try:
        total = json.loads(index.read_bytes())["metadata"]["total_size"]
        return int(total), index.name
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return (found, "size of *.safetensors") if found else (None, "")


class _Fields:
    """Fields of a configuration, each asked for by name."""

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        self.name, self.data = name, data

    def count(self, field: str, default: int | None = None) -> int:
        value = self.data.get(field)
        if value is None:
            value = default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CapacityError(
                "capacity.model", f"{self.name}: {field} must be a positive number, not {value!r}"
            )
        return value

    def maybe(self, field: str) -> int | None:
        return None if self.data.get(field) is None else self.count(field)

    @property
    def head_dim(self) -> int:
        heads = self.count("num_attention_heads")
        return self.maybe("head_dim") or self.count("hidden_size") // heads


def _layers(fields: _Fields, architecture: str) -> tuple[Layer, ...]:
    number = fields.count("num_hidden_layers")
    if architecture in _LATENT:
        cells = fields.count("kv_lora_rank") + fields.count("qk_rope_head_dim")
        return (Layer(1, cells, latent=True),) * number
    heads = fields.count("num_key_value_heads", fields.count("num_attention_heads"))
    cells = 2 * fields.head_dim
    window = fields.maybe("sliding_window")
    slides = _slides(fields, architecture, number) if window else [False] * number
    return tuple(Layer(heads, cells, window=window if each else None) for each in slides)


def _slides(fields: _Fields, architecture: str, number: int) -> list[bool]:
    """Which layers look back over a window only (transformers, ``configuration_*.py``)."""
    named = fields.data.get("layer_types")
    if isinstance(named, list) and len(named) == number:
        return [each == _WINDOW for each in named]
    if architecture.startswith("Gemma3"):
        pattern = fields.count("sliding_window_pattern", 6)
        return [bool((layer + 1) % pattern) for layer in range(number)]
    if architecture.startswith(("Gemma2", "GptOss")):
        return [layer % 2 == 0 for layer in range(number)]
    if architecture.startswith("Qwen"):
        if not fields.data.get("use_sliding_window"):
            return [False] * number
        first = fields.count("max_window_layers", 28)
        return [layer >= first for layer in range(number)]
    return [True] * number


def _parameters(fields: _Fields, architecture: str) -> tuple[int, int, int]:
    """Parameters of the layers without experts, of the experts, and of the embeddings."""
    hidden, number = fields.count("hidden_size"), fields.count("num_hidden_layers")
    heads, size = fields.count("num_attention_heads"), fields.head_dim
    if architecture in _LATENT:
        rank, rope = fields.count("kv_lora_rank"), fields.count("qk_rope_head_dim")
        key, value = fields.count("qk_nope_head_dim"), fields.count("v_head_dim")
        low = fields.maybe("q_lora_rank")
        queries = (hidden + heads * (key + rope)) * low if low else hidden * heads * (key + rope)
        attention = queries + hidden * (rank + rope) + rank * heads * (key + value)
        attention += heads * value * hidden
    else:
        kv = fields.count("num_key_value_heads", heads)
        attention = hidden * size * (2 * heads + 2 * kv)
    experts = next(
        (
            count
            for field in ("num_local_experts", "num_experts", "n_routed_experts")
            if (count := fields.maybe(field))
        ),
        0,
    )
    wide = 3 * hidden * fields.count("intermediate_size", 1)
    embedding = fields.count("vocab_size") * hidden
    tied = fields.data.get("tie_word_embeddings", architecture in _TIED)
    outer = embedding if tied else 2 * embedding
    if not experts:
        return number * (attention + wide), 0, outer
    width = fields.maybe("moe_intermediate_size") or fields.count("intermediate_size")
    dense = min(number, int(fields.data.get("first_k_dense_replace") or 0))
    shared = (
        3
        * hidden
        * (
            int(fields.data.get("shared_expert_intermediate_size") or 0)
            or width * int(fields.data.get("n_shared_experts") or 0)
        )
    )
    sparse = number - dense
    inner = number * attention + dense * wide + sparse * (shared + experts * hidden)
    return inner, sparse * experts * 3 * hidden * width, outer


def _weight_bytes(
    fields: _Fields, scheme: Mapping[str, Any], inner: int, experts: int, outer: int
) -> int:
    """Embeddings stay in their own precision; what is quantised is the layers' matrices."""
    plain = _BYTES.get(str(fields.data.get("torch_dtype", fields.data.get("dtype"))), 2)
    plain = min(plain, 2)
    per_expert = per_inner = float(plain)
    method = str(scheme.get("quant_method", ""))
    if method == "mxfp4":
        per_expert = 0.5 + 1 / 32
    elif method:
        per_inner = per_expert = _quantised(fields.name, method, scheme)
    return int(per_inner * inner + per_expert * experts + plain * outer)


def _quantised(name: str, method: str, scheme: Mapping[str, Any]) -> float:
    """Bytes of a weight with its share of scales and zero points."""
    if method == "fp8":
        return 1.0
    bits, group = scheme.get("bits"), scheme.get("group_size", 128)
    if method == "bitsandbytes":
        bits, group = (4 if scheme.get("load_in_4bit") else 8), 64
    if method == "compressed-tensors":
        groups = scheme.get("config_groups")
        first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
        weights = first.get("weights") or {}
        bits, group = weights.get("num_bits"), weights.get("group_size")
    if not isinstance(bits, int):
        raise CapacityError(
            "capacity.model",
            f"{name}: how many bits {method} weights have cannot be read from quantization_config. "
            "Say what they weigh: --weights 5.2GiB",
        )
    scales = 0.0 if not isinstance(group, int) or group < 1 else (2 + bits / 8) / group
    return bits / 8 + scales


def _said(scheme: Mapping[str, Any]) -> str:
    method = scheme.get("quant_method")
    return f", {method} weights" if method else ""
