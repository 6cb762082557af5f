from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.registry import Finding, Severity
from harness.report.findings import Format, draw, exit_code, put
from harness.report.findings.view import encodable, one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    Json = Any

NASTY = st.sampled_from(
    [
        *("\n", "\r", "\r\n", "\n\n", "\t", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff"),
        *("::error::", "::", "%", "%0A", ",", ":", "##[error]", "::stop-commands::x"),
        *("<![CDATA[", "]]>", "&", "<failure/>", '"', "'", "\\", "\ud800", "\U0001f642", "模型"),
        *(" | ", "    = help: ", "a.yaml:1:1  GW101  error: m", " "),
    ]
)
TEXT = st.lists(NASTY | st.text(max_size=5), max_size=5).map("".join)
HEAD = re.compile(
    r"(?P<file>.*?):(?P<line>\d+):(?P<column>\d+)  (?P<id>\w+)  (error|warning):(?: .*)?"
)
NAMES = TEXT.filter(lambda name: bool(name.strip()) and not HEAD.search(one_line(name)))
"""What a file can be called, but for a name that is itself a finding: text is for people."""
IDS = st.from_regex(r"GW[0-9]{3}", fullmatch=True)
FINDINGS = st.lists(
    st.builds(
        Finding,
        rule=IDS,
        severity=st.sampled_from(Severity),
        file=NAMES,
        line=st.integers(1, 9),
        column=st.integers(1, 99),
        message=TEXT,
        remedy=TEXT,
    ),
    max_size=6,
)
COMMAND = re.compile(r"::(?P<name>\w+) (?P<properties>[^:]*)::(?P<data>.*)")

Place = tuple[str, str, int, int]
"""Severity, id, line and column: what every format can hold unchanged."""


def places(findings: list[Finding]) -> list[Place]:
    ordered = sorted(findings)
    return [(str(each.severity), each.rule, each.line, each.column) for each in ordered]


def from_text(drawn: str) -> list[Place]:
    blocks = drawn.split("\n\n")[:-1]
    heads = [HEAD.fullmatch(block.split("\n")[0]) for block in blocks]
    assert all(heads), blocks
    return [(h[5], h["id"], int(h["line"]), int(h["column"])) for h in heads if h]


def from_json(drawn: str) -> list[Place]:
    document = json.loads(drawn)
    assert document["schema_version"] == 1
    listed = document["findings"]
    severities = [each["severity"] for each in listed]
    assert document["errors"] == severities.count("error")
    assert document["warnings"] == severities.count("warning")
    return [(each["severity"], each["id"], each["line"], each["column"]) for each in listed]


def from_sarif(drawn: str) -> list[Place]:
    places = []
    for each in json.loads(drawn)["runs"][0]["results"]:
        region = each["locations"][0]["physicalLocation"]["region"]
        places.append((each["level"], each["ruleId"], region["startLine"], region["startColumn"]))
    return places


def from_github(drawn: str) -> list[Place]:
    places = []
    for line in drawn.splitlines():
        command = COMMAND.fullmatch(line)
        assert command is not None
        pairs = dict(pair.split("=", 1) for pair in command["properties"].split(","))
        if command["name"] != "notice":
            id_ = pairs["title"].split()[0]
            places.append((command["name"], id_, int(pairs["line"]), int(pairs["col"])))
    return places


def from_junit(drawn: str) -> list[Place]:
    places = []
    for case in ET.fromstring(drawn).iter("testcase"):  # noqa: S314  our own document
        if case.get("line") is None:
            continue
        severity = "error" if case.find("failure") is not None else "warning"
        found = re.search(r":(\d+):(\d+) GW", case.get("name", ""))
        assert found is not None
        at = int(found[1]), int(found[2])
        places.append((severity, case.get("classname", ""), *at))
    return places


READERS: dict[str, Callable[[str], list[Place]]] = {
    "text": from_text,
    "json": from_json,
    "sarif": from_sarif,
    "github": from_github,
    "junit": from_junit,
}


def test_every_format_is_tested() -> None:
    assert set(READERS) == set(Format)


@pytest.mark.parametrize("format_", Format)
@given(findings=FINDINGS, line=TEXT)
def test_the_same_findings_stand_in_every_format_whatever_their_text(
    format_: Format, findings: list[Finding], line: str
) -> None:
    drawn = draw(findings, format_, sources=lambda _: line)

    assert sorted(READERS[format_](drawn)) == sorted(places(findings))


@pytest.mark.parametrize("format_", Format)
@given(findings=FINDINGS)
def test_what_is_drawn_can_be_written_and_holds_no_escape_sequence(
    format_: Format, findings: list[Finding]
) -> None:
    drawn = draw(findings, format_, sources=lambda _: None)

    drawn.encode()
    assert not re.search(r"[^\n\x20-\x7e\xa0-\U0010ffff]", drawn)
    assert not drawn or drawn.endswith("\n")


@given(findings=FINDINGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sarif_keeps_to_the_standard_whatever_the_text(
    findings: list[Finding], breaches: Callable[[Json], list[str]]
) -> None:
    assert breaches(json.loads(draw(findings, "sarif", sources=lambda _: "a: b"))) == []


@given(findings=FINDINGS)
def test_json_gives_back_every_word(findings: list[Finding]) -> None:
    listed = json.loads(draw(findings, "json"))["findings"]

    assert [(each["file"], each["message"], each["remedy"]) for each in listed] == [
        (encodable(each.file), encodable(each.message), encodable(each.remedy))
        for each in sorted(findings)
    ]


@given(findings=FINDINGS)
def test_github_gives_back_every_word(findings: list[Finding]) -> None:
    drawn = draw(findings, "github").splitlines()

    for line, finding in zip(drawn, sorted(findings), strict=True):
        command = COMMAND.fullmatch(line)
        assert command is not None
        said = command["data"].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        assert said == f"{one_line(finding.message)}\n{one_line(finding.remedy)}"


@pytest.mark.parametrize("format_", Format)
def test_the_order_of_the_findings_does_not_matter(found: list[Finding], format_: Format) -> None:
    assert draw(found, format_) == draw(reversed(found), format_)


@pytest.mark.parametrize("format_", Format)
def test_the_output_is_as_it_was(
    format_: Format,
    found: list[Finding],
    texts: dict[str, str],
    snapshot: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("data", "sarif"):
        monkeypatch.setattr(f"harness.report.findings.{module}.__version__", "1.2.3")
    # A version of its own, so that a release leaves the snapshots alone.
    snapshot(f"findings.{format_}", draw(found, format_, sources=texts.get))


@pytest.mark.parametrize("format_", Format)
def test_a_secret_in_a_line_is_not_shown(
    format_: Format, found: list[Finding], texts: dict[str, str]
) -> None:
    assert "sk-planted-secret" in "".join(texts.values())
    assert "sk-planted-secret" not in draw(found, format_, sources=texts.get)


def test_nothing_found_is_a_whole_document_too() -> None:
    assert draw([], "text") == draw([], "github") == ""
    assert json.loads(draw([], "json"))["findings"] == []
    assert json.loads(draw([], "sarif"))["runs"][0]["results"] == []
    assert len(list(ET.fromstring(draw([], "junit")).iter("testcase"))) == 1  # noqa: S314


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="xml"):
        draw([], "xml")


def test_a_stream_that_cannot_write_a_character_gets_its_escape() -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding="ascii")
    put("模型\n", stream)
    assert data.getvalue() == b"\\u6a21\\u578b\n"


def finding(severity: Severity) -> Finding:
    return Finding(
        rule="GW101", severity=severity, file="a", line=1, column=1, message="m", remedy="r"
    )


@pytest.mark.parametrize(
    ("severities", "strict", "code"),
    [
        ([], False, 0),
        ([], True, 0),
        (["warning"], False, 0),
        (["warning"], True, 1),
        (["warning", "error"], False, 1),
        (["error"], True, 1),
    ],
)
def test_errors_decide_the_exit_code_and_warnings_where_strict(
    severities: list[str], strict: bool, code: int
) -> None:
    findings = [finding(Severity(each)) for each in severities]
    assert exit_code(findings, strict=strict) == code
    assert exit_code(findings, strict=strict, defect=2) == 2 * code


def test_a_path_is_read_relative_to_the_root_in_every_format_that_says_so(
    tmp_path: Path,
) -> None:
    one = Finding(
        rule="GW101",
        severity=Severity.ERROR,
        file=str(tmp_path / "config" / "a,b:c.yaml"),
        line=1,
        column=1,
        message="m",
        remedy="r",
    )
    assert "file=config/a%2Cb%3Ac.yaml," in draw([one], "github", root=tmp_path)
    log = json.loads(draw([one], "sarif", root=tmp_path))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "config/a,b:c.yaml"
