from __future__ import annotations

import datetime as dt

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.litellm_lint.reader import MAX_DEPTH, read_yaml


def rules(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [finding.rule for finding in read_yaml("f.yaml", data).findings]


def test_every_key_and_value_has_its_place() -> None:
    document = read_yaml("f.yaml", b"a:\n  - b: 1\n    c: two\n")
    assert document.value == {"a": [{"b": 1, "c": "two"}]}
    assert str(document.position(("a", 0, "c"), key=True)) == "f.yaml:3:5"
    assert str(document.position(("a", 0, "c"))) == "f.yaml:3:8"


def test_anchors_aliases_and_merge_keys_are_read_as_litellm_reads_them() -> None:
    text = b"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x\nw: {<<: [{a: 5}, *x]}\n"
    document = read_yaml("f.yaml", text)
    assert document.value == yaml.safe_load(text)
    assert document.findings == ()
    assert document.position(("y", "a")).line == 1  # where it was written
    assert document.position(("y", "b")).line == 2


def test_of_two_equal_keys_the_last_wins_and_is_reported() -> None:
    document = read_yaml("f.yaml", b"a: 1\nb: 2\na: 3\n")
    assert document.value == {"a": 3, "b": 2}
    (finding,) = document.findings
    assert (finding.rule, finding.line) == ("GW010", 3)


def test_yaml_1_1_decides_what_a_scalar_is() -> None:
    document = read_yaml("f.yaml", b"a: yes\nb: 2024-10-21\nc: 1e3\nd: 0o7\n")
    day = dt.date(2024, 10, 21)
    assert document.value == {"a": True, "b": day, "c": "1e3", "d": "0o7"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "GW006"),
        ("# nothing", "GW006"),
        ("- a", "GW007"),
        ("a: [", "GW008"),
        ("a: *b", "GW008"),
        ("a: {<<: 1}", "GW008"),
        ("a: 2024-13-45", "GW008"),
        ("a:\n\tb: 1", "GW009"),
        ("a: 1\n1: b", "GW013"),
        ("a: 1\n[b]: c", "GW013"),
        ("a: 1\n---\nb: 2", "GW014"),
        ("a: !!python/object:os.system x", "GW012"),
        ("a: !mine {b: 1}", "GW012"),
        ("a: \x00", "GW005"),
        (b"a: \xff", "GW003"),
        (b"\xef\xbb\xbfa: 1", "GW004"),
        (b"\xff\xfea\x00", "GW003"),
        ("[" * (MAX_DEPTH + 1), "GW002"),
        ("a: &a [*a]", "GW002"),
        ("a: &a {<<: *a}", "GW002"),
    ],
)
def test_what_is_wrong_with_a_text_is_one_finding(text: str | bytes, rule: str) -> None:
    assert rules(text) == [rule]


def test_a_billion_laughs_end_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert rules("\n".join(lines)) == ["GW002"]


def test_nested_merges_end_soon() -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert rules("\n".join(lines)) == ["GW002"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4))
def test_the_value_is_what_safe_load_gives(value: dict[str, object]) -> None:
    data = yaml.safe_dump(value, allow_unicode=True).encode()
    document = read_yaml("f.yaml", data)
    if document.value is not None:  # else the text holds a character that YAML forbids
        assert document.value == yaml.safe_load(data.decode())


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4))
def test_a_large_file_is_read_by_libyaml_to_the_same_values_and_places(
    value: dict[str, object],
) -> None:
    data = yaml.safe_dump(value).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.gateway.litellm_lint.reader.MAX_SLOW", 0)
        fast = read_yaml("f.yaml", data)
    exact = read_yaml("f.yaml", data)
    assert fast.value == exact.value
    assert dict(fast.values) == dict(exact.values)


def test_a_large_file_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.gateway.litellm_lint.reader.MAX_SLOW", 0)
    assert rules("[" * 500) == ["GW002"]
    assert rules("a: &a [*a]") == ["GW002"]
