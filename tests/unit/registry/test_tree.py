from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry.finding import Place
from harness.registry.source import read
from harness.registry.tree import MAX_DEPTH, MAX_SHOWN, MAX_VALUES


def found(data: bytes) -> list[tuple[str, int, int]]:
    return [(f.rule, f.line, f.column) for f in read("f.yaml", data).findings]


def test_every_key_and_value_keeps_its_place() -> None:
    document = read("f.yaml", b"hosts:\n  box: {vram_gb: 16}\nlist:\n  - a\n  - b: 1\n")
    assert document.value == {"hosts": {"box": {"vram_gb": 16}}, "list": ["a", {"b": 1}]}
    assert document.position(("hosts", "box", "vram_gb"), key=True) == Place("f.yaml", 2, 9)
    assert document.position(("hosts", "box", "vram_gb")) == Place("f.yaml", 2, 18)
    assert document.position(("list", 1, "b")) == Place("f.yaml", 5, 8)


def test_quoted_scalars_are_text_whatever_they_look_like() -> None:
    document = read("f.yaml", b"a: '8001'\nb: \"true\"\nc: |\n  1\n")
    assert document.value == {"a": "8001", "b": "true", "c": "1\n"}


def test_a_tab_that_yaml_allows_is_no_finding() -> None:
    assert read("f.yaml", b"a: |\n  x\n  \ty\n").findings == ()


def test_the_first_of_two_equal_keys_is_kept_so_that_its_own_errors_show() -> None:
    document = read("f.yaml", b"a: {b: 1}\na: {b: 2}\n")
    assert document.value == {"a": {"b": 1}}
    assert document.position(("a", "b")) == Place("f.yaml", 1, 8)


def test_nested_aliases_do_not_grow() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    document = read("f.yaml", "\n".join(lines).encode())
    assert {finding.rule for finding in document.findings} == {"GW011"}
    assert document.value is None


def test_the_merge_key_is_an_ordinary_key() -> None:
    assert read("f.yaml", b"<<: {a: 1}\n").value == {"<<": {"a": 1}}


def test_depth_is_allowed_up_to_the_limit_and_not_beyond() -> None:
    def nested(depth: int) -> bytes:
        return b"a: " + b"[" * depth + b"]" * depth

    assert found(nested(MAX_DEPTH)) == []
    assert [rule for rule, _, _ in found(nested(MAX_DEPTH + 1))] == ["GW002"]


def test_the_number_of_values_is_limited() -> None:
    assert [rule for rule, _, _ in found(b"a: [" + b"1," * MAX_VALUES + b"]")] == ["GW002"]


def test_many_tabs_are_reported_but_not_all() -> None:
    assert [rule for rule, _, _ in found(b"\ta: [\n" * 1000)] == ["GW009"] * MAX_SHOWN


def test_a_hostile_key_cannot_break_the_line_of_a_finding() -> None:
    document = read("f.yaml", b'"a\\nb": 1\n"a\\nb": 2\n')
    assert len(str(document.findings[0]).splitlines()) == 1


yaml_like = st.text(alphabet="ab01:-?[]{}#&*!|>'\"%@`,. \n\t\r\\\ufeff\x85\u2028\x00é", max_size=60)


@settings(deadline=None, max_examples=300)
@given(yaml_like)
def test_every_value_has_a_place(text: str) -> None:
    document = read("f.yaml", text.encode())

    def walk(value: object, path: tuple[str | int, ...]) -> None:
        assert path in document.values
        if isinstance(value, dict):
            for key, item in value.items():
                assert (*path, key) in document.keys
                walk(item, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, (*path, index))

    if document.value is not None:
        walk(document.value, ())
