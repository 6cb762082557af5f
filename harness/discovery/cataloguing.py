"""The models of a server: names, sizes, context lengths, as far as it tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.discovery.asking import LOADED, MODELS, PROPS, TAGS
from harness.registry.drafting import DraftModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.discovery.asking import Heard
    from harness.discovery.recognising import Kind

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_ABILITIES = {"tools": "tools", "vision": "vision", "thinking": "reasoning"}
"""Capabilities as ``/api/show`` names them, and as the sources do."""
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)$", re.MULTILINE)
_MAX_TOKENS = 1_000_000_000


def catalogue(heard: Heard, kind: Kind) -> tuple[list[DraftModel], list[str]]:
    """The models a server lists, and those whose id the sources cannot hold."""
    if kind == "ollama":
        found = [_from_ollama(item, heard) for item in heard.listed(TAGS, "models")]
    else:
        found = [_from_card(card, heard, kind) for card in heard.listed(MODELS, "data")]
    usable: dict[str, DraftModel] = {}
    for model in found:
        if _MODEL_NAME.fullmatch(model.served_as):
            usable.setdefault(model.served_as, model)
    return list(usable.values()), [m.served_as for m in found if m.served_as not in usable]


def _from_ollama(item: Mapping[str, Any], heard: Heard) -> DraftModel:
    name = str(item.get("name") or item.get("model") or "")
    shown = heard.shown.get(name, {})
    abilities = shown.get("capabilities")
    abilities = abilities if isinstance(abilities, list) else []
    length, note = _ollama_context(name, shown, heard)
    size, details = item.get("size"), item.get("details")
    level = details.get("quantization_level") if isinstance(details, dict) else None
    return DraftModel(
        served_as=name,
        mode="embedding" if "embedding" in abilities and "completion" not in abilities else "chat",
        context_length=length,
        context_note=note,
        size_gb=max(round(size / 1e9, 1), 0.1) if isinstance(size, int) and size > 0 else None,
        quantization=level if level and level not in ("unknown", "none") else None,
        capabilities=[ours for theirs, ours in _ABILITIES.items() if theirs in abilities],
        residency="on_demand",
    )


def _ollama_context(name: str, shown: Mapping[str, Any], heard: Heard) -> tuple[int | None, str]:
    """The context a model runs with, best source first, with a word on where it comes from."""
    for loaded in heard.listed(LOADED, "models"):
        if loaded.get("name") == name and (length := _count(loaded.get("context_length"))):
            return length, "as it is loaded now"
    fixed = _NUM_CTX.search(str(shown.get("parameters") or ""))
    if fixed:
        return _count(int(fixed[1])), "num_ctx of the model"
    info = shown.get("model_info")
    for key, value in info.items() if isinstance(info, dict) else ():
        if key.endswith(".context_length") and (length := _count(value)):
            return length, "what the weights allow; UNKNOWN: the num_ctx it is run with?"
    return None, ""


def _from_card(card: Mapping[str, Any], heard: Heard, kind: Kind) -> DraftModel:
    model = DraftModel(served_as=str(card.get("id") or ""))
    meta = card.get("meta")
    trained = _count(meta.get("n_ctx_train")) if isinstance(meta, dict) else None
    settings = heard.json(PROPS).get("default_generation_settings")
    run = _count(settings.get("n_ctx")) if isinstance(settings, dict) else None
    told = _count(card.get("max_model_len")) or _count(card.get("context_length"))
    if told:
        model.context_length = told
    elif kind == "llama_cpp_native" and run:
        model.context_length, model.context_note = run, "n_ctx of one slot"
    elif trained:
        model.context_length = trained
        model.context_note = "what the weights allow; UNKNOWN: the -c it is run with?"
    return model


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 < value <= _MAX_TOKENS else None
