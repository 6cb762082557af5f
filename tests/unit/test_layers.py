"""The floors of ARCHITECTURE.md hold, and each way to break them is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(project: Path) -> tuple[int, str]:
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", "pyproject.toml"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, in a folder where they may be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def plant(project: Path, room: str, statement: str) -> None:
    """Let a new module of ``room`` do ``statement``; rooms not written yet are made."""
    for name in (room, *statement.split()[1:2]):
        if name.startswith("litellm"):
            continue
        folder = project.joinpath(*name.split("."))
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
    (project.joinpath(*room.split(".")) / "planted.py").write_text(f"{statement}\n")


def test_every_import_points_down() -> None:
    status, output = lint(ROOT)
    assert status == 0, output


@pytest.mark.parametrize(
    ("room", "statement", "broken"),
    [
        pytest.param("harness.wire", "import harness.cli", "Imports point down", id="upward"),
        pytest.param("harness.load", "import harness.chaos", "Imports point down", id="judges"),
        pytest.param("harness.report", "import harness.gate", "Imports point down", id="deciding"),
        pytest.param("harness.claims", "import harness.report", "Imports point down", id="claims"),
        pytest.param("harness.wire", "import harness.evidence", "Imports point down", id="ground"),
        pytest.param("harness.routing", "import harness.gateway", "Imports point down", id="asked"),
        pytest.param("harness.engines", "import harness.routing", "only the gateway", id="engine"),
        pytest.param("harness.gateway", "import harness.faults", "only engines", id="fault"),
        pytest.param("harness.attic", "import harness.wire", "Imports point down", id="unplaced"),
        pytest.param("harness.gateway", "import litellm", "never an import", id="litellm"),
        pytest.param(
            "harness.gateway", "import litellm.router", "never an import", id="litellm.router"
        ),
    ],
)
def test_a_planted_import_breaks_its_contract(
    copy: Path, room: str, statement: str, broken: str
) -> None:
    plant(copy, room, statement)
    status, output = lint(copy)
    assert status == 1, output
    assert any(broken in line for line in output.splitlines() if line.endswith("BROKEN")), output


@pytest.mark.parametrize(("room", "lower"), [("gateway", "routing"), ("engines", "faults")])
def test_two_rooms_may_ask_one_of_their_own_floor(copy: Path, room: str, lower: str) -> None:
    plant(copy, f"harness.{room}", f"import harness.{lower}")
    status, output = lint(copy)
    assert status == 0, output
