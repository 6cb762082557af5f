from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_import import import_config
from harness.registry import Registry, examine, load

if TYPE_CHECKING:
    from harness.gateway.litellm_import import Imported

Import = Callable[..., "Imported"]


@pytest.fixture(scope="session")
def shipped() -> Registry:
    return load(Path(__file__).parents[4] / "config")


def deployment(name: str, model: str, **more: Any) -> dict[str, Any]:
    """An entry of model_list; ``info`` is its model_info, the rest its litellm_params."""
    info = more.pop("info", None)
    entry: dict[str, Any] = {"model_name": name, "litellm_params": {"model": model, **more}}
    return entry if info is None else {**entry, "model_info": info}


def registry_of(imported: Imported) -> Registry:
    """The registry of what was imported; any error in it is a failure."""
    registry, findings = examine({name: text.encode() for name, text in imported.sources.items()})
    assert registry is not None, [str(finding) for finding in findings]
    return registry


class Tools:
    deployment = staticmethod(deployment)
    registry_of = staticmethod(registry_of)

    @staticmethod
    def imported(*entries: dict[str, Any], **sections: Any) -> Imported:
        """What comes of a configuration with these entries and sections."""
        return import_config(yaml.safe_dump({"model_list": list(entries), **sections}))


@pytest.fixture
def lab() -> type[Tools]:
    return Tools
