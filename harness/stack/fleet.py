"""Which engine stands for which provider: the emulator, or the real server, by tier."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from harness.engines import models
from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import EngineError, Kind, LocalEngine
from harness.engines.installs import KNOWN
from harness.engines.real import ollama_server
from harness.engines.real.llama_cpp_python import LlamaCppPython
from harness.engines.real.llama_server import LlamaServer
from harness.engines.real.ollama_facade import OllamaFacade
from harness.engines.real.ollama_server import Ollama
from harness.engines.real.prometheus import Prometheus, Target
from harness.engines.real.valkey import Valkey
from harness.engines.real.vllm import Vllm
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.routing import resident

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.engines.models import ModelFiles
    from harness.evidence import Behind
    from harness.registry import Registry
    from harness.registry.models import Model

Tier = Literal["emulated", "native", "full"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""emulated: no real model server. native: llama-server, Valkey, Prometheus and Ollama, which
start in seconds. full: the Python server and vLLM too, which take a minute. Ollama is the user's
own where there is one on PATH, else a facade before a llama-server."""

TTFT_MS = 30.0
"""Time to first token of an emulated engine."""
ITL_MS = 8.0
"""Gap between two tokens of an emulated engine: 125 tokens/s a stream."""
SLOTS = 4
"""Answers a llama-server generates at a time."""
_SERVICES = ("valkey", "prometheus")
_NEEDS: Mapping[Tier, Mapping[str, str]] = {
    "emulated": {},
    "native": {"llama_cpp_native": "llama-cpp", "ollama": "llama-cpp"},
    "full": {
        "llama_cpp_native": "llama-cpp",
        "llama_cpp_python": "llama-cpp",
        "ollama": "llama-cpp",
        "vllm": "vllm",
    },
}
"""By tier, the types of provider that a real server answers for, and what it is installed as."""
_NOT_OURS = {"ollama": ollama_server.found}
"""Types whose server no registry has: where the user's own is, if there is one. Without it the
wire is a facade's, and reports call it emulated."""


def kinds_of(registry: Registry, tier: Tier) -> dict[str, Kind]:
    """What stands for each enabled provider in a tier, by its id."""
    real = _NEEDS[tier].keys() - {type_ for type_, own in _NOT_OURS.items() if own() is None}
    return {
        provider_id: "real" if provider.type in real else "emulated"
        for provider_id, provider in registry.enabled_providers().items()
    }


def one_kind(kinds: Iterable[Behind]) -> Behind:
    """The kind all have in common, else mixed; none of none."""
    found = set(kinds)
    return "none" if not found else found.pop() if len(found) == 1 else "mixed"


