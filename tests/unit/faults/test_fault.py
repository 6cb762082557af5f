from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.emulator import dialects, misbehaviour
from harness.faults import FaultError, Layer, catalogue, from_wire, parse, register

SAMPLE: dict[str, dict[str, Any]] = {
    "http.status": {"status": 500},
    "first_token.delay": {"ms": 10},
    "stream.stall": {"s": 1},
}
"""Settings for the faults that cannot do without."""


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_fault_explains_itself_in_one_line(name: str) -> None:
    cls = catalogue()[name]
    assert cls.name == name
    assert cls.layer in set(Layer)
    assert cls.summary.endswith(".")
    assert cls.__doc__


@pytest.mark.parametrize("name", misbehaviour.known())
def test_what_the_emulator_does_is_in_the_catalogue_with_the_same_settings(name: str) -> None:
    made = parse({"name": name, **SAMPLE.get(name, {})})
    wire = json.loads(json.dumps(made.to_wire()))
    faults = misbehaviour.Faults()
    faults.add([wire])
    assert faults.names == [name]
    assert from_wire(wire) == made


def test_the_emulator_does_every_fault_of_its_layers() -> None:
    own = {n for n, f in catalogue().items() if f.layer in {Layer.ENGINE, Layer.STREAM}}
    assert own == set(misbehaviour.known())


@pytest.mark.parametrize("name", list(catalogue()))
def test_the_dialects_a_fault_fits_exist(name: str) -> None:
    only = catalogue()[name].dialects
    assert only is None or only <= set(dialects.names())


def test_a_fault_knows_whom_it_fits() -> None:
    assert parse({"name": "stream.duplicate_role"}).fits("vllm")
    assert not parse({"name": "stream.duplicate_role"}).fits("ollama")
    assert parse({"name": "hang"}).fits("anything")


def test_a_fault_is_read_as_it_stands_in_a_file() -> None:
    made = parse({"name": "stream.cut", "after": 3, "how": "rst", "times": 2})
    assert made.to_wire() == {
        "name": "stream.cut",
        "settings": {"after": 3, "how": "rst"},
        "times": 2,
    }


def test_a_fault_cannot_be_changed() -> None:
    made = parse({"name": "hang"})
    with pytest.raises(AttributeError, match="times"):
        made.times = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": "stream.cuts"}, r"no fault is called 'stream.cuts'. Did you mean stream.cut\?"),
        ({"name": "zzz"}, "There are body.truncated_json, engine.down"),
        ({}, "no fault is called ''"),
        ({"name": "stream.cut", "after": "soon"}, "after: input should be a valid integer"),
        ({"name": "stream.cut", "how": "gently"}, "how: input should be 'fin' or 'rst'"),
        (
            {"name": "stream.cut", "when": 1},
            "when: unexpected keyword argument.* It takes times, after, how",
        ),
        ({"name": "http.status"}, "status: field required"),
        ({"name": "http.status", "status": 200}, "status: input should be greater"),
        ({"name": "hang", "times": 0}, "times: input should be greater"),
        ({"name": "engine.down", "times": 1}, "times: input should be none"),
    ],
)
def test_a_fault_that_cannot_be_says_why(data: dict[str, Any], said: str) -> None:
    with pytest.raises(FaultError, match=said):
        parse(data)


def test_two_faults_of_one_name_are_refused() -> None:
    with pytest.raises(FaultError, match="two faults are called hang"):
        register("hang", Layer.ENGINE)(catalogue()["stream.cut"])
