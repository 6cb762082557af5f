"""What a fault is, and the catalogue of all there are."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, dataclass_transform

from annotated_types import Ge

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


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave. Its fields are its settings; `register` gives it the rest."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: ClassVar[str]
    layer: ClassVar[Layer]
    summary: ClassVar[str]
    """What a client of the server sees, in one line."""
    dialects: ClassVar[frozenset[str] | None]
    """The dialects it makes sense in; None: all."""

    times: Annotated[int, Ge(1)] | None = None
    """Answers it shapes, then it is over; None: until cleared."""

    def fits(self, dialect: str) -> bool:
        """Whether a server of this dialect can misbehave so."""
        return self.dialects is None or dialect in self.dialects

    def settings(self) -> dict[str, Any]:
        """Its settings as JSON data."""
        return {key: value for key, value in asdict(self).items() if key != "times"}

    def to_wire(self) -> dict[str, Any]:
        """What an injector is told."""
        return {"name": self.name, "settings": self.settings(), "times": self.times}


F = TypeVar("F", bound=Fault)
_CATALOGUE: dict[str, type[Fault]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def register(
    name: str, layer: Layer, *, only: frozenset[str] | None = None
) -> Callable[[type[F]], type[F]]:
    """Make a class a frozen dataclass and enter it into the catalogue.

    The first line of its docstring is its summary. Settings are its fields, all given by keyword;
    what they may be is said with ``Annotated`` and `annotated_types`.
    """

    def enter(cls: type[F]) -> type[F]:
        if name in _CATALOGUE:
            raise FaultError(f"two faults are called {name}: {_CATALOGUE[name]} and {cls}")
        made = dataclass(frozen=True, kw_only=True)(cls)
        made.name, made.layer, made.dialects = name, layer, only
        made.summary = (made.__doc__ or "").strip().splitlines()[0]
        _CATALOGUE[name] = made
        return made

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
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - too large for an engine

    settings = dict(data)
    cls = find(str(settings.pop("name", "")))
    try:
        return TypeAdapter(cls).validate_python(settings, strict=False)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or cls.name}: {each['msg'].lower()}"
            for each in error.errors(include_url=False)
        )
        raise FaultError(f"{cls.name} cannot be set so: {problems}. {_takes(cls)}.") from error


def from_wire(wire: Mapping[str, Any]) -> Fault:
    """What `Fault.to_wire` told. Raises FaultError: no such fault, or other settings."""
    cls, settings, times = (
        find(str(wire.get("name"))),
        wire.get("settings") or {},
        wire.get("times"),
    )
    if times is not None and (not isinstance(times, int) or times < 1):
        raise FaultError(f"{cls.name}: times must be at least 1, or null for always, not {times!r}")
    try:
        return cls(**settings, times=times)
    except TypeError as error:
        raise FaultError(
            f"{cls.name} cannot be set to {settings}: {error}. {_takes(cls)}."
        ) from error


def _takes(cls: type[Fault]) -> str:
    return f"It takes {', '.join(each.name for each in fields(cls))}"
