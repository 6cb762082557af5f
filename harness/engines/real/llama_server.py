"""The real ``llama-server`` of llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.engines.emulator import dialects
from harness.engines.real.base import RealServer, require_gguf, require_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.engines.engine import Capabilities

KEY_VARIABLE = "LLAMA_API_KEY"
"""Read by the server itself (llama.cpp, common/arg.cpp)."""


class LlamaServer(RealServer):
    """One model under one or several names, ``slots`` answers at a time, the rest queued.

    Each slot has the whole ``context_length``. A request without ``max_tokens`` gets
    ``longest_answer`` tokens: a random model never ends by itself.
    """

    program: ClassVar[str] = "llama-server"
    installation: ClassVar[str] = "llama-cpp"
    start_s: float = 0.1

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        executable: Path,
        model: Path,
        served_as: Sequence[str],
        directory: Path,
        context_length: int = 4096,
        slots: int = 4,
        longest_answer: int = 256,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(
            id, executable=executable, directory=directory, api_key=api_key, host=host, port=port
        )
        self.model, self.served_as = model.absolute(), tuple(served_as)
        self.capabilities: Capabilities = dialects.load("llama_cpp_native").capabilities
        self._context, self._slots, self._longest = context_length, slots, longest_answer

    @property
    def health(self) -> str:
        """Answers 503 while the model loads; open without a key."""
        return "/health"

    def check(self) -> None:
        """Refuse a file that is no GGUF."""
        require_names(self.id, self.served_as)
        require_gguf(self.id, self.model)

    def command(self) -> list[str]:
        """One thread, metrics, no web page."""
        options = {
            "--model": self.model,
            "--alias": ",".join(self.served_as),
            "--host": self.host,
            "--port": self.port,
            "--ctx-size": self._context * self._slots,
            "--parallel": self._slots,
            "--threads": 1,
            "--predict": self._longest,
        }
        words = [str(word) for option in options.items() for word in option]
        return [str(self.executable), *words, "--metrics", "--no-ui", "--offline"]

    def environment(self) -> dict[str, str]:
        """Its key, if it has one."""
        return {KEY_VARIABLE: self._api_key} if self._api_key else {}

    async def discover(self) -> str:
        """``build_info`` of ``/props``, such as ``b1-0c1e570``."""
        props = await self._ask("/props")
        return str(props.get("build_info", "")) if isinstance(props, dict) else ""
