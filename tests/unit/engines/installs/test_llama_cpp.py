from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import llama_cpp_build as build
from harness.engines.installs.errors import InstallError
from harness.engines.installs.llama_cpp import LlamaCpp
from harness.engines.installs.machine import Machine
from harness.process.command import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Script

FULL = "sse4_2 avx avx2 fma f16c bmi2"


def llama(**machine: object) -> LlamaCpp:
    given: dict[str, object] = {"architecture": "x86_64", **machine}
    return LlamaCpp(name="llama-cpp", summary="", disk_mb=1, machine=Machine(**given))  # type: ignore[arg-type]


def test_the_folder_names_the_instruction_sets(cpuinfo: Callable[[str], Path]) -> None:
    engine = llama(cpuinfo=cpuinfo(f"{FULL} avx512f"))
    assert "-x86_64-sse4_2-avx-avx2-fma-f16c-bmi2-" in engine.location().name


def test_a_cache_moved_to_a_lesser_machine_is_another_folder(
    cpuinfo: Callable[[str], Path],
) -> None:
    here = llama(cpuinfo=cpuinfo(FULL)).location()
    there = llama(cpuinfo=cpuinfo("sse4_2 avx")).location()
    assert here != there
    assert "-sse4_2-avx-glibc" in there.name
    assert "-baseline-" in llama(cpuinfo=cpuinfo("")).location().name


def test_what_the_processor_lacks_is_switched_off(cpuinfo: Callable[[str], Path]) -> None:
    options = llama(cpuinfo=cpuinfo("sse4_2 avx"))._instruction_options()
    assert options["GGML_AVX"] == "ON"
    assert options["GGML_AVX2"] == options["GGML_FMA"] == "OFF"
    assert llama(architecture="aarch64")._instruction_options() == {}


