"""What kind of server it is, told by what only that kind says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.discovery.asking import (
    ALIVE,
    HEALTH,
    METRICS,
    MODELS,
    OLLAMA_VERSION,
    PROPS,
    TAGS,
    VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.discovery.asking import Heard

Kind = Literal[
    "ollama",
    "vllm",
    "llama_cpp_native",
    "llama_cpp_python",
    "openai_compatible",
    "gateway",
    "unknown",
]
"""A provider type of the sources, a LiteLLM gateway, or something else."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A kind, the observations that speak for it, and a version where one is told."""

    kind: Kind
    evidence: tuple[str, ...]
    version: str | None = None


def recognise(heard: Heard) -> Recognised:
    """Tell what answered, by marks that only one kind bears.

    A list of models in the OpenAI dialect without any mark is a compatible server.
    """
    for kind, marks, version in _KINDS:
        evidence = tuple(marks(heard))
        if evidence:
            return Recognised(kind, evidence, version(heard))
    models = heard.listed(MODELS, "data")
    if models:
        return Recognised("openai_compatible", (f"{MODELS} lists {len(models)} models",))
    return Recognised("unknown", ())


def _gateway(heard: Heard) -> Iterator[str]:
    for path, said in heard.said.items():
        if said.response.header("x-litellm-version") is not None:
            yield f"{path} carries x-litellm-version"
            return
    if "alive" in heard.said[ALIVE].text.lower() if ALIVE in heard.said else False:
        yield f"{ALIVE} answers"


def _ollama(heard: Heard) -> Iterator[str]:
    version = heard.json(OLLAMA_VERSION).get("version")
    if isinstance(version, str):
        yield f"{OLLAMA_VERSION} answers {version}"
    if isinstance(heard.json(TAGS).get("models"), list):
        yield f"{TAGS} lists {len(heard.listed(TAGS, 'models'))} models"


def _vllm(heard: Heard) -> Iterator[str]:
    if any(card.get("owned_by") == "vllm" for card in heard.listed(MODELS, "data")):
        yield f"{MODELS} says owned_by vllm"
    if _family(heard, "vllm:"):
        yield f"{METRICS} has vllm: series"


def _llama_cpp_native(heard: Heard) -> Iterator[str]:
    if any(card.get("owned_by") == "llamacpp" for card in heard.listed(MODELS, "data")):
        yield f"{MODELS} says owned_by llamacpp"
    if "default_generation_settings" in heard.json(PROPS):
        yield f"{PROPS} has default_generation_settings"
    if _family(heard, "llamacpp:"):
        yield f"{METRICS} has llamacpp: series"
    if any(said.response.header("server") == "llama.cpp" for said in heard.said.values()):
        yield "the server header says llama.cpp"


def _llama_cpp_python(heard: Heard) -> Iterator[str]:
    cards = heard.listed(MODELS, "data")
    if any(card.get("owned_by") == "me" and "permissions" in card for card in cards):
        yield f"{MODELS} says owned_by me, with permissions"
        if heard.said[HEALTH].status == 404:
            yield f"there is no {HEALTH}"


def _family(heard: Heard, prefix: str) -> bool:
    """Whether the metrics page has a series of this prefix (Prometheus text format 0.0.4)."""
    text = heard.said[METRICS].text if METRICS in heard.said else ""
    return re.search(rf"^{re.escape(prefix)}\w+", text, re.MULTILINE) is not None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _vllm_version(heard: Heard) -> str | None:
    """``/version``, or a label of the metrics where a build puts it there."""
    told = _text(heard.json(VERSION).get("version"))
    page = heard.said[METRICS].text if METRICS in heard.said else ""
    label = re.search(r'^vllm:\w*info\{[^}]*\bversion="([^"]+)"', page, re.MULTILINE)
    return told or (label[1] if label else None)


_KINDS: tuple[tuple[Kind, Callable[[Heard], Iterator[str]], Callable[[Heard], str | None]], ...] = (
    ("gateway", _gateway, lambda heard: heard.said[MODELS].response.header("x-litellm-version")),
    ("ollama", _ollama, lambda heard: _text(heard.json(OLLAMA_VERSION).get("version"))),
    ("vllm", _vllm, _vllm_version),
    ("llama_cpp_native", _llama_cpp_native, lambda h: _text(h.json(PROPS).get("build_info"))),
    ("llama_cpp_python", _llama_cpp_python, lambda _: None),
)
"""The gateway first: it speaks for servers behind it, and would be taken for one of them."""
