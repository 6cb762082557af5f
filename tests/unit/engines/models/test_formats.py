"""Both files, read by what their specifications say."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.models import TinyModel, ensure
from harness.engines.models import weights as w
from harness.engines.models.stream import HIDDEN
from harness.engines.models.vocabulary import END, START, Vocabulary

if TYPE_CHECKING:
    from harness.engines.models import ModelFiles

WORDS = Vocabulary("vllm")
Tensors = dict[str, tuple[list[int], bytes]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return ensure(TinyModel("vllm", 5, 4096))


def safetensors(data: bytes) -> Tensors:
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    body, end, out = data[8 + length :], 0, {}
    for name, facts in header.items():
        begin, until = facts["data_offsets"]
        assert (begin, facts["dtype"]) == (end, "F16")
        out[name], end = (facts["shape"], body[begin:until]), until
    assert end == len(body)
    return out


class Gguf:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        magic, version, tensors, facts = self.take("<4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        self.facts = {self.text(): self.value(*self.take("<I")) for _ in range(facts)}
        infos = [self.info() for _ in range(tensors)]
        self.at += -self.at % 32
        self.tensors: Tensors = {}
        end = 0
        for name, shape, kind, offset in infos:
            assert offset == end
            size = (4 if kind == 0 else 2) * shape[0] * (shape[1] if len(shape) > 1 else 1)
            self.tensors[name] = (shape, data[self.at + offset : self.at + offset + size])
            end += size + -size % 32
        assert self.at + end == len(data)

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self) -> str:
        (length,) = self.take("<Q")
        return str(self.take(f"<{length}s")[0], "utf-8")

    def value(self, kind: int) -> Any:
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take({4: "<I", 5: "<i", 6: "<f", 7: "<?"}[kind])[0]

    def info(self) -> tuple[str, list[int], int, int]:
        name = self.text()
        (dimensions,) = self.take("<I")
        shape = list(self.take(f"<{dimensions}Q"))
        return name, shape, *self.take("<IQ")


def halves(tensor: tuple[list[int], bytes]) -> list[tuple[float, ...]]:
    """The rows of a matrix."""
    data = tensor[1]
    values = struct.unpack(f"<{len(data) // 2}e", data)
    return list(zip(*[iter(values)] * HIDDEN, strict=True))


NAMES = {
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def test_both_hold_the_same_weights(made: ModelFiles) -> None:
    ours = safetensors((made.folder / "model.safetensors").read_bytes())
    theirs = Gguf(made.gguf.read_bytes()).tensors
    pairs = {"model.embed_tokens": "token_embd", "lm_head": "output"}
    for layer in range(4):
        for one, other in NAMES.items():
            pairs[f"model.layers.{layer}.{one}"] = f"blk.{layer}.{other}"
    for one, other in pairs.items():
        shape, data = ours[f"{one}.weight"]
        assert theirs[f"{other}.weight"] == (shape[::-1], data), one
    assert len(ours) == len(theirs) == len(pairs) + 4 * 4 + 1


def test_queries_and_keys_are_the_same_rows_with_pairs_side_by_side(made: ModelFiles) -> None:
    ours = safetensors((made.folder / "model.safetensors").read_bytes())
    theirs = Gguf(made.gguf.read_bytes()).tensors
    for one, other in (("q_proj", "attn_q"), ("k_proj", "attn_k")):
        split = halves(ours[f"model.layers.2.self_attn.{one}.weight"])
        paired = halves(theirs[f"blk.2.{other}.weight"])
        for head in range(0, len(split), w.HEAD):
            for pair in range(16):
                assert paired[head + 2 * pair] == split[head + pair]
                assert paired[head + 2 * pair + 1] == split[head + 16 + pair]
        assert split != paired


def test_both_hold_the_same_tokens_and_template(made: ModelFiles) -> None:
    facts = Gguf(made.gguf.read_bytes()).facts
    tokenizer = json.loads((made.folder / "tokenizer.json").read_text("utf-8"))
    settings = json.loads((made.folder / "tokenizer_config.json").read_text("utf-8"))
    config = json.loads((made.folder / "config.json").read_text("utf-8"))
    assert facts["tokenizer.ggml.tokens"] == list(tokenizer["model"]["vocab"]) == list(WORDS.tokens)
    assert facts["tokenizer.ggml.merges"] == [" ".join(p) for p in tokenizer["model"]["merges"]]
    assert facts["tokenizer.chat_template"] == settings["chat_template"]
    assert facts["llama.context_length"] == config["max_position_embeddings"] == 4096
    for name, token in (("bos", START), ("eos", END)):
        assert facts[f"tokenizer.ggml.{name}_token_id"] == config[f"{name}_token_id"]
        assert config[f"{name}_token_id"] == WORDS.special(token)
    control = [n for n, kind in enumerate(facts["tokenizer.ggml.token_type"]) if kind == 3]
    assert control == [token["id"] for token in tokenizer["added_tokens"]]


def test_a_list_of_facts_keeps_its_type(made: ModelFiles) -> None:
    facts = Gguf(made.gguf.read_bytes()).facts
    assert facts["tokenizer.ggml.add_bos_token"] is True
    assert facts["llama.rope.freq_base"] == w.ROPE_THETA
