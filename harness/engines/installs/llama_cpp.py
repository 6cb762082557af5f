"""Both servers of llama.cpp, from one compilation of one source tree."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from harness.engines.installs import llama_cpp_build as build
from harness.engines.installs.errors import InstallError
from harness.engines.installs.installation import WORK, Installation
from harness.engines.installs.locks import fingerprint_of, lock, pinned
from harness.process.command import run
from harness.process.venv import ensure, python_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_SETS = {
    "sse4_2": "GGML_SSE42",
    "avx": "GGML_AVX",
    "avx2": "GGML_AVX2",
    "fma": "GGML_FMA",
    "f16c": "GGML_F16C",
    "bmi2": "GGML_BMI2",
}
"""Instruction sets, as Linux names them, that the build uses where every core has them. No more,
although a CPU may have AVX-512: the same greedy text on most machines is worth more here."""

_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_BUILD_RPATH_USE_ORIGIN": "ON",  # the folder may be moved: a restored CI cache, say
    "BUILD_SHARED_LIBS": "ON",  # the python server loads the same libraries
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",  # else the build downloads a web page
    "LLAMA_OPENSSL": "OFF",
    "GGML_NATIVE": "OFF",
    # The source is a submodule without its repository: the server would call itself b0-unknown.
    "LLAMA_BUILD_NUMBER": "1",
    "LLAMA_BUILD_COMMIT": "0c1e570",
}
_OLDEST_CMAKE = (3, 21)  # llama-cpp-python's own demand, the higher one


class LlamaCpp(Installation):
    """``llama-server``, and a Python whose ``llama_cpp.server`` loads the same libraries.

    The python package finds them through ``LLAMA_CPP_LIB_PATH``, which is `libraries`.
    """

    @property
    def version(self) -> str:
        """Version of llama-cpp-python; its source carries the llama.cpp tree that is built."""
        return pinned("llama-cpp-source", "llama-cpp-python")

    def edition(self) -> str:
        """Version, instruction sets, C library, and by fingerprint options, locks and Python."""
        sets = "-".join(self.instruction_sets()) or "baseline"
        ours = f"{fingerprint_of('llama-cpp', tag=None)} {sorted(_OPTIONS.items())}"
        locks = fingerprint_of("llama-cpp", "llama-cpp-source", tag=ours)
        architecture, libc = self.machine.architecture, self.machine.libc()
        return f"{self.version}-{architecture}-{sets}-{libc}-{locks}"

    def instruction_sets(self) -> list[str]:
        """Those of this machine that the build uses."""
        flags = self.machine.cpu_flags()
        return [name for name in _SETS if name in flags]

    def programs(self) -> Mapping[str, Path]:
        """``llama-server``, and ``python`` for ``python -m llama_cpp.server``."""
        location = self.location()
        return {
            "llama-server": location / "bin" / "llama-server",
            "python": python_of(location / "venv"),
        }

    def libraries(self) -> Path:
        """The folder for ``LLAMA_CPP_LIB_PATH``. Raises InstallError if it is not installed."""
        return self.program("llama-server").parent

    def _refusal(self) -> InstallError | None:
        compilers = [
            os.environ.get(variable) or self.machine.program(*names)
            for variable, names in (("CC", ("cc", "gcc", "clang")), ("CXX", ("c++", "g++")))
        ]
        if None not in compilers:
            return None
        return InstallError(
            "install.compiler",
            f"{self.name} is published as source only, and on PATH there is no C compiler (cc) or "
            f"no C++ compiler (c++ or g++). Install them (Debian and Ubuntu: apt install g++) or "
            f"name yours in $CC and $CXX, then run this again. Nothing was downloaded.",
        )

    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        work = location / WORK
        work.mkdir(exist_ok=True)
        python = ensure(location / "venv", lock("llama-cpp"), say=say)
        env = self._environment(work, say)
        archive = build.source(python, work, env, say)
        built = build.compile_server(
            build.tree(archive, work),
            work,
            options={**_OPTIONS, **self._instruction_options()},
            jobs=self.machine.jobs(),
            env=env,
            say=say,
        )
        shutil.rmtree(location / "bin", ignore_errors=True)
        shutil.copytree(built, location / "bin", symlinks=True)
        say("  installing the python server on the same libraries")
        build.bind(python, work, env)

    def _instruction_options(self) -> dict[str, str]:
        if self.machine.architecture != "x86_64":
            return {}
        used = self.instruction_sets()
        return {option: "ON" if name in used else "OFF" for name, option in _SETS.items()}

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        programs = self.programs()
        libraries = f"LLAMA_CPP_LIB_PATH={programs['llama-server'].parent}"
        return [
            [programs["llama-server"], "--version"],
            ["env", libraries, programs["python"], "-c", "import llama_cpp.server.app"],
        ]

    def _environment(self, work: Path, say: Callable[[str], object]) -> dict[str, str]:
        """Our environment, with a PATH that has cmake and ninja: the system's, or our own."""
        env = dict(os.environ)
        if self.machine.search_path is not None:
            env["PATH"] = self.machine.search_path
        cmake = self.machine.program("cmake")
        if cmake is None or not self.machine.program("ninja") or _age(cmake) < _OLDEST_CMAKE:
            say("  no recent cmake and ninja on PATH: taking them as wheels, for this only")
            tools = ensure(work / "tools", lock("build-tools"), say=say).parent
            env["PATH"] = f"{tools}{os.pathsep}{env.get('PATH', os.defpath)}"
        return env


def _age(cmake: Path) -> tuple[int, int]:
    found = re.search(r"version (\d+)\.(\d+)", "".join(run([cmake, "--version"])))
    return (int(found[1]), int(found[2])) if found else (0, 0)
