"""JSON Schemas of the source files, for editors: completion, and what a key means.

``python -m harness.registry.schemas config/schemas`` writes them. They hold each key, its kind
and its range; what keys mean together is the business of the rules.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.registry.models import Mappings, Ports, Providers

if TYPE_CHECKING:
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


def export() -> dict[str, str]:
    """The text of every schema by file name; the same models give the same bytes."""
    return {file_name(source): _schema(source, model) for source, model in _MODELS.items()}


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


def main(arguments: list[str]) -> None:
    """Write the schemas into a folder; it is made if it is not there."""
    if len(arguments) != 1:
        sys.exit("usage: python -m harness.registry.schemas FOLDER")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in export().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
