from __future__ import annotations

import math
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Evidence, EvidenceError, EvidenceStore, Verdict, read


def evidence(check: str = "config.drift", **facts: object) -> Evidence:
    return Evidence.model_validate(
        {"check": check, "subject": "vllm", "asked": "it holds", "verdict": "pass", **facts}
    )


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run" / "evidence.jsonl"
    records = [evidence(f"contract.{index}", value=index / 3, unit="ms") for index in range(5)]
    with EvidenceStore(path) as store:
        for record in records:
            store.append(record)

    assert read(path).records == tuple(records)
    assert not read(path).truncated


def test_a_record_is_on_file_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store:
        store.append(evidence())
        assert read(path).records == (
            evidence().model_copy(update={"at": read(path).records[0].at}),
        )


def test_a_crash_of_the_writer_loses_nothing_appended(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    child = os.fork()
    if child == 0:
        store = EvidenceStore(path).__enter__()
        store.append(evidence("a"))
        store.append(evidence("b"))
        os._exit(9)
    os.waitpid(child, 0)

    assert [record.check for record in read(path).records] == ["a", "b"]


def test_opening_again_appends(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    for check in "ab":
        with EvidenceStore(path) as store:
            store.append(evidence(check))

    assert [record.check for record in read(path).records] == ["a", "b"]


def test_a_cut_last_line_is_reported_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store:
        store.append(evidence("a"))
        store.append(evidence("b"))
    path.write_bytes(path.read_bytes()[:-20])

    found = read(path)

    assert [record.check for record in found.records] == ["a"]
    assert found.truncated
    assert found.cut_line == 2


def test_a_last_line_that_lacks_only_its_end_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_text(evidence("a").model_dump_json())

    assert [record.check for record in read(path).records] == ["a"]
    assert not read(path).truncated


def test_nothing_is_glued_to_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b'{"check": "a"')

    with pytest.raises(EvidenceError, match="last line is cut"), EvidenceStore(path):
        pass
    assert path.read_bytes() == b'{"check": "a"'


def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    good = evidence().model_dump_json()
    path.write_text(f'{good}\n{{"check": "a", "subject": "b"}}\n{good}\n')

    with pytest.raises(EvidenceError, match=r"evidence\.jsonl:2: .*asked: Field required"):
        read(path)


def test_a_line_separator_inside_a_reason_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store:
        store.append(evidence(reason="before\u2028after\nnext\x85"))

    assert read(path).records[0].reason == "before\u2028after\nnext\x85"


def test_a_file_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"none\.jsonl: cannot be read"):
        read(tmp_path / "none.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_names_the_file_and_what_to_do() -> None:
    with (
        pytest.raises(EvidenceError, match=r"/dev/full: .*config\.drift.* disk is full: free some"),
        EvidenceStore(Path("/dev/full")) as store,
    ):
        store.append(evidence())


def test_a_line_that_did_not_fit_leaves_no_half_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with EvidenceStore(path) as store:
        store.append(evidence("a"))
        whole = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
        try:
            with pytest.raises(
                EvidenceError, match=r"ulimit -f.* What was appended before is kept"
            ):
                store.append(evidence("b"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == whole
        store.append(evidence("c"))

    assert [record.check for record in read(path).records] == ["a", "c"]


def test_a_directory_in_the_way_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="choose another path"), EvidenceStore(tmp_path):
        pass


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence.jsonl")
    with pytest.raises(EvidenceError, match="closed"):
        store.append(evidence())


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(tmp_path: Path, number: float) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store, pytest.raises(EvidenceError, match="measures nothing"):
        store.append(evidence(value=number))
    assert path.read_bytes() == b""


def test_an_interval_may_be_open_to_one_side(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store:
        store.append(evidence(value=3.5, interval=(1.0, math.inf)))

    assert read(path).records[0].interval == (1.0, math.inf)


def test_bytes_that_are_no_text_are_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with EvidenceStore(path) as store, pytest.raises(EvidenceError, match="backslashreplace"):
        store.append(evidence(reason=b"\xff".decode(errors="surrogateescape")))
    assert path.read_bytes() == b""


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    value=st.one_of(
        st.none(), st.integers(), text, st.floats(allow_nan=False, allow_infinity=False)
    ),
    reason=text,
    verdict=st.sampled_from(Verdict),
    interval=st.none() | st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
)
def test_a_record_survives_the_file_unchanged(
    tmp_path_factory: pytest.TempPathFactory,
    value: object,
    reason: str,
    verdict: Verdict,
    interval: tuple[float, float] | None,
) -> None:
    path = tmp_path_factory.mktemp("store") / "evidence.jsonl"
    record = evidence(value=value, reason=reason, verdict=verdict, interval=interval)
    with EvidenceStore(path) as store:
        store.append(record)

    (found,) = read(path).records
    assert found == record
    assert type(found.value) is type(record.value)