def in_words(kinds: Mapping[str, Behind]) -> str:
    """The kind that all by name have in common, or else who is which.

    Of several kinds the one that most have is that of the others: ``vllm real, others emulated``.
    """
    by_kind: dict[Behind, list[str]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(name)
    if len(by_kind) < 2:
        return one_kind(by_kind)
    *fewer, (most, others) = sorted(by_kind.items(), key=lambda item: len(item[1]))
    told = [f"{', '.join(names)} {kind}" for kind, names in fewer]
    last = "others" if len(others) > 1 else others[0]
    return ", ".join([*told, f"{last} {most}"])


def missing(registry: Registry, tier: Tier) -> list[str]:
    """What a tier needs and this machine lacks, by its name for ``nox -s engines``."""
    if tier == "emulated":
        return []
    enabled = registry.enabled_providers().values()
    needs = {needed_by(provider.type, tier) for provider in enabled}
    wanted = {*needs, *_SERVICES}
    return [name for name, each in KNOWN.items() if name in wanted and not each.installed()]


def needed_by(type_: str, tier: Tier = "full") -> str | None:
    """What a type of provider needs installed in a tier, by its name; None: nothing."""
    own = _NOT_OURS.get(type_, lambda: None)
    return None if own() else _NEEDS[tier].get(type_)


def require(registry: Registry, tier: Tier) -> None:
    """Raise `EngineError` (``engine.not-installed``) unless all a tier needs is installed."""
    if lacking := missing(registry, tier):
        raise EngineError(
            "engine.not-installed",
            f"the {tier} engines need {', '.join(lacking)}, not installed on this machine. "
            f"Run `nox -s engines -- {' '.join(lacking)}`, or choose `--engines emulated`.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The engines of a registry's enabled providers, and the services beside them.

    ``directory`` gets their logs and folders, ``secrets`` are values by environment variable.
    """

    registry: Registry
    tier: Tier
    seed: int
    secrets: Mapping[str, str] = field(repr=False)
    directory: Path

    async def engines(self) -> dict[str, LocalEngine]:
        """One engine a provider, by its id; none is started. Raises what making a model raises."""
        ids = list(self.registry.enabled_providers())
        made = await asyncio.gather(*(self.engine(provider_id) for provider_id in ids))
        return dict(zip(ids, made, strict=True))

    async def engine(self, provider_id: str) -> LocalEngine:
        """The engine of one provider, not started. Raises what making a model raises."""
        if self._type(provider_id) not in _NEEDS[self.tier]:
            return self._emulated(provider_id)
        files = await asyncio.to_thread(self._model_files, provider_id)
        match self._type(provider_id):
            case "llama_cpp_native":
                return self._llama_server(provider_id, files)
            case "llama_cpp_python":
                return self._llama_cpp_python(provider_id, files)
            case "ollama":
                return self._ollama(provider_id, files)
            case _:
                return self._vllm(provider_id, files)

    def valkey(self) -> Valkey:
        """The store beside the gateway."""
        return Valkey(
            "valkey",
            executable=KNOWN["valkey"].program("valkey-server"),
            directory=self.directory,
            host=self.registry.ports.host,
        )

    def prometheus(self, targets: Iterable[Target]) -> Prometheus:
        """The server that reads the metrics of ``targets``."""
        return Prometheus(
            executable=KNOWN["prometheus"].program("prometheus"),
            directory=self.directory,
            targets=targets,
            host=self.registry.ports.host,
        )

    def _emulated(self, provider_id: str) -> EmulatedEngine:
        """An engine that serves what a running server of this provider would hold."""
        spec = EmulatorSpec(
            id=provider_id,
            dialect=self._type(provider_id),
            models=tuple(
                ServedModel(id=model.served_as, context_length=model.context_length)
                for model in self._held(provider_id)
            ),
            api_key=self._key(provider_id),
            seed=self.seed,
            host=self.registry.ports.host,
            settings=Settings(ttft_ms=TTFT_MS, itl_ms=ITL_MS),
        )
        return EmulatedEngine(spec, log=self.directory / f"{provider_id}.log")

    def _llama_server(self, provider_id: str, files: ModelFiles) -> LlamaServer:
        return LlamaServer(
            provider_id,
            executable=KNOWN["llama-cpp"].program("llama-server"),
            model=files.gguf,
            served_as=self._names(provider_id),
            context_length=self._context(provider_id),
            slots=SLOTS,
            api_key=self._key(provider_id),
            directory=self.directory,
            host=self.registry.ports.host,
        )

    def _llama_cpp_python(self, provider_id: str, files: ModelFiles) -> LlamaCppPython:
        name, *more = self._names(provider_id)
        if more:
            raise EngineError(
                "engine.model",
                f"{provider_id} is to serve {name} and {', '.join(more)} at once, and the Python "
                "server is started with one model. Set the residency of the others to manual.",
            )
        return LlamaCppPython(
            provider_id,
            python=KNOWN["llama-cpp"].program("python"),
            libraries=KNOWN["llama-cpp"].libraries(),
            model=files.gguf,
            served_as=name,
            context_length=self._context(provider_id),
            api_key=self._key(provider_id),
            directory=self.directory,
            host=self.registry.ports.host,
        )

    def _ollama(self, provider_id: str, files: ModelFiles) -> Ollama | OllamaFacade:
        if own := ollama_server.found():
            return Ollama(
                provider_id,
                executable=own,
                model=files.gguf,
                served_as=self._names(provider_id),
                context_length=self._context(provider_id),
                slots=SLOTS,
                directory=self.directory,
                host=self.registry.ports.host,
            )
        return OllamaFacade(
            provider_id,
            executable=KNOWN["llama-cpp"].program("llama-server"),
            model=files.gguf,
            served_as=self._names(provider_id),
            context_length=self._context(provider_id),
            slots=SLOTS,
            directory=self.directory,
            host=self.registry.ports.host,
        )

    def _vllm(self, provider_id: str, files: ModelFiles) -> Vllm:
        return Vllm(
            provider_id,
            python=KNOWN["vllm"].program("python"),
            model=files.folder,
            served_as=self._names(provider_id),
            context_length=self._context(provider_id),
            api_key=self._key(provider_id),
            directory=self.directory,
            host=self.registry.ports.host,
        )

    def _model_files(self, provider_id: str) -> ModelFiles:
        """A tiny model whose answers are signed with the provider's id."""
        context = self._context(provider_id)
        model = models.TinyModel(engine=provider_id, seed=self.seed, context_length=context)
        return models.ensure(model)

    def _type(self, provider_id: str) -> str:
        return self.registry.provider(provider_id).type

    def _held(self, provider_id: str) -> list[Model]:
        provider = self.registry.provider(provider_id)
        return [model for model in provider.models if resident(provider, model)]

    def _names(self, provider_id: str) -> list[str]:
        return [model.served_as for model in self._held(provider_id)]

    def _context(self, provider_id: str) -> int:
        return max(model.context_length for model in self._held(provider_id))

    def _key(self, provider_id: str) -> str | None:
        key = self.registry.provider(provider_id).api_key
        return self.secrets[key.env] if key else None
