from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from harness.evidence import Verdict
from harness.registry import load
from harness.session.sources import judge_leaks, judge_sources

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    copy = tmp_path / "config"
    shutil.copytree(ROOT / "config", copy)
    return copy


def test_shipped_sources_and_generated_files_pass(config: Path) -> None:
    found = list(judge_sources(config, load(config)))
    assert {one.verdict for one in found} == {Verdict.PASS}
    assert {one.check for one in found} == {"config.schema", "config.drift"}


def test_a_source_changed_without_generating_is_drift(config: Path) -> None:
    mappings = config / "model-mappings.yaml"
    mappings.write_text(mappings.read_text().replace("cooldown_s: 3", "cooldown_s: 4"))
    failed = [one for one in judge_sources(config, load(config)) if one.verdict is Verdict.FAIL]
    assert {one.subject for one in failed} == {"litellm-unified.yaml", "litellm-unified.env"}
    assert all("harness generate" in one.reason for one in failed)


def test_a_secret_inside_a_compressed_recording_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "traffic.gz").write_bytes(gzip.compress(b"authorization: sk-canary"))
    found = judge_leaks({"run": tmp_path}, {"MASTER": "sk-canary"})
    assert found.verdict is Verdict.FAIL
    assert found.reason == "MASTER in run/sub/traffic.gz"


def test_files_without_secrets_pass_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("plain")
    (tmp_path / "b").write_text("also plain")
    found = judge_leaks({"run": tmp_path}, {"MASTER": "sk-canary"})
    assert (found.verdict, found.value) == (Verdict.PASS, 2)
