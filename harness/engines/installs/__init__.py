"""What the real engines need, each in a folder of its own in the user's cache, built once.

``KNOWN["llama-cpp"].program("llama-server")`` is the path of a program, or an error with the
command that installs it. Standard library only; nothing here starts a server.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.engines.installs.errors import EXPLAINED, InstallError
from harness.engines.installs.installation import Installation
from harness.engines.installs.llama_cpp import LlamaCpp
from harness.engines.installs.prometheus import Prometheus
from harness.engines.installs.valkey import Valkey
from harness.engines.installs.vllm import Vllm

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXPLAINED", "KNOWN", "InstallError", "Installation"]

KNOWN: Mapping[str, Installation] = MappingProxyType(
    {
        each.name: each
        for each in (
            LlamaCpp(
                name="llama-cpp",
                summary="llama-server and the python server, from one compilation",
                disk_mb=600,
                temporary_mb=300,
                minutes=4,
            ),
            Vllm(
                name="vllm",
                summary="vLLM on the CPU",
                disk_mb=2_700,
                temporary_mb=1_000,
                minutes=3,
            ),
            Valkey(name="valkey", summary="the gateway's Redis", disk_mb=10),
            Prometheus(name="prometheus", summary="Prometheus and promtool", disk_mb=130),
        )
    }
)
"""Every installation by name, the everyday ones and the heavy one in the order of a listing."""