@pytest.mark.parametrize("there", [[], ["cc"], ["c++"]])
def test_a_missing_compiler_is_told_before_anything_is_downloaded(
    there: list[str], script: Script, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    for name in there:
        script(name)
    engine = llama(search_path=str(bin_folder))
    with pytest.raises(InstallError, match=r"apt install g\+\+") as caught:
        engine.install()
    assert caught.value.id == "install.compiler"
    assert engine.state() == "absent"


def test_a_compiler_named_in_the_environment_is_one(
    script: Script, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "zig cc")
    monkeypatch.setenv("CXX", "zig c++")
    assert llama(search_path=str(bin_folder))._refusal() is None
    monkeypatch.delenv("CC")
    monkeypatch.delenv("CXX")
    script("gcc")
    script("g++")
    assert llama(search_path=str(bin_folder))._refusal() is None


def test_cmake_of_the_system_is_used_where_it_is_recent(
    script: Script, bin_folder: Path, tmp_path: Path
) -> None:
    script("cmake", "echo cmake version 3.25.1")
    script("ninja")
    env = llama(search_path=str(bin_folder))._environment(tmp_path, lambda _: None)
    assert env["PATH"] == str(bin_folder)


@pytest.mark.parametrize("version", ["3.18.4", None])
def test_an_old_or_missing_cmake_is_taken_from_the_lock(
    version: str | None,
    script: Script,
    bin_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # found out without a download
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    if version is not None:
        script("cmake", f"echo cmake version {version}")
        script("ninja")
    said: list[str] = []
    with pytest.raises(RuntimeError, match=r"cmake==|ninja=="):
        llama(search_path=str(bin_folder))._environment(tmp_path, said.append)
    assert "taking them as wheels" in said[0]


def archive(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for name, text in [
            ("package-1.0/README", "not this"),
            ("package-1.0/vendor/llama.cpp/CMakeLists.txt", "project(x)"),
            ("package-1.0/vendor/llama.cpp-other/file", "nor this"),
            ("package-1.0/vendor/llama.cpp/src/a.cpp", "int main;"),
        ]:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    return path


def test_only_the_tree_of_llama_cpp_is_unpacked(tmp_path: Path) -> None:
    tree = build.tree(archive(tmp_path / "x.tar.gz"), tmp_path)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()) == [
        "CMakeLists.txt",
        "src/a.cpp",
    ]
    assert [path.name for path in tmp_path.glob("unpack*")] == []


def test_what_was_unpacked_is_not_unpacked_again(tmp_path: Path) -> None:
    first = build.tree(archive(tmp_path / "x.tar.gz"), tmp_path)
    (first / "made").write_text("by ninja")
    (tmp_path / "x.tar.gz").write_text("not even an archive")
    assert (build.tree(tmp_path / "x.tar.gz", tmp_path) / "made").exists()


def test_a_source_of_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    version = llama().version
    archive(tmp_path / f"llama_cpp_python-{version}.tar.gz")
    with pytest.raises(CommandError, match="DO NOT MATCH THE HASHES"):
        build.source(Path(sys.executable), tmp_path / "work", os.environ, lambda _: None)
    assert not list((tmp_path / "work").rglob("*.tar.gz"))


def compiled(folder: Path, bin_folder: Path, said: list[str]) -> Path:
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin"}
    options = {"GGML_NATIVE": "OFF"}
    return build.compile_server(folder, folder, options=options, jobs=3, env=env, say=said.append)


def test_the_compilation_is_told_in_percent(
    script: Script, bin_folder: Path, tmp_path: Path
) -> None:
    script(
        "cmake",
        'case "$*" in *--build*) for i in 1 2 3 50 100; do echo "[$i/100] Building x"; done;; '
        f'*) echo "$*" > {tmp_path}/configured;; esac',
    )
    said: list[str] = []
    assert compiled(tmp_path, bin_folder, said) == tmp_path / "build" / "bin"
    assert said == [
        "  compiling llama.cpp, 3 at a time",
        "  compiled 50 % (50 of 100)",
        "  compiled 100 % (100 of 100)",
    ]
    assert "-DGGML_NATIVE=OFF" in (tmp_path / "configured").read_text()


def test_what_the_compiler_says_last_is_shown(
    script: Script, bin_folder: Path, tmp_path: Path
) -> None:
    script("cmake", 'case "$*" in *--build*) echo "[1/9] a"; echo "a.cpp:1: error"; exit 1;; esac')
    with pytest.raises(CommandError, match=r"a\.cpp:1: error"):
        compiled(tmp_path, bin_folder, [])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A tree of three small files; one takes its time to compile until there is a file `go`."""
    machine = Machine()
    if not all(machine.program(name) for name in ("cmake", "ninja", "c++")):
        pytest.skip("needs cmake, ninja and c++ on PATH")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(x CXX)\n"
        "set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\n"
        "set(CMAKE_CXX_COMPILER_LAUNCHER sh ${CMAKE_SOURCE_DIR}/slow.sh)\n"
        "add_executable(llama-server a.cpp b.cpp c.cpp)\n"
    )
    (folder / "a.cpp").write_text("int main() {}")
    (folder / "b.cpp").write_text("int b;")
    (folder / "c.cpp").write_text("int c;")
    (folder / "slow.sh").write_text(
        'case "$*" in */c.cpp*) test -e "${0%/*}/go" || sleep 600;; esac\nexec "$@"\n'
    )
    return folder


def really_compiled(folder: Path, say: Callable[[str], object]) -> Path:
    return build.compile_server(folder, folder, options={}, jobs=2, env=os.environ, say=say)


def test_ninja_goes_on_where_it_was_stopped(project: Path) -> None:
    def stop(line: str) -> None:
        if "compiled" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        really_compiled(project, stop)
    (project / "go").touch()
    steps: list[str] = []
    assert run([really_compiled(project, steps.append) / "llama-server"]) == []
    assert steps[-1].endswith(("(3 of 3)", "(2 of 2)"))  # of 4 at first


def test_a_build_that_was_moved_since_begins_afresh(project: Path, tmp_path: Path) -> None:
    (project / "go").touch()
    really_compiled(project, lambda _: None)
    moved = tmp_path / "elsewhere"
    project.rename(moved)
    steps: list[str] = []
    assert run([really_compiled(moved, steps.append) / "llama-server"]) == []
    assert steps[-1].endswith("(4 of 4)")
