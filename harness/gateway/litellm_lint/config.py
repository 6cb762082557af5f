"""A LiteLLM file seen as deployments, groups, aliases and settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from harness.gateway.litellm_lint.tables import Tables, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.finding import Place
    from harness.registry.rule import Path
    from harness.registry.source import Document

FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
SHARED = ("router_settings", "litellm_settings")
"""Where the Router looks for its settings, in this order."""
ENVIRONMENT = "os.environ/"


@dataclass(frozen=True)
class Deployment:
    """One well-formed entry of ``model_list``: it has a name and says which model it is."""

    index: int
    name: str
    params: dict[str, Any]
    info: dict[str, Any]

    @property
    def path(self) -> Path:
        """Where the entry stands."""
        return ("model_list", self.index)

    def param(self, key: str) -> Path:
        """Where a key of ``litellm_params`` stands."""
        return (*self.path, "litellm_params", key)

    @property
    def model(self) -> str:
        """The model as LiteLLM is given it, prefix included."""
        return str(self.params["model"])

    @property
    def provider(self) -> str:
        """``custom_llm_provider``, else the prefix of the model, else nothing."""
        named = self.params.get("custom_llm_provider")
        return (
            named if isinstance(named, str) else self.model.partition("/")[0] * ("/" in self.model)
        )

    @property
    def api_base(self) -> str:
        """``api_base`` where it is written out, else nothing."""
        base = self.params.get("api_base", self.params.get("base_url"))
        return base if isinstance(base, str) and not base.startswith(ENVIRONMENT) else ""

    @property
    def address(self) -> SplitResult:
        """``api_base`` in its parts, all empty where it is none that can be parsed."""
        try:
            return urlsplit(self.api_base)
        except ValueError:
            return urlsplit("")

    @property
    def local(self) -> bool:
        """Whether it has an address of its own, instead of a provider's."""
        return bool(self.params.get("api_base") or self.params.get("base_url"))


@dataclass(frozen=True)
class Step:
    """One target of one entry of a list of fallbacks."""

    source: str
    target: str
    path: Path


class Config:
    """A LiteLLM file. What has the wrong shape is left out here; rules about shapes find it."""

    def __init__(self, document: Document, known: Tables | None = None) -> None:
        self.document = document
        self.value: dict[str, Any] = dict(document.value or {})
        self.known = known or tables()

    def position(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or the key) at ``path`` stands, else its nearest ancestor."""
        return self.document.position(path, key=key)

    def section(self, name: str) -> dict[str, Any]:
        """A part of the file, empty if it is missing or no mapping."""
        found = self.value.get(name)
        return found if isinstance(found, dict) else {}

    def setting(self, key: str) -> tuple[Any, Path]:
        """A setting of the Router and its place, also where ``litellm_settings`` gives it."""
        for name in SHARED:
            if self.section(name).get(key) is not None:
                return self.section(name)[key], (name, key)
        return None, ("router_settings",)

    @cached_property
    def entries(self) -> list[tuple[int, dict[str, Any]]]:
        """The mappings in ``model_list``, with their indexes."""
        found = self.value.get("model_list")
        entries = found if isinstance(found, list) else []
        return [(index, each) for index, each in enumerate(entries) if isinstance(each, dict)]

    @cached_property
    def deployments(self) -> list[Deployment]:
        """The entries of ``model_list`` that can become a deployment."""
        return [
            Deployment(index, entry["model_name"], params, info if isinstance(info, dict) else {})
            for index, entry in self.entries
            for params, info in [(entry.get("litellm_params"), entry.get("model_info"))]
            if isinstance(entry.get("model_name"), str)
            and isinstance(params, dict)
            and isinstance(params.get("model"), str)
        ]

    @cached_property
    def groups(self) -> dict[str, list[Deployment]]:
        """The deployments by the name clients ask for."""
        groups: dict[str, list[Deployment]] = {}
        for deployment in self.deployments:
            groups.setdefault(deployment.name, []).append(deployment)
        return groups

    @cached_property
    def aliases(self) -> dict[str, str]:
        """``model_group_alias``, by alias."""
        found = self.section("router_settings").get("model_group_alias")
        pairs = found.items() if isinstance(found, dict) else ()
        named = ((alias, to.get("model") if isinstance(to, dict) else to) for alias, to in pairs)
        return {alias: target for alias, target in named if isinstance(target, str)}

    @cached_property
    def closed(self) -> bool:
        """Whether all groups stand in this file: nothing is included or kept in a database."""
        stored = self.section("general_settings").get("store_model_in_db")
        return not self.value.get("include") and stored is not True

    @cached_property
    def _wildcards(self) -> list[re.Pattern[str]]:
        parts = [name.split("*") for name in self.groups if "*" in name]
        return [re.compile(".*".join(map(re.escape, each))) for each in parts]

    @cached_property
    def _callable(self) -> set[str]:
        ids = {str(each.info["id"]) for each in self.deployments if "id" in each.info}
        models = {each.model for each in self.deployments}
        return {*self.groups, *self.aliases, *ids, *models}

    def answers(self, name: str) -> bool:
        """Whether the Router finds a deployment for ``name``."""
        return name in self._callable or any(each.match(name) for each in self._wildcards)

    def fallback_lists(self) -> Iterator[tuple[str, list[Any], Path]]:
        """Each list of fallbacks in force: its key, its entries and its place."""
        for key in FALLBACKS:
            value, path = self.setting(key)
            if isinstance(value, list):
                yield key, value, path

    def steps(self, *keys: str) -> list[Step]:
        """Every source and target of the lists of fallbacks called ``keys``."""
        return [
            Step(source, target, (*path, index, source, place))
            for key, entries, path in self.fallback_lists()
            if key in keys
            for index, entry in enumerate(entries)
            if isinstance(entry, dict)
            for source, targets in entry.items()
            if isinstance(targets, list)
            for place, each in enumerate(targets)
            for target in [each.get("model") if isinstance(each, dict) else each]
            if isinstance(target, str)
        ]
