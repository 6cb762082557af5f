from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.registry import RULES, Finding, Severity
from harness.report.findings import draw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Json = Any
    Breaches = Callable[[Json], list[str]]


def finding(number: int = 1, severity: Severity = Severity.ERROR, file: str = "a.yaml") -> Finding:
    return Finding(
        rule="GW101",
        severity=severity,
        file=file,
        line=number,
        column=1,
        message="It is wrong.",
        remedy="Put it right.",
    )


def sarif(findings: list[Finding], texts: dict[str, str] | None = None, **options: Any) -> Json:
    return json.loads(draw(findings, "sarif", sources=(texts or {}).get, **options))


def uris(log: Json) -> list[str]:
    return [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in log["runs"][0]["results"]
    ]


def test_the_log_keeps_to_the_standard(
    found: list[Finding], texts: dict[str, str], breaches: Breaches
) -> None:
    assert breaches(sarif(found, texts)) == []
    assert breaches(sarif([])) == []


@pytest.mark.parametrize(
    ("spoil", "breach"),
    [
        (lambda log: log.update(version="2.0.0"), "version is not 2.1.0"),
        (lambda log: log.update(comment="x"), "log has the unknown property comment"),
        (lambda log: log.pop("runs"), "log lacks runs"),
        (lambda log: log["runs"][0].pop("tool"), "run lacks tool"),
        (lambda log: log["runs"][0].update(columnKind="bytes"), "columnKind is not one"),
        (lambda log: driver(log).pop("name"), "driver lacks name"),
        (lambda log: driver(log).update(semanticVersion="1"), "no semantic version"),
        (lambda log: driver(log)["rules"].append(driver(log)["rules"][0]), "described twice"),
        (lambda log: driver(log)["rules"][0].pop("help"), "lacks help"),
        (lambda log: driver(log)["rules"][0]["help"].pop("text"), "has no text"),
        (lambda log: result(log)["message"].clear(), "result has no text"),
        (lambda log: result(log).update(ruleIndex=99), "outside the rules"),
        (lambda log: result(log).update(ruleId="GW999"), "disagree"),
        (lambda log: result(log).update(level="fatal"), "level of a result is not known"),
        (lambda log: result(log).update(locations=[]), "no location"),
        (lambda log: result(log)["partialFingerprints"].update(x=1), "fingerprint is no text"),
        (lambda log: place(log)["region"].update(startLine=0), "counts from 1"),
        (lambda log: place(log)["region"].update(endColumn=1, startColumn=2), "ends before"),
        (lambda log: place(log)["region"].pop("startLine"), "region lacks startLine"),
        (lambda log: place(log)["artifactLocation"].update(uri="/a"), "is not relative"),
        (lambda log: place(log)["artifactLocation"].update(uri="../a"), "leaves its base"),
        (lambda log: place(log)["artifactLocation"].update(uri="a b"), "RFC 3986 forbids"),
        (lambda log: place(log)["artifactLocation"].update(uriBaseId="X"), "is not defined"),
        (lambda log: place(log)["artifactLocation"].pop("uriBaseId"), "has no base"),
    ],
)
def test_a_breach_of_the_standard_is_seen(
    spoil: Callable[[Json], object], breach: str, breaches: Breaches
) -> None:
    log = sarif([finding()])
    spoil(log)
    assert any(breach in each for each in breaches(log))


def driver(log: Json) -> Json:
    return log["runs"][0]["tool"]["driver"]


def result(log: Json) -> Json:
    return log["runs"][0]["results"][0]


def place(log: Json) -> Json:
    return result(log)["locations"][0]["physicalLocation"]


def test_a_rule_is_described_once_with_its_help(found: list[Finding]) -> None:
    rules = {rule["id"]: rule for rule in driver(sarif([*found, *found]))["rules"]}
    assert set(rules) == {each.rule for each in found}
    for id_, rule in rules.items():
        assert rule["shortDescription"]["text"] == RULES[id_].title
        assert RULES[id_].remedy in rule["help"]["text"]


def test_a_rule_nobody_explains_is_described_by_its_finding(breaches: Breaches) -> None:
    log = sarif([finding()], explain=lambda _: None)
    assert breaches(log) == []
    assert "Put it right." in driver(log)["rules"][0]["help"]["text"]


def test_the_region_is_the_word_at_the_place() -> None:
    one = Finding(
        rule="GW101",
        severity=Severity.ERROR,
        file="a.yaml",
        line=1,
        column=5,
        message="m",
        remedy="r",
    )
    log = sarif([one], {"a.yaml": "one: '模型 x', two: 2\n"})
    assert place(log)["region"] == {"startLine": 1, "startColumn": 5, "endColumn": 6}
    named = sarif([Finding(**{**fields(one), "column": 6})], {"a.yaml": "one: '模型 x', two: 2\n"})
    assert place(named)["region"] == {"startLine": 1, "startColumn": 6, "endColumn": 12}


def fields(one: Finding) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Finding.__slots__}


def test_a_path_below_the_root_is_relative_to_it(tmp_path: Path, breaches: Breaches) -> None:
    inside, outside = tmp_path / "config" / "a b#1:é.yaml", tmp_path.parent / "x.yaml"
    log = sarif([finding(file=str(inside)), finding(file=str(outside))], root=tmp_path)
    assert sorted(uris(log)) == ["config/a%20b%231%3A%C3%A9.yaml", f"file://{outside}"]
    assert breaches(log) == []


def test_a_relative_path_counts_from_the_root(tmp_path: Path) -> None:
    assert uris(sarif([finding(file="config/./a.yaml")], root=tmp_path)) == ["config/a.yaml"]


def prints(log: Json, name: str) -> list[str]:
    return [each["partialFingerprints"][name] for each in log["runs"][0]["results"]]


def test_a_fingerprint_survives_lines_added_above() -> None:
    before = sarif([finding(1)], {"a.yaml": "port: 1\n"})
    after = sarif([finding(3)], {"a.yaml": "# one\n# two\n  port: 1\n"})
    assert prints(before, "findingLine/v1") == prints(after, "findingLine/v1")
    assert prints(before, "primaryLocationLineHash") == prints(after, "primaryLocationLineHash")


def test_equal_lines_have_different_fingerprints() -> None:
    log = sarif([finding(1), finding(2)], {"a.yaml": "port: 1\nport: 1\n"})
    assert len(set(prints(log, "findingLine/v1"))) == 2


def test_a_fingerprint_is_the_same_wherever_the_sources_lie(tmp_path: Path) -> None:
    logs = [
        sarif([finding(file=str(root / "a.yaml"))], root=root)
        for root in (tmp_path / "one", tmp_path / "two")
    ]
    assert prints(logs[0], "findingLine/v1") == prints(logs[1], "findingLine/v1")


def test_no_more_results_than_github_takes_and_the_errors_are_kept(breaches: Breaches) -> None:
    many = [finding(number, Severity.WARNING) for number in range(1, 25_002)]
    log = sarif([*many, finding(30_000)])
    results = log["runs"][0]["results"]
    assert len(results) == 25_000
    assert results[-1]["level"] == "error"
    said = log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert said.startswith("2 findings are left out")
    assert breaches(log) == []


def test_no_line_of_a_file_is_copied(found: list[Finding], texts: dict[str, str]) -> None:
    assert "sk-planted-secret" not in draw(found, "sarif", sources=texts.get)
