"""What judges a gateway does not know which one it is."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.evidence import Verdict
from harness.gate import draft_policy
from harness.gateway import kinds
from harness.registry import RegistryError, load
from harness.session import Options, run

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parents[2] / "config"
PLAIN = Path(__file__).with_name("plain_gateway.py")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped sources, which name the other gateway."""
    folder = tmp_path / "config"
    folder.mkdir()
    for name in ("providers.yaml", "model-mappings.yaml", "ports.yaml"):
        shutil.copy(CONFIG / name, folder)
    mappings = yaml.safe_load((folder / "model-mappings.yaml").read_text())
    mappings["gateway"]["type"] = "plain"
    (folder / "model-mappings.yaml").write_text(yaml.safe_dump(mappings, sort_keys=False))
    return folder


@pytest.fixture
def _added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its one file, beside those of the gateways there are."""
    (tmp_path / "kinds").mkdir()
    shutil.copy(PLAIN, tmp_path / "kinds" / "plain.py")
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path / "kinds")])
    yield
    sys.modules.pop("harness.gateway.kinds.plain", None)


def test_a_gateway_nobody_has_written_is_an_error_with_its_place(config: Path) -> None:
    with pytest.raises(RegistryError) as raised:
        kinds.kind(load(config))
    (finding,) = raised.value.findings
    assert finding.rule == "GW403"
    assert finding.file.endswith("model-mappings.yaml")
    line = (config / "model-mappings.yaml").read_text().splitlines()[finding.line - 1]
    assert line.strip() == "type: plain"


@pytest.mark.apart
@pytest.mark.usefixtures("_added")
def test_another_gateway_is_one_file_and_its_chains_are_killed_like_any(
    config: Path, tmp_path: Path
) -> None:
    registry = load(config)
    (config / "gates.yaml").write_text(draft_policy(registry))
    (config / "deviations.yaml").write_text("deviations: []\n")
    options = Options(config=config, out=tmp_path / "out", phases=("routes", "fallback"))

    outcome = asyncio.run(run(options))

    assert outcome.trouble == ""
    cells = [one for one in outcome.evidence if one.check == "fallback.kill-matrix"]
    assert len(cells) == 2**3
    found = {one.check for one in outcome.evidence}
    assert found >= {"fallback.kill-matrix", "route.answered-by", "route.refused"}
    assert [one for one in outcome.evidence if one.verdict is not Verdict.PASS] == []
    assert outcome.run.versions["plain"] == "1"
    assert "litellm" not in outcome.run.versions
