from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from harness.registry.examples import sources
from harness.registry.load import SOURCES
from harness.registry.schemas import export, file_name, modeline
from harness.registry.source import read

CONFIG = Path(__file__).parents[3] / "config"


def validator(source: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(export()[file_name(source)]))


@pytest.mark.parametrize("source", SOURCES)
def test_an_editor_finds_the_schema_by_the_first_line(source: str) -> None:
    first = (CONFIG / source).read_text().splitlines()[0]
    assert first == modeline(source)
    assert (CONFIG / first.rpartition("=")[2]).is_file()


@pytest.mark.parametrize("source", SOURCES)
def test_what_we_ship_is_valid_by_its_schema(source: str) -> None:
    validator(source).validate(read(source, (CONFIG / source).read_bytes()).value)
    validator(source).validate(read(source, sources("{}")[source]).value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("ports.yaml", {"host": "127.0.0.1", "services": {}, "prots": {}}),
        ("ports.yaml", {"host": "127.0.0.1", "services": {"a": {"port": 70000}}}),
        ("ports.yaml", {"host": "127.0.0.1", "services": {"A B": {}}}),
        ("providers.yaml", {"providers": {"a": {"type": "vlm"}}}),
        ("model-mappings.yaml", {"public_models": []}),
    ],
)
def test_a_schema_refuses_what_a_model_refuses(source: str, value: object) -> None:
    assert not validator(source).is_valid(value)


def test_every_key_is_described() -> None:
    def described(schema: object) -> None:
        if isinstance(schema, dict):
            for name, field in schema.get("properties", {}).items():
                assert field.get("description"), name
            for inner in schema.values():
                described(inner)

    for text in export().values():
        described(json.loads(text))
