from __future__ import annotations

import pytest

from harness.registry.rules.keys import looks_drawn


@pytest.mark.parametrize(
    "key",
    [
        "E3B0C44298FC1C149AFBF4C8996FB924",
        "MZXW6YTBOI4DQ3TFPB2GK4TO",
        "SK_A1B2C3D4E5F6A7B8C9D0",
    ],
)
def test_a_random_key_is_recognised(key: str) -> None:
    assert looks_drawn(key)


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "LLAMA2_13B_API_KEY_V2",
        "PRODUCTIONLITELLMMASTERKEY2026",
        "AZUREOPENAIGPT4O2024EASTUS2KEY",
        "VLLM2_QWEN25_CODER7B_GPU0_H100X8_KEY_V2",
        "A1B2C3D4",
    ],
)
def test_a_name_is_none(name: str) -> None:
    assert not looks_drawn(name)
