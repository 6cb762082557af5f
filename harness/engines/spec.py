"""What one emulated engine is told to be. Standard library only: both processes read it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

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

    def __post_init__(self) -> None:
        _require(
            re.fullmatch(ENGINE_ID, self.id) is not None,
            "id",
            f"{self.id!r} cannot sign a token: use letters, digits, '.', '_' and '-'",
        )
        _require(bool(self.models), "models", "an engine serves at least one model")
        ids = [model.id for model in self.models]
        _require(len(set(ids)) == len(ids), "models", f"{ids} names a model twice")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, the API key included: for a pipe, never for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EmulatorSpec:
        """The inverse of `to_json`. Raises SpecError."""
        _known(cls, data)
        try:
            models = tuple(ServedModel(**model) for model in data["models"])
            return cls(**{**data, "models": models, "settings": Settings(**data["settings"])})
        except (KeyError, TypeError) as error:
            raise SpecError(f"specification is incomplete or malformed: {error}") from error


def _require(holds: bool, name: str, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise SpecError(f"{name}: {text}")


def _known(cls: type[Settings | EmulatorSpec], data: dict[str, Any]) -> None:
    names = [each.name for each in fields(cls)]
    for name in data:
        _require(name in names, name, f"no such setting; there are {', '.join(names)}")
