"""What the pinned LiteLLM reads and exports, as :mod:`.derive` found it in its source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.gateway import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = Path(__file__).with_name("keys")

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
    "exact": ("",),
}
"""What the text format appends to the name of a metric of each kind (OpenMetrics 1.0, 5.1)."""


@dataclass(frozen=True)
class Tables:
    """Keys, names and metrics of one LiteLLM version.

    ``sections`` gives for each part of the file (``top``, ``litellm_params``, ...) the keys that
    are read, each with the places that read it and its annotation, if it has one.
    """

    version: str
    sections: Mapping[str, Mapping[str, Mapping[str, Any]]]
    choices: Mapping[str, list[str]]
    names: Mapping[str, list[str]]
    metrics: Mapping[str, Mapping[str, str]]

    def reads(self, section: str, key: str) -> bool:
        """Whether anything in the package reads ``key`` of ``section``."""
        return key in self.sections[section]

    def kind(self, section: str, key: str) -> str:
        """The annotation of ``key``, or nothing."""
        return str(self.sections[section].get(key, {}).get("type", ""))

    def readers_of(self, key: str) -> tuple[str, ...]:
        """The parts of the file in which ``key`` would be read."""
        return tuple(name for name, keys in self.sections.items() if key in keys)

    @cached_property
    def providers(self) -> frozenset[str]:
        """The prefixes a model name may carry."""
        return frozenset(self.names["providers"]) | frozenset(self.names["prompt_managers"])

    @cached_property
    def models(self) -> frozenset[str]:
        """The model names LiteLLM knows without a prefix."""
        return frozenset(self.names["models"])

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The hosts whose address names the provider."""
        written = (each if "//" in each else f"//{each}" for each in self.names["endpoints"])
        return frozenset(urlsplit(each).netloc for each in written)

    def lists_mode(self, *names: str) -> bool:
        """Whether the price list gives a mode other than chat for one of ``names``."""
        return not self._not_chat.isdisjoint(names)

    @cached_property
    def _not_chat(self) -> frozenset[str]:
        return frozenset(self.names["not_chat"])

    @cached_property
    def exported(self) -> dict[str, str]:
        """Each name a scrape can show, and the metric it belongs to."""
        return exported({name: metric["kind"] for name, metric in self.metrics.items()})


def exported(kinds: Mapping[str, str]) -> dict[str, str]:
    """Each name a scrape can show for metrics of these kinds, and the metric it belongs to."""
    return {
        name.removesuffix("_total") + suffix if kind == "counter" else name + suffix: name
        for name, kind in kinds.items()
        for suffix in SUFFIXES[kind]
    }


@cache
def tables(version: str = "") -> Tables:
    """The tables of ``version``, by default of the version the lock pins.

    Raises:
        FileNotFoundError: nobody has derived them yet.
    """
    version = version or environment.version()
    path = KEYS / f"{version}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"There are no key tables for LiteLLM {version}; write them with "
            f"`python -m harness.gateway.litellm_lint.derive > {path.name}` in {KEYS.name}/."
        )
    found = json.loads(path.read_bytes())
    return Tables(
        found["litellm"], found["sections"], found["choices"], found["names"], found["metrics"]
    )
