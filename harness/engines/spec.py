"""What one emulated engine is told to be. Standard library only: both processes read it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from harness.engines.scheduler import SchedulerConfig, SchedulerError
from harness.engines.scheduler.presets import preset
from harness.engines.scheduler.steptime import Fitted, Roofline, step_time_from_json
from harness.engines.tokens import ENGINE_ID


class SpecError(ValueError):
    """A specification that no engine can follow; the text names the field and what it may be."""

    id = "engine.spec"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as its server lists it: its id, and the tokens that prompt and answer may fill."""

    id: str
    context_length: int = 4096

    def __post_init__(self) -> None:
        _require(bool(self.id), "models", "a model needs an id")
        _require(
            self.context_length > 0,
            "models",
            f"context_length of {self.id} must be positive, not {self.context_length}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may be changed while the engine runs. Times are milliseconds."""

    ttft_ms: float = 20.0
    """From the request (or from its turn, see ``max_concurrency``) to the first token."""
    itl_ms: float = 5.0
    """From one token to the next: token k is due at ``ttft_ms + k * itl_ms``, without drift."""
    default_max_tokens: int = 16
    """Length of an answer that the request does not limit; it then ends with ``stop``."""
    max_concurrency: int | None = None
    """Answers generated at a time; the rest wait in order. None: no limit."""

    def __post_init__(self) -> None:
        for name in ("ttft_ms", "itl_ms"):
            _require(getattr(self, name) >= 0, name, "must not be negative")
        _require(self.default_max_tokens > 0, "default_max_tokens", "must be at least 1")
        limit = self.max_concurrency
        _require(limit is None or limit > 0, "max_concurrency", "must be at least 1, or null")

    def changed(self, changes: dict[str, Any]) -> Settings:
        """The same with ``changes``. Raises SpecError for a name or a value that cannot be."""
        _known(Settings, changes)
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSpec:
    """An engine that batches: who computes when follows from its scheduler, not from a setting."""

    scheduler: SchedulerConfig
    step_time: Roofline | Fitted

    @classmethod
    def preset(cls, name: str) -> BatchingSpec:
        """One of `harness.engines.scheduler.presets`. Raises SchedulerError."""
        found = preset(name)
        return cls(scheduler=found.scheduler, step_time=found.step_time)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"scheduler": self.scheduler.to_json(), "step_time": self.step_time.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BatchingSpec:
        """The inverse of `to_json`. Raises SpecError."""
        _known(cls, data)
        try:
            return cls(
                scheduler=SchedulerConfig.from_json(data["scheduler"]),
                step_time=step_time_from_json(data["step_time"]),
            )
        except (SchedulerError, KeyError, TypeError) as error:
            raise SpecError(f"batching: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSpec:
    """One emulated engine: who it is, what it serves, how fast, and from which seed."""

    id: str
    dialect: str
    models: tuple[ServedModel, ...]
    """The first is the default."""
    api_key: str | None = field(default=None, repr=False)
    """The bearer it expects; None: it takes any request."""
    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    created: int | None = None
    """Unix time that answers and headers carry; None: the clock. Set it for equal bytes."""
    settings: Settings = field(default_factory=Settings)
    batching: BatchingSpec | None = None
    """Generate in batches; then ``ttft_ms``, ``itl_ms`` and ``max_concurrency`` mean nothing."""
    warm_up_ms: float = 0.0
    """How long after its start it says that it is not ready yet, where its kind says so."""

    def __post_init__(self) -> None:
        _require(self.warm_up_ms >= 0, "warm_up_ms", "must not be negative")
        _require(
            re.fullmatch(ENGINE_ID, self.id) is not None,
            "id",
            f"{self.id!r} cannot sign a token: use letters, digits, '.', '_' and '-'",
        )
        _require(bool(self.models), "models", "an engine serves at least one model")
        ids = [model.id for model in self.models]
        _require(len(set(ids)) == len(ids), "models", f"{ids} names a model twice")
        if self.batching is not None:
            longest = max(model.context_length for model in self.models)
            most = self.batching.scheduler.max_model_len
            _require(
                longest <= most,
                "batching",
                f"max_model_len {most} is less than the context of {longest} that a model is "
                "served with: raise it, or serve less",
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, the API key included: for a pipe, never for a file."""
        batching = None if self.batching is None else self.batching.to_json()
        return {**asdict(replace(self, batching=None)), "batching": batching}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EmulatorSpec:
        """The inverse of `to_json`. Raises SpecError."""
        _known(cls, data)
        try:
            told = {
                **data,
                "models": tuple(ServedModel(**model) for model in data["models"]),
                "settings": Settings(**data["settings"]),
            }
            if data.get("batching") is not None:
                told["batching"] = BatchingSpec.from_json(data["batching"])
            return cls(**told)
        except (KeyError, TypeError) as error:
            raise SpecError(f"specification is incomplete or malformed: {error}") from error


def _require(holds: bool, name: str, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise SpecError(f"{name}: {text}")


def _known(cls: type[Settings | BatchingSpec | EmulatorSpec], data: dict[str, Any]) -> None:
    names = [each.name for each in fields(cls)]
    for name in data:
        _require(name in names, name, f"no such setting; there are {', '.join(names)}")
