"""What holds for the repository as a whole: its files, its sessions, its locks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import nox.registry
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = (
    "requirements.lock",
    "nox.lock",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("harness/**/*.lock")),
)
SESSIONS = {
    *("gate", "tests", "unit", "contract", "integration"),
    *("engines", "load", "bench", "peers", "lint", "types", "lock"),
}
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home/(?!somebody\b)|root/|work/|Users/)\w")
PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)


def committed() -> list[Path]:
    """Files that are in the repository, or would be with the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def machine_paths(text: str) -> list[str]:
    return [line for line in text.splitlines() if MACHINE_PATH.search(line)]


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in PINNED.findall((ROOT / lock).read_text()):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def sessions() -> dict[str, str]:
    """Name and docstring of every session in the noxfile."""
    nox.registry.reset()
    spec = importlib.util.spec_from_file_location("planted_noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return {name: session.__doc__ or "" for name, session in nox.registry.get().items()}


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in committed()
        if (lines := machine_paths(path.read_text(errors="replace")))
    }
    assert not found


def test_a_machine_path_is_seen() -> None:
    home = "/home"
    assert machine_paths(f"cache = '{home}/ada/cache'")
    assert not machine_paths(f"GET http://localhost{home}/ada and reports/work/x")
    assert not machine_paths("/home/somebody is nobody's")


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for path in committed() if path.suffix == ".py" and "tests" not in path.parts]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert modules
    assert not {name: length for name, length in lengths.items() if length > 400}


def test_every_session_says_in_one_line_what_it_does() -> None:
    described = sessions()
    assert set(described) == SESSIONS
    assert not [name for name, text in described.items() if len(text.splitlines()) != 1]


def test_the_readme_lists_every_session() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in SESSIONS if f"`nox -s {name}" not in readme]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_install_from(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_carries_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert not [block.split()[0] for block in blocks if "--hash=sha256:" not in block]


def test_the_lock_satisfies_the_project() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = tables["project"]
    wanted = [
        *tables["build-system"]["requires"],
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    locked = pins("requirements.lock")
    for requirement in map(Requirement, wanted):
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not in requirements.lock; run `nox -s lock`"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}: {versions}"


def test_nox_is_the_same_inside_and_outside_the_shared_environment() -> None:
    everyday = pins("requirements.lock")
    assert not {
        name: versions for name, versions in pins("nox.lock").items() if versions != everyday[name]
    }
