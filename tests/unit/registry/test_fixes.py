from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry import RULES, Finding, Severity, examine
from harness.registry.edits import Edit
from harness.registry.examples import sources
from harness.registry.fixes import Mended, fixes, mend, mend_sources, new_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMENT = re.compile(r"# \w+")
MAPPINGS = """# head
public_models: # of names
  - tiny  # first
  - small
  - small
routes:
  exact:
    tiny: {provider: local, model: tiny, chain: safe}  # inline
    spare: {provider: spare, model: tiny}
  aliases:
    # an alias
    small: tiny
capabilities:
  chat:
    - route: tiny   # nested
      priority: 1
    - {route: spare, priority: 2}
fallback_chains: {safe: [tiny, spare]}
resilience: {timeout_s: 30, stream_timeout_s: 10, retries: 0, allowed_fails: 1, cooldown_s: 3}
gateway:
  port: gateway
  cors_origins: [http://localhost:3000]
  master_key: {env: GATEWAY_KEY}
  metrics: true
  health: {path: /health, timeout_s: 2}
# end
"""
WORDS = sorted(set(re.findall(r"[a-z_]{4,}", MAPPINGS)))


def check(texts: Mapping[str, str]) -> list[Finding]:
    changed = {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    return examine({**sources("{}"), **changed})[1]


def mended(text: str) -> Mended:
    return mend({"model-mappings.yaml": text}, check)


def finding(rule: str, message: str, line: int = 1, remedy: str = "r") -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        file="a",
        line=line,
        column=1,
        message=message,
        remedy=remedy,
    )


