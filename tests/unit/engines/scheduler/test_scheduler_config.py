from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.scheduler import SchedulerConfig, SchedulerError, chain_keys

CARD = SchedulerConfig(num_blocks=8609)


def test_the_line_of_vllm_for_8609_blocks() -> None:
    assert CARD.capacity_line == (
        "GPU KV cache size: 137,744 tokens, "
        "Maximum concurrency for 4,096 tokens per request: 33.63x"
    )
    assert f"{SchedulerConfig(num_blocks=4305, block_size=32).max_concurrency:.2f}" == "33.63"
    assert f"{SchedulerConfig(num_blocks=8611).max_concurrency:.2f}" == "33.64"


def test_it_survives_json() -> None:
    assert SchedulerConfig.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"block_size": 0}, "block_size: must be at least 1"),
        ({"max_num_seqs": 4096}, "every running sequence needs a token"),
        ({"enable_chunked_prefill": False}, "enable chunked prefill"),
        ({"long_prefill_token_threshold": 5000}, "from 0 to max_model_len"),
        ({"watermark": 1.0}, "watermark"),
        ({"policy": "lifo"}, "'fcfs' or 'priority'"),
        ({"num_blocks": 256}, "needs 256 blocks and 255 can be used"),
        ({"speed": 1}, "no such setting"),
    ],
)
def test_what_cannot_serve_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SchedulerError, match=said):
        SchedulerConfig.from_json({"num_blocks": 8609, **given})


def test_a_pool_is_not_optional() -> None:
    with pytest.raises(SchedulerError, match="how many blocks"):
        SchedulerConfig.from_json({})


def test_keys_cover_full_blocks_and_all_before_them() -> None:
    one = chain_keys(["a", "b", "c", "d", "e", "f", "g", "h", "i"], 4)
    other = chain_keys(["a", "b", "c", "d", "x", "f", "g", "h"], 4)
    assert len(one) == 2
    assert (one[0] == other[0], one[1] == other[1]) == (True, False)
    assert chain_keys(["x", "b", "c", "d", "e", "f", "g", "h"], 4)[1] != one[1]
    assert chain_keys(["ab", "c"], 2) != chain_keys(["a", "bc"], 2)
    assert all(key >= 0 for key in one)
