from __future__ import annotations

from harness.registry import Finding, Place, RegistryError, Severity


def finding(
    *, file: str = "a.yaml", line: int = 1, column: int = 1, rule: str = "GW001"
) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        file=file,
        line=line,
        column=column,
        message="It is wrong.",
        remedy="Make it right.",
    )


def test_a_finding_reads_as_place_id_message_remedy() -> None:
    assert str(finding(line=12, column=5)) == "a.yaml:12:5  GW001  It is wrong.  Make it right."


def test_findings_sort_by_file_then_by_line_as_a_number_then_by_column() -> None:
    ordered = [
        finding(file="a.yaml", line=9),
        finding(file="a.yaml", line=10, column=2),
        finding(file="a.yaml", line=10, column=11),
        finding(file="b.yaml", line=1),
    ]
    shuffled = [ordered[2], ordered[3], ordered[0], ordered[1]]
    assert sorted(shuffled) == ordered


def test_the_error_lists_every_finding_sorted_one_per_line() -> None:
    error = RegistryError([finding(line=2), finding(line=1)])
    assert [found.line for found in error.findings] == [1, 2]
    assert str(error).splitlines() == [str(found) for found in error.findings]


def test_a_place_reads_as_editors_open_it() -> None:
    assert str(Place("config/ports.yaml", 3, 7)) == "config/ports.yaml:3:7"
