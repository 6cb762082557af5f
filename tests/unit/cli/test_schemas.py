from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from harness.cli.schemas import BESIDE, main
from harness.registry.schemas import export, file_name, modeline
from harness.registry.source import read

CONFIG = Path(__file__).parents[3] / "config"
EXPECT = {"equals": 1, "unit": "x"}
READING = {"id": "a", "means": "b", "expect": EXPECT, "counted": {"what": "models"}}
CLAIM = {"id": "c", "quote": "d", "document": "e", "line": 1, "readings": [READING]}


def test_the_schemas_on_disk_are_those_of_the_models() -> None:
    on_disk = {path.name: path.read_text() for path in (CONFIG / "schemas").iterdir()}
    assert on_disk == export(BESIDE), "run `python -m harness.cli.schemas config/schemas`"


def test_the_command_writes_them(tmp_path: Path) -> None:
    main([str(tmp_path / "new")])
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written == export(BESIDE)
    with pytest.raises(SystemExit, match="usage"):
        main([])


@pytest.mark.parametrize("file", BESIDE)
def test_an_editor_finds_the_schema_and_what_we_ship_is_valid_by_it(file: str) -> None:
    text = (CONFIG / file).read_bytes()
    assert text.decode().splitlines()[0] == modeline(file)
    schema = jsonschema_rs.Draft202012Validator(json.loads(export(BESIDE)[file_name(file)]))
    schema.validate(read(file, text).value)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"quotes": "d"}, False),
        ({"line": 0}, False),
        ({"readings": []}, False),
        ({"readings": [{**READING, "counted": {"what": "moons"}}]}, False),
        ({"readings": [{**READING, "id": "A B"}]}, False),
    ],
)
def test_the_schema_of_the_claims_refuses_what_the_model_refuses(
    change: dict[str, object], *, valid: bool
) -> None:
    schema = jsonschema_rs.Draft202012Validator(json.loads(export(BESIDE)["claims.schema.json"]))
    assert schema.is_valid({"claims": [CLAIM | change]}) is valid


def test_every_key_of_a_claim_is_described() -> None:
    def described(schema: object) -> None:
        if isinstance(schema, dict):
            for name, field in schema.get("properties", {}).items():
                assert field.get("description"), name
            for inner in schema.values():
                described(inner)

    described(json.loads(export(BESIDE)["claims.schema.json"]))
