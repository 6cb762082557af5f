from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry import RegistryError, check, examine, load
from harness.registry.examples import sources
from harness.registry.load import SOURCES

CONFIG = Path(__file__).parents[3] / "config"


def write(folder: Path, example: str = "{}") -> Path:
    for name, content in sources(example).items():
        (folder / name).write_bytes(content)
    return folder


def test_good_sources_load(tmp_path: Path) -> None:
    assert load(write(tmp_path)).public_models == ("tiny",)


def test_errors_of_all_files_come_together_syntax_beside_schema(tmp_path: Path) -> None:
    write(tmp_path, "model-mappings.yaml: {resilience: {retries: x}}")
    (tmp_path / "providers.yaml").write_text("a: [")
    (tmp_path / "ports.yaml").unlink()
    with pytest.raises(RegistryError) as error:
        load(tmp_path)
    assert [Path(f.file).name + f" {f.rule}" for f in error.value.findings] == [
        "model-mappings.yaml GW022",
        "ports.yaml GW001",
        "providers.yaml GW008",
    ]


def test_a_finding_names_the_file_as_it_was_given(tmp_path: Path) -> None:
    write(tmp_path, "ports.yaml: {host: 0.0.0.0}")
    (finding,) = check(tmp_path)
    assert str(finding).startswith(f"{tmp_path / 'ports.yaml'}:1:7  GW141  ")


def test_warnings_are_found_but_do_not_stop_the_load(tmp_path: Path) -> None:
    write(tmp_path, "model-mappings.yaml: {resilience: {retries: 1}}")
    assert [(f.rule, f.severity) for f in check(tmp_path)] == [("GW124", "warning")]
    assert load(tmp_path).resilience.retries == 1


def test_a_missing_folder_is_three_missing_files(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as error:
        load(tmp_path / "nowhere")
    assert [finding.rule for finding in error.value.findings] == ["GW001"] * 3
    assert "No such file or directory" in str(error.value)


def test_a_folder_or_a_pipe_in_place_of_a_file_is_reported_not_waited_for(tmp_path: Path) -> None:
    import os  # noqa: PLC0415  only here

    write(tmp_path)
    (tmp_path / "ports.yaml").unlink()
    (tmp_path / "ports.yaml").mkdir()
    (tmp_path / "providers.yaml").unlink()
    os.mkfifo(tmp_path / "providers.yaml")
    findings = check(tmp_path)
    assert [(f.rule, f.message) for f in findings] == [("GW001", "This is not a regular file.")] * 2


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "ports.yaml").write_bytes(b"# x\n" * (10 * 1024 * 1024 // 4))
    assert [finding.rule for finding in check(tmp_path)] == ["GW002"]


def test_a_byte_order_mark_only_warns(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "ports.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [finding.rule for finding in check(tmp_path)] == ["GW004"]
    load(tmp_path)


SHIPPED = {name: (CONFIG / name).read_bytes() for name in SOURCES}


@settings(deadline=None, max_examples=100)
@given(st.fixed_dictionaries({}, optional={name: st.binary(max_size=300) for name in SOURCES}))
def test_arbitrary_bytes_give_findings_and_nothing_else(files: dict[str, bytes]) -> None:
    registry, findings = examine(files)
    assert registry is None
    assert findings == sorted(findings)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_the_shipped_files_with_anything_changed_give_findings_or_load(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SOURCES))
    text = SHIPPED[name]
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 30))
    insert = data.draw(
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [b"\t", b"\n", b": ", b"- ", b"[", b"}", b"&a ", b"*a", b"~", b"'", b"0"]
            ),
        )
    )
    changed = text[:start] + insert + text[start + length :]
    registry, findings = examine(SHIPPED | {name: changed})
    assert (registry is None) == any(finding.severity == "error" for finding in findings)
    assert all(finding.remedy and "\n" not in str(finding) for finding in findings)
