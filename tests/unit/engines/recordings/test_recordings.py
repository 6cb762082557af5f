"""The emulator held against what real servers answered, field by field."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.engines.emulator.server import Emulator
from harness.engines.recordings.accepted import ACCEPTED
from harness.engines.recordings.comparison import Accepted, compare, compare_all, unexplained
from harness.engines.recordings.probes import CONTEXT, KEY, MODEL, PROBES
from harness.engines.recordings.recording import Recording, RecordingError, Reply, read, record
from harness.engines.spec import EmulatorSpec, ServedModel, Settings

FILES = sorted((Path(__file__).parents[3] / "recordings").glob("*.jsonl"))
every = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@cache
def emulated(dialect: str) -> tuple[Reply, ...]:
    spec = EmulatorSpec(
        id="engine",
        dialect=dialect,
        models=(ServedModel(MODEL, CONTEXT),),
        api_key=KEY,
        seed=7,
        settings=Settings(ttft_ms=0, itl_ms=0),
    )

    async def main() -> tuple[Reply, ...]:
        emulator = Emulator(spec)
        port = emulator.up()
        try:
            return await asyncio.to_thread(record, f"http://127.0.0.1:{port}")
        finally:
            emulator.down()

    return asyncio.run(main())


def answer_of(recording: Recording, probe: str) -> Reply:
    return next(reply for reply in recording.replies if reply.probe == probe)


def test_there_are_recordings_of_all_that_can_be_run() -> None:
    assert [path.stem.split("-")[0] for path in FILES] == [
        "llama_cpp_native",
        "llama_cpp_python",
        "vllm",
    ]


@every
def test_the_emulator_answers_as_the_real_server_did(path: Path) -> None:
    recording = read(path)
    differences = compare_all(recording.replies, emulated(recording.engine))
    left, idle = unexplained(recording.engine, differences, ACCEPTED)
    assert not left, "\n".join(map(str, left))
    assert not idle, f"nothing needs these any more: {[each.why for each in idle]}"


@every
def test_a_recording_holds_every_probe_and_no_secret(path: Path) -> None:
    recording = read(path)
    assert [reply.probe for reply in recording.replies] == [probe.id for probe in PROBES]
    assert KEY not in path.read_text()
    assert path.stem == f"{recording.engine}-{recording.version}"


def planted(body: str) -> list[str]:
    """One small mistake each, of the kinds a wrong emulator would make."""
    chunks = body.split("\n\n")
    return [
        body.replace('"finish_reason":null', '"finish_reason":""', 1),
        body.replace('"index":0,', "", 1),
        body.replace('"created":1', '"created":"1', 1).replace(',"model"', '","model"', 1),
        body.replace("[DONE]", "[done]"),
        "\n\n".join(chunks[:-2]) + "\n\n",
        "\n\n".join([*chunks[:-3], *chunks[-2:]]),
        body.replace("\n\n", "\r\n\r\n"),
        body.replace('"delta":', '"Delta":', 1),
    ]


@every
def test_a_planted_difference_is_caught(path: Path) -> None:
    real = answer_of(read(path), "chat.stream")
    body = real.body.replace('": ', '":').replace(', "', ',"')
    real = replace(real, body=body)
    assert not compare(real, real)
    for wrong in planted(body):
        assert wrong != body
        assert compare(real, replace(real, body=wrong)), wrong


@every
def test_a_wrong_status_header_or_error_is_caught(path: Path) -> None:
    real = answer_of(read(path), "bad.overflow.prompt")
    (name, value), *rest = [each for each in real.headers if each[0].lower() != "date"]
    wrong = [
        replace(real, status=418),
        replace(real, headers=tuple(rest)),
        replace(real, headers=((name, value + "x"), *rest)),
        replace(real, headers=((name.swapcase(), value), *rest)),
        replace(real, body=real.body.replace("context", "window", 1)),
        replace(real, body=real.body.replace('"type"', '"kind"', 1)),
    ]
    for each in wrong:
        assert compare(real, each)


def test_ids_times_and_texts_may_differ_but_not_their_kind() -> None:
    def reply(body: object) -> Reply:
        headers = (("content-type", "application/json"),)
        return Reply(probe="p", status=200, headers=headers, body=json.dumps(body))

    one = reply({"id": "cmpl-0123456789abcdef", "created": 1, "text": "a", "usage": None})
    same = reply({"id": "cmpl-fedcba9876543210", "created": 2, "text": "b", "usage": None})
    assert not compare(one, same)
    for wrong in (
        {"id": "cmpl-0123", "created": 1, "text": "a", "usage": None},
        {"id": "cmpl-0123456789abcdef", "created": 1.5, "text": "a", "usage": None},
        {"id": "cmpl-0123456789abcdef", "created": 1, "text": None, "usage": None},
        {"created": 1, "id": "cmpl-0123456789abcdef", "text": "a", "usage": None},
    ):
        assert compare(one, reply(wrong))


def test_an_acceptance_explains_only_what_it_names_and_must_be_needed() -> None:
    headers = (("content-type", "application/json"),)
    real = Reply(probe="a", status=200, headers=headers, body='{"x": 1, "y": 1}')
    other = replace(real, body='{"x": 2, "y": 2}')
    differences = compare_all([real], [other])
    assert [each.path for each in differences] == ["body.x", "body.y"]
    accepted = (Accepted("e", "a", "body.x", "known"), Accepted("e", "b", "*", "idle"))
    left, idle = unexplained("e", differences, accepted)
    assert [each.path for each in left] == ["body.y"]
    assert [each.why for each in idle] == ["idle"]
    assert [each.path for each in compare_all([real], [])] == ["asked"]


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    for text in ("", "{}\n", "not json\n"):
        (tmp_path / "broken.jsonl").write_text(text)
        with pytest.raises(RecordingError, match="is no recording"):
            read(tmp_path / "broken.jsonl")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(RecordingError, match=r"http://127.0.0.1:1 did not answer"):
        record("http://127.0.0.1:1")
