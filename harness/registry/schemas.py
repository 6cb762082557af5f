"""JSON Schemas of the source files, for editors: completion, and what a key means.

They hold each key, its kind and its range; what keys mean together is the business of the rules.
``python -m harness.cli.schemas config/schemas`` writes them, and those of other files in YAML.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.registry.models import Mappings, Ports, Providers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry.models import Source

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect pydantic writes."""

_MODELS: dict[str, type[Source]] = {PROVIDERS: Providers, MAPPINGS: Mappings, PORTS: Ports}


def file_name(source: str) -> str:
    """The file that holds the schema of a source file, ``providers.schema.json``."""
    return source.removesuffix(".yaml") + ".schema.json"


def modeline(source: str) -> str:
    """The first line of a source file, by which yaml-language-server finds its schema."""
    return f"# yaml-language-server: $schema=schemas/{file_name(source)}"


def export(more: Mapping[str, type[Source]] | None = None) -> dict[str, str]:
    """The text of every schema by file name; the same models give the same bytes.

    ``more`` are the models of files that are no sources, by their names.
    """
    models = {**_MODELS, **(more or {})}
    return {file_name(source): _schema(source, model) for source, model in models.items()}


def _schema(source: str, model: type[Source]) -> str:
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "title": source,
        **{key: value for key, value in model.model_json_schema().items() if key != "title"},
    }
    return json.dumps(_closed(schema), indent=2, ensure_ascii=False) + "\n"


def _closed(schema: Any) -> Any:
    """``schema`` with every table of names closed: pydantic lets a name of another form pass."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    return closed | ({"additionalProperties": False} if "patternProperties" in closed else {})
