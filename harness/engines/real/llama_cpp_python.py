"""The real server of the Python bindings of llama.cpp, ``python -m llama_cpp.server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.engines.emulator import dialects
from harness.engines.real.base import RealServer, require_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from harness.engines.engine import Capabilities


class LlamaCppPython(RealServer):
    """One model under one name, one answer at a time.

    ``libraries`` is the folder of the llama.cpp build it uses. Without
    ``--interrupt_requests false`` a second request would cut the stream of the first.
    """

    program: ClassVar[str] = "llama_cpp.server"
    installation: ClassVar[str] = "llama-cpp"
    start_s: float = 1.0
    needs_key: ClassVar[bool] = True

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        python: Path,
        libraries: Path,
        model: Path,
        served_as: str,
        directory: Path,
        context_length: int = 4096,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(
            id, executable=python, directory=directory, api_key=api_key, host=host, port=port
        )
        self.model, self.served_as, self.libraries = model.absolute(), served_as, libraries
        self.capabilities: Capabilities = dialects.load("llama_cpp_python").capabilities
        self._context = context_length

    @property
    def health(self) -> str:
        """It has no health path; the list of models is the cheapest that works."""
        return "/v1/models"

    def check(self) -> None:
        """Refuse a file that is no GGUF."""
        require_gguf(self.id, self.model)

    def command(self) -> list[str]:
        """One thread, requests queued."""
        options = {
            "--model": self.model,
            "--model_alias": self.served_as,
            "--host": self.host,
            "--port": self.port,
            "--n_ctx": self._context,
            "--n_threads": 1,
            "--verbose": "false",
            "--interrupt_requests": "false",
        }
        words = [str(word) for option in options.items() for word in option]
        return [str(self.executable), "-m", "llama_cpp.server", *words]

    def environment(self) -> dict[str, str]:
        """Where its library lies, and its key (its settings read the environment)."""
        key = {"API_KEY": self._api_key} if self._api_key else {}
        return {"LLAMA_CPP_LIB_PATH": str(self.libraries), **key}

    async def discover(self) -> str:
        """The version in its OpenAPI document, that of the bindings."""
        document = await self._ask("/openapi.json")
        return str(document["info"]["version"]) if isinstance(document, dict) else ""
