"""The real vLLM server, on a CPU or a GPU."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.engines.emulator import dialects
from harness.engines.real.base import RealServer, broken_model, require_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.engines.engine import Capabilities

KEY_VARIABLE = "VLLM_API_KEY"
"""Read by the server itself (vLLM, envs.py)."""
_TOKENS = re.compile(r"KV cache size:\s*([\d,]+)\s*tokens")
_CONCURRENCY = re.compile(
    r"Maximum concurrency for ([\d,]+) tokens per request:\s*([\d.]+)\s*x", re.IGNORECASE
)
_LONGEST_START = 400
"""Lines of a start; the capacity stands among the last fifty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What vLLM says of its KV cache at the start.

    ``concurrency`` is how many requests of ``context_length`` tokens fit at a time; ``tokens`` all
    of the cache, None where a release does not print it.
    """

    context_length: int
    concurrency: float
    tokens: int | None


def capacity(log: str) -> Capacity | None:
    """The last capacity in the log of a start; None if there is none.

    Releases print ``GPU KV cache size: N tokens`` and ``Maximum concurrency for N tokens per
    request: N.NNx`` on two lines or on one, with ``CPU`` on a CPU (vLLM, kv_cache_utils.py).
    """
    found = list(_CONCURRENCY.finditer(log))
    if not found:
        return None
    sizes = _TOKENS.findall(log, 0, found[-1].start())
    return Capacity(
        context_length=_number(found[-1][1]),
        concurrency=float(found[-1][2]),
        tokens=_number(sizes[-1]) if sizes else None,
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


class Vllm(RealServer):
    """One model under one or several names, batched over a paged KV cache of ``blocks`` blocks.

    4305 blocks of 32 tokens hold 33.63 requests of 4,096 tokens. CPU attention takes blocks of a
    multiple of 32. An answer never exceeds ``longest_answer`` tokens, asked for or not; None sets
    no such limit, and then a request without ``max_tokens`` fills the context. `capacity` is what
    the server said of its cache, known once it is ready.
    """

    program: ClassVar[str] = "vLLM"
    installation: ClassVar[str] = "vllm"
    ready_s: float = 240.0
    start_s: float = 35.0
    grace_s: ClassVar[float] = 10.0

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        python: Path,
        model: Path,
        served_as: Sequence[str],
        directory: Path,
        context_length: int = 4096,
        block_size: int = 32,
        blocks: int | None = 4305,
        longest_answer: int | None = 256,
        options: Sequence[str] = (),
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """``options`` are further words of the command line, such as a scheduling policy."""
        super().__init__(
            id, executable=python, directory=directory, api_key=api_key, host=host, port=port
        )
        self.model, self.served_as = model.absolute(), tuple(served_as)
        self.capabilities: Capabilities = dialects.load("vllm").capabilities
        self.capacity: Capacity | None = None
        self._context, self._block_size, self._blocks = context_length, block_size, blocks
        self._longest, self._options = longest_answer, tuple(options)

    @property
    def health(self) -> str:
        """Answers once the model is loaded; open without a key."""
        return "/health"

    def check(self) -> None:
        """Refuse a folder that holds no model."""
        require_names(self.id, self.served_as)
        try:
            json.loads((self.model / "config.json").read_bytes())
        except (OSError, ValueError) as error:
            raise broken_model(self.id, self.model, f"its config.json: {error}") from error
        if not any(self.model.glob("*.safetensors")):
            raise broken_model(self.id, self.model, "it holds no *.safetensors")

    def command(self) -> list[str]:
        """The server as a module: its script needs package metadata that CPU builds lack."""
        options = {
            "--model": self.model,
            "--host": self.host,
            "--port": self.port,
            "--max-model-len": self._context,
            "--block-size": self._block_size,
        }
        if self._blocks is not None:
            options["--num-gpu-blocks-override"] = self._blocks
        if self._longest is not None:
            limit = json.dumps({"max_new_tokens": self._longest})
            options["--override-generation-config"] = limit
        words = [str(word) for option in options.items() for word in option]
        return [
            str(self.executable),
            "-m",
            "vllm.entrypoints.openai.api_server",
            *words,
            "--enforce-eager",
            *self._options,
            "--served-model-name",
            *self.served_as,
        ]

    def environment(self) -> dict[str, str]:
        """One thread on any core, 1 GiB of cache, and its key."""
        key = {KEY_VARIABLE: self._api_key} if self._api_key else {}
        return {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", **key}

    async def ready(self, timeout_s: float | None = None) -> None:
        """Return once the model is loaded; see `RealServer.ready`."""
        await super().ready(timeout_s)
        self.capacity = capacity(self.log_tail(_LONGEST_START))

    async def discover(self) -> str:
        """What ``/version`` says, such as ``0.32.0``."""
        said = await self._ask("/version")
        return str(said.get("version", "")) if isinstance(said, dict) else ""
