"""The real Ollama of a machine that has one; no package registry does, so nothing installs it."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator import dialects
from harness.engines.real.asking import NoAnswer
from harness.engines.real.base import RealServer, broken_model, require_gguf, require_names
from harness.process.child import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.engine import Capabilities, EngineError

_CREATE_S = 60.0
_TEMPLATE = """\
{{- if .Tools }}<|im_start|>system
{{ if .System }}{{ .System }}

{{ end }}You can call these functions:
<tools>{{ range .Tools }}
{{ . }}{{ end }}
</tools>
To call one, answer with its name and arguments as JSON:
<tool_call>
{"name": <name>, "arguments": <arguments>}
</tool_call><|im_end|>
{{ else if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|assistant|>{{ .Content }}{{ range .ToolCalls }}
<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}<|im_end|>
{{ else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}{{ end }}<|assistant|>"""
"""The chat template of the tiny models in Ollama's language, which is Go's: it reads no Jinja, and
only guesses one of its own templates from the one in a GGUF file."""


def found() -> Path | None:
    """Where ``ollama`` is on the user's PATH; None if there is none."""
    program = shutil.which("ollama")
    return Path(program) if program else None


class Ollama(RealServer):
    """``ollama serve`` in a folder of its own: the user's models and settings are not touched.

    One GGUF file is created in it under every name of ``served_as``, by ``ollama create``.
    ``slots`` requests of a model are answered at a time, each with the whole ``context_length``;
    a request without a limit gets ``longest_answer`` tokens. Without a word of the request it
    answers greedily, and never on a GPU.
    """

    program: ClassVar[str] = "Ollama"
    installation: ClassVar[str] = ""
    start_s: float = 2.0
    ready_s: float = 60.0

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
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Ollama itself takes no key."""
        super().__init__(id, executable=executable, directory=directory, host=host, port=port)
        self.capabilities: Capabilities = dialects.load("ollama").capabilities
        self.model, self.served_as = model.absolute(), tuple(served_as)
        self._context, self._slots, self._longest = context_length, slots, longest_answer

    @property
    def health(self) -> str:
        """Answers as soon as it listens."""
        return "/api/version"

    def check(self) -> None:
        """Refuse a file that is no GGUF."""
        require_names(self.id, self.served_as)
        require_gguf(self.id, self.model)

    def command(self) -> list[str]:
        """The server; all it is told stands in its environment."""
        return [str(self.executable), "serve"]

    def environment(self) -> dict[str, str]:
        """Address, folder and limits (Ollama, envconfig/config.go)."""
        return {
            "OLLAMA_HOST": f"{self.host}:{self.port}",
            "OLLAMA_MODELS": str(self.home / "models"),
            "OLLAMA_NUM_PARALLEL": str(self._slots),
            "OLLAMA_MAX_LOADED_MODELS": str(len(self.served_as)),
            "OLLAMA_NOHISTORY": "1",
        }

    def modelfile(self) -> str:
        """What its models are created from (Ollama, Modelfile reference)."""
        settings = {
            "num_ctx": self._context,
            "num_predict": self._longest,
            "num_gpu": 0,
            "num_thread": 1,
            "temperature": 0,
            "repeat_penalty": 1,
        }
        lines = [f"PARAMETER {name} {value}" for name, value in settings.items()]
        return "\n".join([f"FROM {self.model}", *lines, f'TEMPLATE """{_TEMPLATE}"""', ""])

    async def ready(self, timeout_s: float | None = None) -> None:
        """Return once it answers and has every model; see `RealServer.ready`.

        Raises:
            EngineError: ``engine.model``, it did not take the model.
        """
        await super().ready(timeout_s)
        (self.home / "Modelfile").write_text(self.modelfile())
        for name in await self._lacking():
            await self._create(name)
        if lacking := await self._lacking():
            raise self._refused(f"afterwards /api/tags does not list {', '.join(lacking)}")

    async def discover(self) -> str:
        """What ``/api/version`` says, such as ``0.12.0``."""
        said = await self._ask("/api/version")
        return str(said.get("version", "")) if isinstance(said, dict) else ""

    async def _lacking(self) -> list[str]:
        try:
            said: Any = await self._ask("/api/tags")
            there = {each["name"] for each in said["models"]}
        except (NoAnswer, KeyError, TypeError) as error:
            raise self._refused(f"/api/tags gave no list of models: {error!r}") from error
        return [name for name in self.served_as if tagged(name) not in there]

    async def _create(self, name: str) -> None:
        """The command line tool of a release speaks with the server of that release."""
        create = ChildProcess(
            [str(self.executable), "create", name, "-f", str(self.home / "Modelfile")],
            name=f"ollama create {name}",
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(self.home),
                "NO_PROXY": "*",
                **self.environment(),
            },
            cwd=self.home,
            log=self.directory / f"{self.id}-create.log",
        )
        async with create:
            try:
                async with asyncio.timeout(_CREATE_S):
                    code = await create.wait()
            except TimeoutError:
                raise self._refused(f"`ollama create {name}` took over {_CREATE_S:.0f} s") from None
        if code != 0:
            raise self._refused(
                f"`ollama create {name}` ended with {code}: {create.log_tail(5) or '(nothing)'}"
            )

    def _refused(self, what: str) -> EngineError:
        return broken_model(self.id, self.model, f"Ollama {self.version} did not take it: {what}")


def tagged(name: str) -> str:
    """A name as Ollama lists it: one without a tag gets ``:latest``."""
    return name if ":" in name else f"{name}:latest"