def slips(word: str) -> st.SearchStrategy[str]:
    at = st.integers(0, len(word) - 1)
    letter = st.sampled_from("abcxyz")
    return st.one_of(
        st.builds(lambda i: word[:i] + word[i + 1 :], at),
        st.builds(lambda i, c: word[:i] + c + word[i:], at, letter),
        st.builds(lambda i, c: word[:i] + c + word[i + 1 :], at, letter),
    )


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The sources with a few slips of the pen, lines doubled, tabs and other line breaks."""
    text = MAPPINGS
    for word in draw(st.lists(st.sampled_from(WORDS), max_size=3, unique=True)):
        text = re.sub(rf"\b{word}\b", draw(slips(word)), text, count=1)
    lines = text.splitlines(keepends=True)
    for index in draw(st.lists(st.integers(0, len(lines) - 1), max_size=2)):
        lines.insert(index, lines[index])
    text = "".join(lines)
    if draw(st.booleans()):
        text = "\ufeff" + text
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text


@given(damaged())
@settings(deadline=None, max_examples=40)
def test_mending_twice_is_mending_once(text: str) -> None:
    once = mended(text)
    twice = mended(once.after["model-mappings.yaml"])
    assert not twice.changed
    assert twice.fixed == ()
    assert twice.found == once.left


@given(damaged())
@settings(deadline=None, max_examples=40)
def test_every_comment_and_line_break_is_kept(text: str) -> None:
    after = mended(text).after["model-mappings.yaml"]
    assert COMMENT.findall(after) == COMMENT.findall(text)
    assert ("\r\n" in after) == ("\r\n" in text)
    assert "\n" not in after.replace("\r\n", "") or "\r\n" not in text


@given(damaged())
@settings(deadline=None, max_examples=40)
def test_what_is_called_fixed_is_gone_and_nothing_seen_before_got_worse(text: str) -> None:
    result = mended(text)
    assert bool(result.fixed) == bool(result.changed)
    assert result.left == tuple(check(result.after))
    assert not new_errors(result.found, result.left, result.fixed)


@given(damaged())
@settings(deadline=None, max_examples=40)
def test_one_round_of_edits_never_overlaps(text: str) -> None:
    texts = {"model-mappings.yaml": text}
    edits = fixes(check(texts), texts)
    assert edits == sorted(set(edits))
    assert all(one.end <= other.start for one, other in pairwise(edits))


@given(st.text(max_size=200) | st.binary(max_size=60).map(lambda b: b.decode(errors="replace")))
@settings(deadline=None, max_examples=40)
def test_any_text_is_mended_without_a_traceback(text: str) -> None:
    encodable = text.encode("utf-8", "replace").decode()
    assert mended(encodable).before == {"model-mappings.yaml": encodable}


def test_whole_sources_have_nothing_to_mend() -> None:
    text = MAPPINGS.replace("  - small\n", "", 1)
    result = mended(text)
    assert result.found == result.left
    assert not result.changed


def test_the_meaning_of_everything_else_is_kept() -> None:
    text = MAPPINGS.replace("provider: spare", "provider: spar").replace("chat", "chat ", 1)
    after = yaml.safe_load(mended(text).after["model-mappings.yaml"])
    expected = yaml.safe_load(MAPPINGS)
    expected["public_models"] = ["tiny", "small"]
    assert after == expected


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_the_example_of_every_rule_is_mended_or_left_as_it_is(rule: object) -> None:
    files = sources(rule.failing)  # type: ignore[attr-defined]
    texts = {name: data.decode() for name, data in files.items() if is_text(data)}

    def linted(now: Mapping[str, str]) -> list[Finding]:
        return examine({**files, **{name: text.encode() for name, text in now.items()}})[1]

    result = mend(texts, linted)
    assert result.changed or result.left == result.found
    assert not mend(result.after, linted).changed


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_an_edit_that_makes_a_new_error_is_not_kept_and_the_others_are() -> None:
    bad, good = finding("GW300", "bad", 1), finding("GW300", "good", 2)
    offered = {
        "GW300": lambda each, _: Edit("a", (each.line, 1), (each.line, 2), "!"),
    }

    def linted(texts: Mapping[str, str]) -> list[Finding]:
        first, second = texts["a"].splitlines()
        left = [finding("GW301", "worse", 1)] if first.startswith("!") else [bad]
        return left + ([] if second.startswith("!") else [good])

    result = mend({"a": "one\ntwo\n"}, linted, offered)
    assert result.after == {"a": "one\n!wo\n"}
    assert result.fixed == (good,)
    assert result.left == (bad,)


def test_an_edit_that_does_not_help_is_not_kept() -> None:
    one = finding("GW300", "m")
    result = mend(
        {"a": "one"}, lambda _: [one], {"GW300": lambda *_: Edit("a", (1, 1), (1, 2), "x")}
    )
    assert not result.changed


def test_an_edit_that_never_ends_is_stopped() -> None:
    def linted(texts: Mapping[str, str]) -> list[Finding]:
        return [finding("GW300", f"{len(texts['a'])} letters")]

    result = mend({"a": "one"}, linted, {"GW300": lambda *_: Edit("a", (1, 1), (1, 1), "x")})
    assert len(result.after["a"]) < 100


@pytest.mark.parametrize(
    ("gone", "error", "is_new"),
    [
        (finding("GW008", "syntax", 3), finding("GW020", "key", 1), False),
        (finding("GW020", "key", 3), finding("GW101", "reference", 1), False),
        (finding("GW008", "syntax", 3), finding("GW008", "next", 4), False),
        (finding("GW008", "syntax", 3), finding("GW008", "before", 2), True),
        (finding("GW101", "reference", 1), finding("GW102", "model", 2), True),
        (finding("GW101", "reference", 1), finding("GW020", "key", 2), True),
    ],
)
def test_an_error_that_could_not_be_seen_before_is_not_new(
    gone: Finding, error: Finding, is_new: bool
) -> None:
    assert bool(new_errors([gone], [error], [gone])) is is_new


def test_an_error_whose_line_moved_is_not_new() -> None:
    before = finding("GW010", "The key 'a' already stands in line 7.", 9)
    after = finding("GW010", "The key 'a' already stands in line 6.", 8)
    assert new_errors([before], [after], ()) == []
    assert new_errors([before], [after, after], ()) == [after]


def test_the_source_files_of_a_folder_are_mended_with_all_rules(tmp_path: Path) -> None:
    for name, data in sources(
        "model-mappings.yaml: {routes: {exact: {tiny: {model: tinny}}}}"
    ).items():
        (tmp_path / name).write_bytes(data)
    result = mend_sources(tmp_path)
    assert result.changed == (str(tmp_path / "model-mappings.yaml"),)
    assert [each.rule for each in result.fixed] == ["GW102"]
    assert result.left == ()


def test_a_folder_without_sources_has_nothing_to_mend(tmp_path: Path) -> None:
    (tmp_path / "ports.yaml").write_bytes(b"host: \xff\n")
    (tmp_path / "providers.yaml").mkdir()
    result = mend_sources(tmp_path)
    assert not result.changed
    assert {each.rule for each in result.found} == {"GW001", "GW003"}
