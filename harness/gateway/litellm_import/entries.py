"""The entries of a ``model_list``, as far as they can be understood."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.report import Kind
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.gateway.litellm_import.report import Report
    from harness.registry.rule import Path

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
"""What the sources take for a model name."""
GLOB = re.compile(r"[A-Za-z0-9._:/@+-]{1,127}\*")
"""What the sources take for a pattern: a prefix and one final star."""

ADAPTERS = {
    "openai": "openai_compatible",
    "ollama_chat": "ollama",
    "ollama": "ollama",
    "hosted_vllm": "vllm",
    "anthropic": "anthropic",
    "openai_like": "openai_compatible",
    "custom_openai": "openai_compatible",
    "llamafile": "openai_compatible",
    "lm_studio": "openai_compatible",
    "litellm_proxy": "openai_compatible",
}
"""Adapters of LiteLLM whose servers the sources can describe, with the provider type."""

SAME = {"openai", "ollama_chat", "anthropic"}
"""Adapters the generator writes too; the others become one of these."""

_INSTEAD = {
    "ollama": "The adapter ollama becomes ollama_chat: /api/chat in place of /api/generate.",
    "hosted_vllm": "The adapter hosted_vllm becomes openai, which reports a broken event of a "
    "stream in place of dropping it.",
}

_BARE = (("gpt-", "openai"), ("chatgpt-", "openai"), ("text-embedding-", "openai"))
"""Names LiteLLM knows without an adapter in front (its price map lists them)."""

MODES = ("chat", "embedding", "completion")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One entry that names a group, an adapter and the model its server knows.

    Entries are equal only to themselves: a group may hold the same deployment twice.
    """

    path: Path
    group: str
    adapter: str
    upstream: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def mode(self) -> str:
        """The endpoint it answers on; LiteLLM takes chat where nothing is said."""
        return str(self.info.get("mode") or "chat")

    @property
    def wildcard(self) -> bool:
        """Whether the group is a pattern of names."""
        return "*" in self.group


def entries(config: Mapping[str, Any], report: Report) -> list[Entry]:
    """The usable entries of ``model_list``, in order; every other one is reported."""
    listed = config.get("model_list")
    if not isinstance(listed, list):
        return []
    found = [_entry(item, ("model_list", index), report) for index, item in enumerate(listed)]
    return [entry for entry in found if entry is not None]


def split_adapter(params: Mapping[str, Any]) -> tuple[str, str]:
    """Adapter and upstream model of ``litellm_params``; the adapter is empty if none is told.

    ``custom_llm_provider`` decides and is cut off the model only where it stands in front of it;
    else the first part of ``model`` does (litellm, ``get_llm_provider``).
    """
    model = str(params.get("model") or "")
    first, slash, rest = model.partition("/")
    custom = params.get("custom_llm_provider")
    if isinstance(custom, str) and custom:
        return custom, rest if slash and first == custom else model
    if slash:
        return first, rest
    return next((adapter for prefix, adapter in _BARE if model.startswith(prefix)), ""), model


def _entry(item: Any, path: Path, report: Report) -> Entry | None:
    """One entry, or None where it is reported instead."""
    problem = next(_problems(item), None)
    if problem is not None:
        report.drop(path, problem)
        return None
    params, info = item["litellm_params"], item.get("model_info") or {}
    adapter, upstream = split_adapter(params)
    entry = Entry(
        path=path,
        group=item["model_name"],
        adapter=adapter,
        upstream=upstream,
        params=params,
        info=info,
    )
    _claim(entry, report)
    return entry


def _problems(item: Any) -> Iterator[str]:
    """Why an entry cannot be used, most basic reason first."""
    if not isinstance(item, dict):
        yield "The entry is no mapping, so it names no deployment."
        return
    name, params = item.get("model_name"), item.get("litellm_params")
    if not isinstance(name, str) or not name:
        yield "The entry has no model_name."
        return
    if not isinstance(params, dict) or not isinstance(params.get("model"), str):
        yield f"{quoted(name)} has no litellm_params.model, so it has no server."
        return
    if not (GLOB if "*" in name else MODEL_NAME).fullmatch(name):
        yield f"{quoted(name)} is no name the sources can hold (letters, digits, '._:/@+-')."
    info = item.get("model_info")
    if info is not None and not isinstance(info, dict):
        yield f"model_info of {quoted(name)} is no mapping."
        return
    adapter, upstream = split_adapter(params)
    if adapter not in ADAPTERS:
        what = f"the adapter {quoted(adapter)}" if adapter else "a model without an adapter"
        yield f"{quoted(name)} uses {what}; the sources have no provider type for it."
    if not MODEL_NAME.fullmatch(upstream) and not (upstream == "*" and "*" in name):
        yield f"The model of {quoted(name)} is no name the sources can hold."
    mode = (info or {}).get("mode") or "chat"
    if mode not in MODES:
        yield f"{quoted(name)} answers {quoted(mode)} requests; the sources know {MODES}."


def _claim(entry: Entry, report: Report) -> None:
    """Classify what is settled by the entry alone."""
    params, info = (*entry.path, "litellm_params"), (*entry.path, "model_info")
    report.exact((*entry.path, "model_name"))
    report.exact((*params, "custom_llm_provider"))
    if entry.adapter in SAME:
        report.exact((*params, "model"))
    else:
        note = _INSTEAD.get(entry.adapter, f"The adapter {entry.adapter} becomes openai.")
        report.claim((*params, "model"), Kind.APPROXIMATED, note)
    for key in ("mode", "max_input_tokens", "max_output_tokens"):
        report.exact((*info, key))
    if entry.info.get("litellm_provider") == entry.adapter:
        report.exact((*info, "litellm_provider"))  # every generated entry says so
    if entry.info.get("litellm_provider") == entry.adapter in SAME:
        report.exact((*info, "litellm_provider"))
    if not isinstance(entry.info.get("id"), str) or entry.info["id"].startswith(f"{entry.group}@"):
        report.exact((*info, "id"))
    else:
        note = "Deployment ids become group@provider, the same in every generation."
        report.claim((*info, "id"), Kind.APPROXIMATED, note)
