"""Every engine side by side, real and emulated: started, measured, and held against each other."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from harness.engines import models
from harness.engines.emulated import EmulatedEngine
from harness.engines.installs import KNOWN
from harness.engines.real import ollama_server
from harness.engines.real.base import RealServer
from harness.engines.real.llama_cpp_python import LlamaCppPython
from harness.engines.real.llama_server import LlamaServer
from harness.engines.real.ollama_facade import OllamaFacade
from harness.engines.real.ollama_server import Ollama
from harness.engines.real.prometheus import Prometheus
from harness.engines.real.valkey import Valkey
from harness.engines.real.vllm import Vllm
from harness.engines.recordings.accepted import ACCEPTED
from harness.engines.recordings.comparison import compare_all, unexplained
from harness.engines.recordings.probes import CONTEXT, KEY, MODEL
from harness.engines.recordings.recording import record
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.process.memory import proportional_set_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from harness.engines.engine import LocalEngine
    from harness.engines.recordings.recording import Reply

_SIGNED = "engine"
"""What the answers of all engines are signed with, so that only their dialects can differ."""
_OPTIONS = (
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    "--structured-outputs-config",
    '{"disable_any_whitespace":true,"backend":"xgrammar"}',
)
"""Of the recorded vLLM: tools are called, and forced JSON has no spaces a random model can fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One engine as it was found on this machine."""

    name: str
    kind: str
    version: str
    starts_s: tuple[float, ...]
    """Seconds from the command to the first answer that it is ready, one a start."""
    memory_bytes: int
    """Proportional set size of all its processes, after the probes where there are any."""
    probes: int | None = None
    """Questions the emulated twin was asked too; None: it has none, or no dialect."""
    explained: int | None = None
    """Differences from the twin that have a written reason."""
    unexplained: tuple[str, ...] = ()
    """Those that have none."""

    @property
    def start_s(self) -> float:
        """Median of the starts."""
        return median(self.starts_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    name: str
    needs: str
    make: Callable[[Path], LocalEngine | Valkey | Prometheus]
    dialect: str = ""


def lacking() -> list[str]:
    """Installations without which an engine is left out, by name."""
    needed = dict.fromkeys(subject.needs for subject in _SUBJECTS)
    return [name for name in needed if not KNOWN[name].installed()]


async def inventory(directory: Path, *, starts: int = 3) -> AsyncIterator[Line]:
    """Start each engine that is installed, alone, ``starts`` times, and yield what was found.

    A real server with a dialect is asked every probe of `harness.engines.recordings`, and its
    emulated twin likewise; the answers are compared field by field.

    Raises:
        EngineError, ProcessError, PortTaken, RecordingError: one does not start or answer.
    """
    missing = lacking()
    for subject in _SUBJECTS:
        if subject.needs in missing:
            continue
        real, heard = await _measure(subject, "real", partial(subject.make, directory), starts)
        if not subject.dialect:
            yield real
            continue
        twin, said = await _measure(
            subject, "emulated", partial(_emulated, subject.dialect, directory), starts
        )
        differences = compare_all(heard, said)
        left, _ = unexplained(subject.dialect, differences, ACCEPTED)
        yield real
        yield replace(
            twin,
            probes=len(heard),
            explained=len(differences) - len(left),
            unexplained=tuple(str(difference) for difference in left),
        )


async def _measure(
    subject: _Subject,
    kind: str,
    make: Callable[[], LocalEngine | Valkey | Prometheus],
    starts: int,
) -> tuple[Line, tuple[Reply, ...]]:
    took: list[float] = []
    heard: tuple[Reply, ...] = ()
    memory = 0
    version = ""
    for number in range(starts):
        engine = make()
        begun = time.monotonic()
        try:
            await engine.start()
            await engine.ready()
            took.append(time.monotonic() - begun)
            if number == starts - 1:
                if subject.dialect:
                    heard = await asyncio.to_thread(record, engine.endpoint)
                parts = engine.parts if isinstance(engine, RealServer) else (engine,)
                memory = sum(proportional_set_size(part.pid) for part in parts if part.pid)
            version = engine.version
            kind = engine.kind
        finally:
            await engine.stop()
    return Line(
        name=subject.name, kind=kind, version=version, starts_s=tuple(took), memory_bytes=memory
    ), heard


def _emulated(dialect: str, directory: Path) -> EmulatedEngine:
    spec = EmulatorSpec(
        id=_SIGNED,
        dialect=dialect,
        models=(ServedModel(MODEL, CONTEXT),),
        api_key=KEY,
        seed=7,
        settings=Settings(ttft_ms=0, itl_ms=0),
    )
    return EmulatedEngine(spec, log=directory / f"emulated-{dialect}.log")


def _files() -> models.ModelFiles:
    return models.ensure(models.TinyModel(engine=_SIGNED, seed=7, context_length=CONTEXT))


def _ollama(directory: Path) -> Ollama | OllamaFacade:
    """The user's own, else the facade."""
    own = ollama_server.found()
    make = OllamaFacade if own is None else Ollama
    return make(
        "ollama",
        executable=own or KNOWN["llama-cpp"].program("llama-server"),
        model=_files().gguf,
        served_as=[MODEL],
        context_length=CONTEXT,
        directory=directory,
    )


_SUBJECTS = (
    _Subject(
        name="llama-server",
        needs="llama-cpp",
        dialect="llama_cpp_native",
        make=lambda directory: LlamaServer(
            "llama-server",
            executable=KNOWN["llama-cpp"].program("llama-server"),
            model=_files().gguf,
            served_as=[MODEL],
            context_length=CONTEXT,
            api_key=KEY,
            directory=directory,
        ),
    ),
    _Subject(
        name="llama-cpp-python server",
        needs="llama-cpp",
        dialect="llama_cpp_python",
        make=lambda directory: LlamaCppPython(
            "llama-cpp-python",
            python=KNOWN["llama-cpp"].program("python"),
            libraries=KNOWN["llama-cpp"].libraries(),
            model=_files().gguf,
            served_as=MODEL,
            context_length=CONTEXT,
            api_key=KEY,
            directory=directory,
        ),
    ),
    _Subject(
        name="vLLM",
        needs="vllm",
        dialect="vllm",
        make=lambda directory: Vllm(
            "vllm",
            python=KNOWN["vllm"].program("python"),
            model=_files().folder,
            served_as=[MODEL],
            context_length=CONTEXT,
            longest_answer=None,
            options=_OPTIONS,
            api_key=KEY,
            directory=directory,
        ),
    ),
    _Subject(
        name="Ollama",
        needs="llama-cpp",
        make=_ollama,
    ),
    _Subject(
        name="Valkey",
        needs="valkey",
        make=lambda directory: Valkey(
            "valkey", executable=KNOWN["valkey"].program("valkey-server"), directory=directory
        ),
    ),
    _Subject(
        name="Prometheus",
        needs="prometheus",
        make=lambda directory: Prometheus(
            executable=KNOWN["prometheus"].program("prometheus"), directory=directory
        ),
    ),
)
