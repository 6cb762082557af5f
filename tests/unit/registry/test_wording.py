from __future__ import annotations

from harness.registry.wording import nearest, quoted, suggest


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
