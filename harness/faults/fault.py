"""What a fault is, and the catalogue of all there are."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Layer(StrEnum):
    """Where a fault sits."""

    ENGINE = "engine"
    """The server as a whole, or one whole answer of it."""
    STREAM = "stream"
    """Within a streamed answer."""
    TRANSPORT = "transport"
    """The connection between two parties, whatever they say."""


class FaultError(ValueError):
    """No such fault, or settings it cannot have; the text lists what there is."""

    id = "fault.unknown"


class Fault(BaseModel):
    """One way to misbehave. Its fields are its settings; `register` gives it the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    layer: ClassVar[Layer]
    summary: ClassVar[str]
    """What a client of the server sees, in one line."""
    dialects: ClassVar[frozenset[str] | None]
    """The dialects it makes sense in; None: all."""

    times: int | None = Field(
        default=None, ge=1, description="Answers it shapes, then it is over; null: until cleared"
    )

    def fits(self, dialect: str) -> bool:
        """Whether a server of this dialect can misbehave so."""
        return self.dialects is None or dialect in self.dialects

    def settings(self) -> dict[str, Any]:
        """Its settings as JSON data."""
        return self.model_dump(mode="json", exclude={"times"})

    def to_wire(self) -> dict[str, Any]:
        """What an injector is told."""
        return {"name": self.name, "settings": self.settings(), "times": self.times}


F = TypeVar("F", bound=type[Fault])
_CATALOGUE: dict[str, type[Fault]] = {}


def register(name: str, layer: Layer, *, only: frozenset[str] | None = None) -> Callable[[F], F]:
    """Enter a class into the catalogue; the first line of its docstring is its summary."""

    def enter(cls: F) -> F:
        if name in _CATALOGUE:
            raise FaultError(f"two faults are called {name}: {_CATALOGUE[name]} and {cls}")
        cls.name, cls.layer, cls.dialects = name, layer, only
        cls.summary = (cls.__doc__ or "").strip().splitlines()[0]
        _CATALOGUE[name] = cls
        return cls

    return enter


@cache
def _load() -> None:
    package = importlib.import_module(__package__ or "harness.faults")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def catalogue() -> Mapping[str, type[Fault]]:
    """Every fault by its name, in order of names."""
    _load()
    return dict(sorted(_CATALOGUE.items()))


def find(name: str) -> type[Fault]:
    """The fault of that name. Raises FaultError, with the nearest name there is."""
    known = catalogue()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
    raise FaultError(f"no fault is called {name!r}. {hint}")


def parse(data: Mapping[str, Any]) -> Fault:
    """A fault from ``{"name": ..., SETTING: ..., "times": ...}``, as in a file.

    Raises:
        FaultError: no such fault, or not with these settings.
    """
    settings = dict(data)
    cls = find(str(settings.pop("name", "")))
    try:
        return cls(**settings)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or cls.name}: {each['msg'].lower()}"
            for each in error.errors(include_url=False)
        )
        takes = ", ".join(cls.model_fields)
        raise FaultError(f"{cls.name} cannot be set so: {problems}. It takes {takes}.") from error
