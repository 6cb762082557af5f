"""What docs/extending.md shows is what works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import harness.contract.checks
from harness.contract import check
from harness.contract.check import find
from harness.contract.lane import judge
from harness.contract.mutants import mutants
from harness.evidence import Verdict
from harness.gate import load_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.contract.lane import Observations

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PROFILE, CHECK, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(GATES,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The check of the page, found like any other."""
    (tmp_path / "mine.py").write_text(CHECK, encoding="utf-8")
    monkeypatch.setattr(harness.contract.checks, "__path__", [str(tmp_path)])
    monkeypatch.setattr(check, "_registry", dict(check._registry))
    check.modules.cache_clear()
    yield
    sys.modules.pop("harness.contract.checks.mine", None)
    check.modules.cache_clear()


@pytest.mark.usefixtures("_mine")
def test_a_check_and_its_mutant_are_one_file(good: Observations) -> None:
    (mutant,) = (each for each in mutants() if each.check == "mine.created")
    (passes,) = judge(good, [find("mine.created")])
    (fails,) = judge(mutant.breaks(good), [find("mine.created")])

    assert (passes.verdict, fails.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_a_profile_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        PROFILE
        + """
from harness.load.profiles import Target

found = mine(Setting(targets=(Target(name="m", context=99, providers=("e",)),)))
print(LoadUser.__name__, found.ask(0).model)
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "mine.py"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["m"]), done.stderr


def test_a_gate_is_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(GATES, encoding="utf-8")

    assert [gate.id for gate in load_policy(path).gates] == ["first-token"]
