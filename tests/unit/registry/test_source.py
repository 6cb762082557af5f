from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry import source
from harness.registry.finding import Place
from harness.registry.source import MAX_BYTES, MAX_SLOW, Document, read
from harness.registry.tree import MAX_SHOWN


def found(data: bytes) -> list[tuple[str, int, int]]:
    return [(f.rule, f.line, f.column) for f in read("f.yaml", data).findings]


def test_a_path_that_is_not_written_has_the_place_of_its_nearest_ancestor() -> None:
    document = read("f.yaml", b"hosts:\n  box: {vram_gb: 16}\n")
    assert document.position(("hosts", "box", "gpu", "name")) == Place("f.yaml", 2, 8)
    assert document.position(("elsewhere",)) == Place("f.yaml", 1, 1)


def test_columns_count_characters_not_bytes() -> None:
    assert read("f.yaml", "{ä: 1, b: 2}".encode()).position(("b",)) == Place("f.yaml", 1, 11)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", [("GW006", 1, 1)]),
        (b"# only a comment\n", [("GW006", 1, 1)]),
        (b"---\n", [("GW006", 2, 1)]),
        (b"- a\n", [("GW007", 1, 1)]),
        (b"\n  text\n", [("GW007", 2, 3)]),
        (b"a: {b: [1\n", [("GW008", 2, 1)]),
        (b"a: b: c\n", [("GW008", 1, 5)]),
        (b'a: "\\UFFFFFFFF"\n', [("GW008", 1, 7)]),
        (b"%YAML " + b"9" * 5000 + b"\n---\na: 1\n", [("GW008", 1, 7)]),
        (b"a:\n\tb: 1\nc:\n\td: 2\n", [("GW009", 2, 1), ("GW009", 4, 1)]),
        (b"a:\t1\n", [("GW009", 1, 3)]),
        (b"a: 1\nb: 2\na: 3\nb: 4\n", [("GW010", 3, 1), ("GW010", 4, 1)]),
        (b"a: &x 1\nb: *x\n", [("GW011", 1, 4), ("GW011", 2, 4)]),
        (b"a: !!python/object:os.system 1\nb: !x {}\n", [("GW012", 1, 4), ("GW012", 2, 4)]),
        (b"8001: a\ntrue: b\n? [c]\n: d\n~: e\n", [("GW013", n, c) for n, c in
                                                 ((1, 1), (2, 1), (3, 3), (5, 1))]),
        (b"a: 1\n---\nb: 2\n", [("GW014", 2, 1)]),
        (b"a: 1\0\n", [("GW005", 1, 5)]),
        (b'a: "\\0"\nb: "\\ud800"\n', [("GW005", 1, 4), ("GW005", 2, 4)]),
        (b"a: 1\nb: \xff\n", [("GW003", 2, 4)]),
        ("a: 1".encode("utf-16"), [("GW003", 1, 1)]),
        ("a: 1".encode("utf-32"), [("GW003", 1, 1)]),
        ("a: grün".encode("latin-1"), [("GW003", 1, 6)]),
        (b"a: " + b"[" * 10_000, [("GW002", 1, 36)]),
        (b"x" * (MAX_BYTES + 1), [("GW002", 1, 1)]),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)  # fmt: skip
def test_bad_text_is_reported_where_it_stands(
    data: bytes, expected: list[tuple[str, int, int]]
) -> None:
    document = read("f.yaml", data)
    assert found(data) == expected
    assert all(finding.message and finding.remedy for finding in document.findings)


def test_a_byte_order_mark_is_skipped_with_a_warning_and_moves_no_column() -> None:
    document = read("f.yaml", b"\xef\xbb\xbfa: 1\n")
    assert document.value == {"a": 1}
    assert [finding.severity for finding in document.findings] == ["warning"]
    assert document.position(("a",), key=True) == Place("f.yaml", 1, 1)


def test_of_many_forbidden_characters_only_some_are_listed() -> None:
    assert len(found(b"\0" * 1000)) == MAX_SHOWN + 1


yaml_like = st.text(alphabet="ab01:-?[]{}#&*!|>'\"%@`,. \n\t\r\\\ufeff\x85\u2028\x00é", max_size=60)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=200), yaml_like.map(lambda text: text.encode())))
def test_no_bytes_raise_and_every_finding_has_a_place_inside_the_text(data: bytes) -> None:
    document: Document = read("f.yaml", data)
    assert document.value is not None or document.findings
    for finding in document.findings:
        assert finding.line <= data.count(b"\n") + len(data.decode("utf-8", "replace")) + 1
        assert min(finding.line, finding.column) >= 1


SECRETS = {
    "openai": "sk-proj-" + "a1B2" * 6,
    "aws": "AKIA" + "A1B2C3D4" * 2,
    "github": "ghp_" + "a1B2" * 9,
    "slack": "xoxb-" + "1234567890-abc",
    "google": "AIza" + "a1B2c" * 7,
    "huggingface": "hf_" + "aBcD" * 9,
    "stripe": "sk_live_" + "a1B2" * 6,
    "groq": "gsk_" + "a1B2" * 9,
    "jwt": "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl",
    "pem": "-----BEGIN RSA PRIVATE " + "KEY-----",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_what_has_the_shape_of_a_key_is_found_and_never_repeated(kind: str) -> None:
    for text in (f"a: '{SECRETS[kind]}'\n", f"a: 1 # '{SECRETS[kind]}'\n"):
        (finding,) = read("f.yaml", b"b: 2\n" + text.encode()).findings
        assert (finding.rule, finding.line) == ("GW015", 2)
        assert finding.column == text.index(SECRETS[kind]) + 1
        assert SECRETS[kind] not in str(finding)
    assert set(SECRETS) == set(source._ISSUERS)


@pytest.mark.parametrize(
    "text", ["sk-proj is a prefix", "task-a1B2a1B2a1B2a1B2a1B2", "workspace-coder", "x" * 200,
             "36f0b9be70ca8fd0058d6c3b005b9cf862c5270a716093bee4d656bf4d6b323f"],
)  # fmt: skip
def test_what_only_resembles_a_key_is_left_alone(text: str) -> None:
    assert read("f.yaml", f"a: '{text}'\n".encode()).findings == ()


PIECES = (
    *("a: ", "- ", "\n", "\n  ", "b", "1", "'x'", '"y"', "{", "}", "[", "]", ": ", ", ", "#c"),
    *("| \n", "> \n", " ", "\n- ", "\n    ", "? ", "x: y", "&a ", "*a", "!t ", "---", "...", "%"),
    *("\r\n", "-", '"\\n"', "''", ":", "http://a:1", "~", "\u00e9", "\U0001f600"),
    *("\t", "\ufeff", "\u2028"),
)
pieces = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)


@settings(deadline=None, max_examples=500)
@given(st.one_of(yaml_like, pieces))
def test_libyaml_and_pyyaml_read_the_same(text: str) -> None:
    fast = read("f.yaml", text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_FAST", None)
        slow = read("f.yaml", text.encode())
    assert fast == slow


def test_of_a_large_text_libyaml_has_the_last_word() -> None:
    text = b"a: {\n" + b"# x\n" * (MAX_SLOW // 4 + 1)
    assert [rule for rule, _, _ in found(text)] == ["GW008"]
