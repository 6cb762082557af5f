from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CLAIMED = ("--gpu", "rtx5000-16g", "--model", "qwen2.5-coder-7b-awq")


def capacity(*options: str) -> Result:
    return CliRunner().invoke(main, ["capacity", *options])


def test_the_claimed_card_holds_33_and_every_step_is_shown() -> None:
    result = capacity(*CLAIMED, "--gpu-memory-utilization", "0.85", "--len", "4096")
    assert result.exit_code == 0, result.output
    assert "33 requests of 4,096 tokens run at a time (33.63x); one more waits." in result.stdout
    assert "2 x 28 layers x 4 KV heads x 128 x 2 B" in result.stdout
    assert "KV cache in fp8" in result.stdout
    assert "8,609" in result.stdout


def test_programs_get_the_steps_and_what_would_change() -> None:
    told = json.loads(capacity(*CLAIMED, "--gpu-memory-utilization", "0.85", "--json").stdout)
    assert (told["requests"], told["blocks"]) == (33, 8609)
    assert {"as asked", "KV cache in fp8"} <= {each["change"] for each in told["variants"]}


def test_another_card_is_given_by_its_memory_and_a_model_by_its_file(tmp_path: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = capacity("--memory", "24GiB", "--model", str(tmp_path), "--weights", "4.5GB")
    assert result.exit_code == 0, result.output
    assert tmp_path.name in result.stdout


def test_the_list_names_cards_and_models() -> None:
    result = capacity("--list")
    assert "rtx5000-16g" in result.stdout
    assert "deepseek-v2-lite" in result.stdout
    assert "h100-80g" in json.loads(capacity("--list", "--json").stdout)["cards"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "give --model and --gpu"),
        (("--gpu", "rtx5000", "--model", "qwen2.5-7b"), 2, "no card 'rtx5000'"),
        (("--gpu", "rtx5000-16g", "--model", "nope"), 2, "neither a file nor"),
        (("--gpu", "rtx5000-16g", "--model", "llama-2-13b"), 1, "[capacity.no-room]"),
        ((*CLAIMED, "--len", "99999"), 2, "context of 32,768"),
        ((*CLAIMED, "--len", "0"), 2, "0 is not in the range"),
        ((*CLAIMED, "--memory", "0GiB"), 2, "--memory is 0 GiB: give more than 0"),
        ((*CLAIMED, "--memory", "99999999999GiB"), 2, "at most 1048576GiB"),
        ((*CLAIMED, "--kv-cache-dtype", "int3"), 2, "int3"),
        ((*CLAIMED, "--weights", "heavy"), 2, "'heavy' is no size"),
    ],
)
def test_what_cannot_be_is_said_and_is_not_0(
    options: tuple[str, ...], code: int, said: str
) -> None:
    result = capacity(*options)
    assert result.exit_code == code, result.output
    assert said in result.stderr
