"""One module for each server whose way of speaking OpenAI is imitated.

A new dialect is a new file here with ``dialect = ItsClass`` in it; its name is the file's.
Only the one that is asked for is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from harness.engines.spec import SpecError

if TYPE_CHECKING:
    from harness.engines.emulator.dialects.base import Dialect

_SHARED = {
    *("base", "fields", "shapes", "writing", "ollama_models"),
    *("llama_cpp_rules", "llama_cpp_state", "llama_cpp_writing", "vllm_metrics", "vllm_rules"),
}

_SPEAK = {"openai_compatible": "openai"}
"""Kinds of servers that have no dialect of their own, and whose they speak."""


def names() -> list[str]:
    """The dialects there are."""
    return sorted({each.name for each in pkgutil.iter_modules(__path__)} - _SHARED)


def load(name: str) -> type[Dialect]:
    """The dialect of that name, or what servers of that kind speak. Raises SpecError."""
    name = _SPEAK.get(name, name)
    if name not in names():
        raise SpecError(f"dialect: there is no {name!r}; there are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    found: type[Dialect] = module.dialect
    return found
