"""What Ollama tells about a model: ``/api/tags``, ``/api/ps``, ``/api/show`` (docs/api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.engines.emulator.dialects.shapes import Json
    from harness.engines.spec import ServedModel

_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "emulated",
    "families": ["emulated"],
    "parameter_size": "0",
    "quantization_level": "none",
}
_FAR_FUTURE = "2318-01-01T00:00:00Z"


def shown(model: ServedModel, modified: str) -> Json:
    """One model in full."""
    info = {
        "general.architecture": "emulated",
        "emulated.context_length": model.context_length,
    }
    return {
        "modelfile": f"FROM {model.id}",
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": info,
        "capabilities": ["completion", "tools"],
        "modified_at": modified,
    }


def on_disk(model: ServedModel, modified: str) -> Json:
    """One entry of ``/api/tags``."""
    named = {"name": model.id, "model": model.id, "modified_at": modified}
    return {**named, "size": 0, "digest": "", "details": _DETAILS}


def in_memory(model: ServedModel) -> Json:
    """One entry of ``/api/ps``; nothing expires."""
    named = {"name": model.id, "model": model.id, "size": 0, "digest": "", "details": _DETAILS}
    until = {"expires_at": _FAR_FUTURE, "size_vram": 0}
    return {**named, **until, "context_length": model.context_length}
