"""Planted defects: each found, by the right rule, at the right line; valid files give nothing.

The cases are in ``tests/corpus``; its README says how to read and write one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.gateway.litellm_lint.files import lint_file
from harness.gateway.litellm_lint.rule import LITELLM_RULES
from harness.registry import RULES, examine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.registry import Finding

CORPUS = Path(__file__).parents[2] / "corpus"
BASES = {"minimal": CORPUS / "minimal", "shipped": Path(__file__).parents[3] / "config"}
SOURCES = ("providers.yaml", "model-mappings.yaml", "ports.yaml")
ENCODINGS = ("latin-1", "utf-16")
EXPECT = re.compile(r"# expect: (GW\d{3}) at (.+):(\d+)")
ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
MARKER = re.compile(r" *# <-- (GW\d{3}(?: GW\d{3})*)$", re.MULTILINE)

Hit = tuple[str, int, str]
"""File, line and rule of a finding."""


@dataclass(frozen=True)
class Case:
    """Files with at most one defect, and what must be said about them."""

    name: str
    title: str
    origin: str
    files: Mapping[str, bytes]
    expected: tuple[Hit, ...]


def unmarked(name: str, text: str) -> tuple[str, list[Hit]]:
    """``text`` without its markers, and what the markers announce."""
    hits = [
        (name, text.count("\n", 0, marker.start()) + 1, rule)
        for marker in MARKER.finditer(text)
        for rule in marker[1].split()
    ]
    return MARKER.sub("", text), hits


def patched(text: str, change: list[str]) -> str:
    """``text`` after the hunks of ``change``; what a hunk replaces must stand there once."""
    lines = text.splitlines()
    for hunk in "\n".join(change).split("\n@@\n"):
        marked = [(line[:1], line[1:]) for line in hunk.split("\n")]
        old = [line for sign, line in marked if sign in " -"]
        new = [line for sign, line in marked if sign in " +"]
        if not old:
            lines += new
            continue
        places = [at for at in range(len(lines)) if lines[at : at + len(old)] == old]
        assert len(places) == 1, f"these lines stand in {len(places)} places, not one: {old}"
        lines[places[0] : places[0] + len(old)] = new
    return "\n".join(lines) + "\n"


def header(path: Path) -> tuple[str, str, tuple[Hit, ...]]:
    """Title, origin and expected findings from the comments a file begins with."""
    title, origin, *more = path.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# "), f"{path} does not begin with '# what it is'"
    assert origin.startswith("# from: "), f"{path} does not go on with '# from: origin'"
    told = [EXPECT.fullmatch(line) for line in more]
    return title[2:], origin[8:], tuple((m[2], int(m[3]), m[1]) for m in told if m)


def changed_case(path: Path) -> Case:
    """A change of a few lines to one of the bases."""
    title, origin, expected = header(path)
    _, *sections = re.split(r"^--- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sections, f"{path} changes nothing"
    base = BASES[sections[0].split("/")[0]]
    files = {name: (base / name).read_bytes() for name in SOURCES}
    hits = list(expected)
    for section in sections:
        named, *change = section.removesuffix("\n").split("\n")
        place, _, how = named.partition(" (")
        name, how = place.split("/")[1], how.rstrip(")")
        if how == "missing":
            del files[name]
            continue
        if how == "whole":
            text = "".join(f"{line[1:]}\n" for line in change)
        else:
            text = patched(files[name].decode(), change)
        text, announced = unmarked(name, text)
        hits += announced
        if how == "escapes":
            text = ESCAPE.sub(lambda code: chr(int(code[1], 16)), text)
        files[name] = text.encode(how if how in ENCODINGS else "utf-8")
    return Case(case_name(path), title, origin, files, tuple(sorted(hits)))


def whole_case(path: Path) -> Case:
    """A file as it stands, its first lines apart where it could not hold them."""
    title, origin, expected = header(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":  # which has no comments
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    text, announced = unmarked(path.name, text)
    found = tuple(sorted([*expected, *announced]))
    return Case(case_name(path), title, origin, {path.name: text.encode()}, found)


def case_name(path: Path) -> str:
    return str(path.relative_to(CORPUS).with_suffix(""))


def cases(folder: str) -> list[Case]:
    read = changed_case if folder.startswith("sources") else whole_case
    return [read(path) for path in sorted((CORPUS / folder).iterdir())]


def linted(case: Case, folder: Path) -> list[Finding]:
    """What `harness lint` finds in a file of its own."""
    ((name, data),) = case.files.items()
    path = folder / name
    path.write_bytes(data)
    return lint_file(path)


def hits(findings: Iterable[Finding]) -> tuple[Hit, ...]:
    return tuple(sorted((Path(each.file).name, each.line, each.rule) for each in findings))


def said(findings: Iterable[Finding]) -> str:
    return "\n".join(map(str, findings)) or "nothing is found"


def each(some: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", some, ids=[case.name for case in some])


BROKEN_SOURCES = cases("sources/broken")
VALID_SOURCES = cases("sources/valid")
BROKEN_FILES = cases("litellm/broken") + cases("metrics/broken")
VALID_FILES = cases("litellm/valid") + cases("metrics/valid")
BROKEN = BROKEN_SOURCES + BROKEN_FILES
VALID = VALID_SOURCES + VALID_FILES


@each(BROKEN_SOURCES)
def test_a_defect_in_the_sources_is_found_where_it_is(case: Case) -> None:
    findings = examine(case.files)[1]
    assert hits(findings) == case.expected, said(findings)


@each(VALID_SOURCES)
def test_valid_sources_give_no_finding(case: Case) -> None:
    registry, findings = examine(case.files)
    assert not findings, said(findings)
    assert registry is not None


@each(BROKEN_FILES)
def test_a_defect_in_a_file_is_found_where_it_is(case: Case, tmp_path: Path) -> None:
    findings = linted(case, tmp_path)
    assert hits(findings) == case.expected, said(findings)


@each(VALID_FILES)
def test_a_valid_file_gives_no_finding(case: Case, tmp_path: Path) -> None:
    findings = linted(case, tmp_path)
    assert not findings, said(findings)


@each(BROKEN + VALID)
def test_a_case_says_what_it_is_and_where_it_grew(case: Case) -> None:
    assert case.title.endswith(".")
    assert case.origin.endswith(".")
    assert bool(case.expected) == ("/broken/" in case.name)


def test_no_two_cases_are_the_same() -> None:
    contents = [tuple(sorted(case.files.items())) for case in BROKEN + VALID]
    assert len(set(contents)) == len(contents)


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 120
    assert len(VALID) >= 30
    assert len(cases("litellm/valid")) >= 10
    assert len(VALID_SOURCES) >= 20


@pytest.mark.parametrize("id_", sorted({*RULES, *LITELLM_RULES}))
def test_a_rule_has_a_case(id_: str) -> None:
    assert id_ in {rule for case in BROKEN for _, _, rule in case.expected}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_base_is_clean_so_the_change_alone_is_to_blame(base: Path) -> None:
    assert not examine({name: (base / name).read_bytes() for name in SOURCES})[1]


def test_a_marker_is_taken_off_and_kept_as_what_must_be_found() -> None:
    text, announced = unmarked("f", "a: 1\nb: 2  # why # <-- GW101 GW102\n")
    assert text == "a: 1\nb: 2  # why\n"
    assert announced == [("f", 2, "GW101"), ("f", 2, "GW102")]


def test_no_marker_reaches_the_linter() -> None:
    assert not [case.name for case in BROKEN for data in case.files.values() if b"<--" in data]


def test_a_change_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(AssertionError, match="stand in 0 places"):
        patched("a: 1\n", ["-b: 1", "+b: 2"])
    with pytest.raises(AssertionError, match="stand in 2 places"):
        patched("a: 1\na: 1\n", ["-a: 1"])
