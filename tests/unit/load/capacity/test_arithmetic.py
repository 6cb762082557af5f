from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engines.scheduler.presets import PRESETS
from harness.load.capacity.arithmetic import Ask, Fit, fit, variants
from harness.load.capacity.catalogue import card, cards, config_of, model, models, published
from harness.load.capacity.geometry import GIB, CapacityError, Layer, Model, read_config

CLAIMED = Ask(
    memory_bytes=card("rtx5000-16g").hardware.memory_bytes,
    length=4096,
    utilisation=0.85,
    reserved_bytes=card("rtx5000-16g").reserved_bytes,
)


def claimed(**changes: object) -> Fit:
    return fit(model("qwen2.5-coder-7b-awq"), replace(CLAIMED, **changes))  # type: ignore[arg-type]


def plain(**changes: object) -> Model:
    """A model without weights: two layers of 2 x 8 numbers of 2 bytes, 64 bytes a token."""
    values = {
        "name": "plain",
        "layers": (Layer(heads=1, cells=16),) * 2,
        "weight_bytes": 0,
        "weight_source": "none",
        "cache_bytes": 2,
        "context_length": 1 << 20,
        "parameters": 0,
    }
    return Model(**{**values, **changes})  # type: ignore[arg-type]


def test_the_claimed_figure_comes_out_of_the_data_sheet_and_the_geometry() -> None:
    found = claimed()
    assert (found.kv_bytes_per_token, found.bytes_per_block) == (57_344, 917_504)
    assert (found.blocks, found.blocks_per_request) == (8_609, 256)
    assert f"{found.concurrency:.2f}" == "33.63"
    assert (found.requests, found.tokens) == (33, 137_744)


def test_it_is_the_preset_that_the_emulator_follows() -> None:
    assert claimed().blocks == PRESETS["rtx-5000"].scheduler.num_blocks
    h100 = card("h100-80g")
    ours = fit(
        model("llama-3.1-8b"),
        Ask(
            memory_bytes=h100.hardware.memory_bytes,
            length=8192,
            reserved_bytes=h100.reserved_bytes,
        ),
    )
    assert ours.blocks == pytest.approx(PRESETS["h100"].scheduler.num_blocks, rel=1e-3)


def test_fp8_doubles_the_cache_and_half_the_length_the_requests() -> None:
    assert claimed(cache_dtype="fp8").blocks == 2 * claimed().blocks + 1  # the remainder counts too
    assert claimed(length=2048).concurrency == 2 * claimed().concurrency


def test_exactly_full_holds_one_less_than_it_prints() -> None:
    """vLLM's null block holds nothing: 33 x 256 blocks print 33.00x, and 32 requests run."""
    memory = 33 * 256 * 64 * 16
    found = fit(plain(), Ask(memory_bytes=memory, length=4096, utilisation=1.0))
    assert f"{found.concurrency:.2f}" == "33.00"
    assert found.requests == 32
    more = fit(plain(), Ask(memory_bytes=memory + 64 * 16, length=4096, utilisation=1.0))
    assert more.requests == 33


def test_seats_limit_what_the_memory_would_hold() -> None:
    assert claimed(length=256).requests == 256
    assert claimed(length=256, max_num_seqs=7).requests == 7


def test_tensor_parallel_cards_share_weights_and_heads() -> None:
    one, two = claimed(), claimed(gpus=2)
    assert two.kv_bytes_per_token * 2 == one.kv_bytes_per_token
    assert two.concurrency > 2 * one.concurrency


def test_a_latent_is_not_shared() -> None:
    latent = plain(layers=(Layer(1, 16, latent=True),))
    ask = Ask(memory_bytes=GIB, length=64, gpus=4)
    assert fit(latent, ask).kv_bytes_per_token == 32


def test_layers_behind_a_window_keep_the_window_and_what_is_under_way() -> None:
    window = plain(layers=(Layer(1, 16, window=100),) * 2)
    ask = Ask(memory_bytes=GIB, length=4096, batched_tokens=50)
    # 99 tokens of the window, two steps of 50, in blocks of 16, and one that is begun.
    assert fit(window, ask).blocks_per_request == 14
    assert fit(window, replace(ask, length=64)).blocks_per_request == 5


def test_two_kinds_of_layers_draw_from_one_pool() -> None:
    mixed = plain(layers=(Layer(1, 16), *(Layer(1, 16, window=16),) * 3))
    found = fit(mixed, Ask(memory_bytes=GIB, length=160, batched_tokens=8))
    assert [(group.layers, group.window, group.blocks) for group in found.groups] == [
        (1, None, 10),
        *((1, 16, 3),) * 3,
    ]
    assert found.bytes_per_block == 32 * 16


def test_kinds_of_nearly_one_size_are_padded_rather_than_cut() -> None:
    mixed = plain(layers=(*(Layer(1, 16),) * 5, *(Layer(1, 16, window=16),) * 4))
    found = fit(mixed, Ask(memory_bytes=GIB, length=160, batched_tokens=8))
    assert [group.layers for group in found.groups] == [5, 4]


def test_every_step_is_shown_with_its_source() -> None:
    steps = {step.name: step for step in claimed().steps}
    assert steps["blocks"].value == 8_609
    assert steps["concurrency"].formula == "8,609 / 256"
    assert steps["KV cache of a token"].formula == "2 x 28 layers x 4 KV heads x 128 x 2 B"
    assert all(step.source for step in steps.values())


def test_what_would_change_is_said_also_where_nothing_fits() -> None:
    found = {one.change: one.fit for one in variants(model("qwen2.5-coder-7b-awq"), CLAIMED)}
    assert found["length 8,192"] is not None
    assert found["length 8,192"].requests == 16
    tight = replace(CLAIMED, memory_bytes=7 * GIB, utilisation=0.95)
    named = {one.change: one.fit for one in variants(model("qwen2.5-coder-7b-awq"), tight)}
    assert named["utilisation 0.80"] is None


def test_no_room_is_an_error_with_the_sum() -> None:
    with pytest.raises(CapacityError, match=r"leave no room in 2\.55 GiB") as error:
        claimed(memory_bytes=3 * GIB)
    assert error.value.id == "capacity.no-room"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"utilisation": 1.2}, "utilisation"),
        ({"length": 0}, "length"),
        ({"length": 40_000}, "context of 32,768"),
        ({"cache_dtype": "int3"}, "kv-cache-dtype"),
        ({"reserved_bytes": -1}, "reserved"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(CapacityError, match=said) as error:
        claimed(**changes)
    assert error.value.id == "capacity.setting"


def test_the_listed_models_have_as_many_parameters_as_was_published() -> None:
    for name in models():
        known = published(name)
        if known is not None:
            assert model(name).parameters == pytest.approx(known, rel=0.003), name


def test_computed_4_bit_weights_come_near_what_an_engine_logged() -> None:
    logged = model("qwen2.5-coder-7b-awq").weight_bytes
    computed = read_config(config_of("qwen2.5-coder-7b-awq"), name="computed").weight_bytes
    assert computed == pytest.approx(logged, rel=0.01)


def test_every_card_fits_something() -> None:
    for each in cards().values():
        ask = Ask(
            memory_bytes=each.hardware.memory_bytes,
            length=4096,
            reserved_bytes=each.reserved_bytes,
        )
        assert fit(model("qwen2.5-coder-7b-awq"), ask).requests >= 1, each.name
    with pytest.raises(CapacityError, match="rtx5000-16g"):
        card("rtx5000")
