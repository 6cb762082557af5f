"""Cards and models by name: the data files of `harness capacity`, read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.engines.scheduler.presets import preset
from harness.engines.scheduler.steptime import Hardware, Roofline
from harness.load.capacity.geometry import GIB, CapacityError, read_config, read_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.capacity.geometry import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card by its data sheet, and what an engine keeps for itself on it."""

    name: str
    title: str
    hardware: Hardware
    reserved_bytes: int
    source: str
    step_tokens: int | None = None
    """``max_num_batched_tokens``, where vLLM's default is not that of the card's size."""
    seats: int | None = None
    """``max_num_seqs``, likewise."""


@cache
def cards() -> Mapping[str, Card]:
    """Every card of ``data/hardware.yaml`` by name."""
    return {name: _card(name, entry) for name, entry in _data("hardware").items()}


def card(name: str) -> Card:
    """The card of this name. Raises CapacityError."""
    found = cards().get(name)
    if found is None:
        raise CapacityError(
            "capacity.hardware",
            f"no card {name!r}: there are {', '.join(cards())}. Another one: --memory 24GiB.",
        )
    return found


@cache
def models() -> Mapping[str, Model]:
    """Every model of ``data/models.yaml`` by name."""
    return {name: _model(name, entry) for name, entry in _data("models").items()}


def published(name: str) -> float | None:
    """The published number of parameters of a model of the list, where it is known."""
    value = _data("models")[name].get("parameters")
    return None if value is None else float(value)


def config_of(name: str) -> Mapping[str, Any]:
    """What the ``config.json`` of a model of the list says."""
    config: dict[str, Any] = _data("models")[name]["config"]
    return config


def model(name: str, *, weight_bytes: int | None = None) -> Model:
    """A model of the list, or that of a ``config.json`` or its folder.

    Raises:
        CapacityError: neither, or its geometry cannot be read.
    """
    if name in models():
        if weight_bytes is None:
            return models()[name]
        return read_config(
            config_of(name), name=name, weight_bytes=weight_bytes, weight_source="given"
        )
    path = Path(name)
    if not path.exists():
        raise CapacityError(
            "capacity.model",
            f"{name} is neither a file nor one of {', '.join(models())}. Give the config.json of "
            "the model, or the folder that holds it.",
        )
    return read_folder(path, weight_bytes=weight_bytes)


def _card(name: str, entry: Mapping[str, Any]) -> Card:
    named = entry.get("preset")
    if named is None:
        hardware = Hardware(
            name=entry["title"],
            memory_bytes=int(entry["memory_gib"] * GIB),
            bandwidth=entry["bandwidth_gbs"] * 1e9,
            flops=entry["tflops"] * 1e12,
        )
    else:
        step_time = preset(named).step_time
        if not isinstance(step_time, Roofline):
            raise TypeError(f"{name}: the preset {named} has no hardware")
        hardware = step_time.hardware
    return Card(
        name=name,
        title=entry["title"],
        hardware=hardware,
        reserved_bytes=int(entry["reserved_gib"] * GIB),
        source=entry["source"],
        step_tokens=entry.get("step_tokens"),
        seats=entry.get("seats"),
    )


def _model(name: str, entry: Mapping[str, Any]) -> Model:
    logged = entry.get("weights_gib")
    return read_config(
        entry["config"],
        name=name,
        weight_bytes=None if logged is None else int(logged * GIB),
        weight_source="" if logged is None else entry["source"],
    )


@cache
def _data(name: str) -> Mapping[str, Mapping[str, Any]]:
    text = resources.files("harness.load.capacity.data").joinpath(f"{name}.yaml").read_text("utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)[name]
    return entries
