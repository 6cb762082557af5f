"""The OpenAPI document of the contract: which statuses and bodies an operation may answer."""

from __future__ import annotations

import copy
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harness.answer import Answer, Kind

_PATHS = {Kind.CHAT: "/chat/completions", Kind.MODELS: "/models"}


@cache
def _document() -> dict[str, Any]:
    text = resources.files("harness.contract").joinpath("openapi.yaml").read_text("utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def contract(model: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, its requests narrowed to ``model``."""
    document = copy.deepcopy(_document())
    document["components"]["schemas"]["ModelName"] = {"type": "string", "enum": [model]}
    return document


def documented(answer: Answer) -> frozenset[int]:
    """Return the statuses the contract documents for the operation ``answer`` is of.

    Empty where the contract does not know the operation.
    """
    path = _document()["paths"].get(_PATHS.get(answer.kind), {})
    operation = path.get(answer.exchange.request.method.lower(), {})
    return frozenset(int(status) for status in operation.get("responses", {}))


def schema_of(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON Schema of a 200 body (of one event, if it is a stream), or None.

    The schema stands alone: its references point into itself.
    """
    if answer.status != 200 or answer.kind not in _PATHS:
        return None
    name = "ModelList" if answer.kind is Kind.MODELS else "ChatCompletion"
    if answer.streamed:
        name = "ChatCompletionChunk"
    return {
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": _document()["components"]["schemas"]},
    }
