from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.gateway.litellm_lint import lint_file
from harness.gateway.litellm_lint.files import lint_bytes

CONFIG = Path(__file__).parents[4] / "config"


def rules(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.write_text(text)
    return [finding.rule for finding in lint_file(path)]


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("config.yaml", "model_list: []\ncache: {}\n", "GW200"),
        ("any.name", "router_settings: {cooldown: 5}", "GW202"),
        ("config.json", '{"general_settings": {"masterkey": "os.environ/K"}}', "GW203"),
        ("alerts.yml", "groups: [{name: g, rules: [{alert: A, expr: litellm_x}]}]", "GW301"),
        ("board.json", '{"panels": [{"targets": [{"expr": "litellm_x"}]}]}', "GW301"),
        ("board", '{"dashboard": {"panels": [{"targets": [{"expr": "litellm_x"}]}]}}', "GW301"),
        ("board.json", '{"panels": ', "GW310"),
        ("other.yaml", "services: {a: 1}", "GW299"),
        ("other.json", '{"services": {}}', "GW299"),
        ("list.json", "[]", "GW310"),
        ("list.yaml", "[]", "GW007"),
        ("notes.txt", "just words", "GW007"),
    ],
)
def test_a_file_is_judged_as_what_it_is(name: str, text: str, rule: str, tmp_path: Path) -> None:
    assert rule in rules(tmp_path, name, text)


def test_our_own_sources_are_checked_by_their_own_rules(tmp_path: Path) -> None:
    for name in ("providers.yaml", "model-mappings.yaml", "ports.yaml"):
        shutil.copy(CONFIG / name, tmp_path / name)
    clean = lint_file(tmp_path)
    assert [each for each in clean if each.severity == "error"] == []
    (tmp_path / "ports.yaml").write_text("host: {")
    assert "GW008" in {each.rule for each in lint_file(tmp_path)}
    assert lint_file(tmp_path) == lint_file(tmp_path / "ports.yaml")


def test_a_gateway_file_beside_our_sources_is_judged_as_itself() -> None:
    files = {each.file for each in lint_file(CONFIG / "litellm-unified.yaml")}
    assert files <= {str(CONFIG / "litellm-unified.yaml")}


def test_a_folder_without_sources_is_not_clean(tmp_path: Path) -> None:
    assert [each.rule for each in lint_file(tmp_path)] == ["GW299"]


def test_the_remedy_for_an_unknown_file_names_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("services: {}")
    (finding,) = lint_file(path)
    assert "model_list" in finding.remedy
    assert "providers.yaml" in finding.remedy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json"]))
def test_any_bytes_under_any_name_are_answered(data: bytes, name: str) -> None:
    assert lint_bytes(Path(name), data)
