from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.models.model import TinyModel, ensure
from harness.load.capacity.catalogue import config_of, model
from harness.load.capacity.geometry import CapacityError, read_config, read_folder

if TYPE_CHECKING:
    from pathlib import Path

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
}


def windows(**changes: Any) -> list[int | None]:
    return [layer.window for layer in read_config({**LLAMA, **changes}, name="x").layers]


def test_grouped_queries_keep_the_kv_heads_only() -> None:
    (layer, *_) = read_config(LLAMA, name="x").layers
    assert (layer.heads, layer.cells, layer.elements()) == (2, 32, 64)


def test_without_kv_heads_every_head_keeps_its_own() -> None:
    config = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    assert read_config(config, name="x").layers[0].heads == 4


def test_a_head_size_that_is_stated_is_taken() -> None:
    assert read_config({**LLAMA, "head_dim": 32}, name="x").layers[0].cells == 64


def test_a_latent_has_its_rank_and_its_rotary_part() -> None:
    (layer, *_) = model("deepseek-v2-lite").layers
    assert (layer.latent, layer.cells) == (True, 512 + 64)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [None] * 6),
        ({"sliding_window": None}, [None] * 6),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 9}, [9] * 6),
        ({"architectures": ["Gemma2ForCausalLM"], "sliding_window": 9}, [9, None] * 3),
        ({"architectures": ["GptOssForCausalLM"], "sliding_window": 9}, [9, None] * 3),
        ({"architectures": ["Gemma3ForCausalLM"], "sliding_window": 9}, [9] * 5 + [None]),
        ({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 9}, [None] * 6),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "sliding_window": 9,
                "use_sliding_window": True,
                "max_window_layers": 4,
            },
            [None] * 4 + [9] * 2,
        ),
        (
            {"sliding_window": 9, "layer_types": ["full_attention", "sliding_attention"] * 3},
            [None, 9] * 3,
        ),
    ],
)
def test_which_layers_look_back_over_a_window(
    changes: dict[str, Any], expected: list[int | None]
) -> None:
    assert windows(**changes) == expected


def test_tied_embeddings_weigh_once() -> None:
    apart = read_config({**LLAMA, "tie_word_embeddings": False}, name="x")
    tied = read_config({**LLAMA, "tie_word_embeddings": True}, name="x")
    assert apart.parameters - tied.parameters == 100 * 64


def test_a_model_within_a_model_is_its_text_part() -> None:
    gemma = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {**LLAMA, "architectures": None, "sliding_window": 9},
    }
    assert len(read_config(gemma, name="x").layers) == 6


@pytest.mark.parametrize(
    ("scheme", "per_weight"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0),
        ({"quant_method": "fp8"}, 1.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 0.5 + 2.5 / 64),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "group_size": None}}},
            },
            1.0,
        ),
    ],
)
def test_quantised_weights_weigh_their_bits_and_scales(
    scheme: dict[str, Any], per_weight: float
) -> None:
    plain = read_config(LLAMA, name="x")
    outer = 2 * 100 * 64
    inner = plain.parameters - outer
    found = read_config({**LLAMA, "quantization_config": scheme}, name="x")
    assert found.weight_bytes == int(per_weight * inner + 2 * outer)
    assert scheme["quant_method"] in found.weight_source


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "holds no object"),
        ({}, "names no architecture"),
        ({"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM, whose KV cache is not"),
        ({**LLAMA, "num_hidden_layers": None}, "num_hidden_layers must be a positive number"),
        ({**LLAMA, "num_hidden_layers": "six"}, "not 'six'"),
        ({**LLAMA, "quantization_config": {"quant_method": "novel"}}, "--weights"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_guessed(config: Any, said: str) -> None:
    with pytest.raises(CapacityError, match=said) as error:
        read_config(config, name="x")
    assert error.value.id == "capacity.model"


def test_weights_beside_the_file_are_measured_not_computed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert "computed" in read_folder(tmp_path).weight_source
    (tmp_path / "a.safetensors").write_bytes(b"x" * 70)
    assert read_folder(tmp_path).weight_bytes == 70
    index = {"metadata": {"total_size": 1234}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_folder(tmp_path / "config.json").weight_bytes == 1234
    assert read_folder(tmp_path, weight_bytes=5).weight_source == "given"


def test_a_model_of_ours_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    found = read_folder(ensure(TinyModel("tiny", 1)).folder)
    assert found.layers[0].heads == 1
    assert found.context_length == 4096


def test_no_file_and_no_json_say_so(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="cannot be read: No such file"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CapacityError, match="it is no JSON"):
        read_folder(tmp_path)
    with pytest.raises(CapacityError, match="neither a file nor one of"):
        model("no-such-model")


def test_given_weights_replace_those_of_the_list() -> None:
    assert model("qwen2.5-7b", weight_bytes=7).weight_bytes == 7
    assert config_of("qwen2.5-7b")["num_hidden_layers"] == 28
