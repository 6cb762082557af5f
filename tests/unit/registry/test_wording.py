from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.wording import is_slip, meant, nearest, quoted, suggest


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("OLAMA", ["vllm", "ollama"]) == "ollama"


def test_a_name_like_none_has_no_nearest() -> None:
    assert nearest("gateway", ["vllm", "ollama"]) is None


def test_without_a_near_name_the_known_ones_are_listed() -> None:
    assert suggest("zzz", ["vllm", "ollama"]) == "Known: vllm, ollama."
    assert suggest("zzz", [f"name-{n}" for n in range(14)]).endswith("name-11 and 2 more.")
    assert suggest("zzz", []) == "Nothing of this kind is defined yet."


def test_a_name_is_shown_on_one_line_and_cut() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert len(quoted("x" * 10_000)) < 100
    assert nearest("x" * 10_000, ["x" * 9_999]) is None


@pytest.mark.parametrize(
    ("written", "known"),
    [
        *(("olama", "ollama"), ("ollamaa", "ollama"), ("ollema", "ollama"), ("olalma", "ollama")),
        *(("Ollama", "ollama"), ("served-as", "served_as"), ("servedas", "served_as")),
        *(("contxt_lenght", "context_length"), ("qwen-codr-7b", "qwen-coder-7b")),
    ],
)
def test_a_slip_of_the_pen_is_one(written: str, known: str) -> None:
    assert is_slip(written, known)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        *(("ollama", "ollama"), ("vllm", "ollama"), ("lama", "ollama"), ("", "tiny")),
        *(("qwen-7b", "qwen-8b"), ("llama3.1", "llama3.2"), ("gpt-4", "gpt-4o")),
        *(("mytho-a", "mytho-b"), ("q4-model", "q5-model"), ("gpt-35", "gpt3-5")),
        *(("chat", "chart-model"), ("tpm", "rpm"), ("x" * 100, "x" * 99)),
    ],
)
def test_another_name_is_no_slip(written: str, known: str) -> None:
    assert not is_slip(written, known)


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_slip_keeps_every_digit(written: str, known: str) -> None:
    digits = [[char for char in name if char.isdigit()] for name in (written, known)]
    assert digits[0] == digits[1] or not is_slip(written, known)


def test_a_name_that_could_be_a_slip_of_several_is_not_guessed() -> None:
    assert suggest("stofe", ["stone", "stove", "table"]) in {
        "Did you mean 'stone' or 'stove'?",
        "Did you mean 'stove' or 'stone'?",
    }
    assert suggest("stovv", ["stone", "stove", "table"]) == "Did you mean 'stove'?"


@given(st.text(min_size=4, max_size=100) | st.text(st.sampled_from("'\"\\a"), max_size=9))
def test_what_a_remedy_means_can_be_read_off_it(name: str) -> None:
    assert meant(f"Did you mean {quoted(name)}?") == (name if len(name) <= 80 else None)


@pytest.mark.parametrize(
    "remedy", ["Did you mean 'a' or 'b'?", "Known: a, b.", "Remove it.", "Did you mean 'a'? Yes."]
)
def test_a_remedy_that_proposes_no_single_name_means_none(remedy: str) -> None:
    assert meant(remedy) is None
