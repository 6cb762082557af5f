"""A user's own endpoint, looked at over a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import EngineError
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.session.remote import READS, TOKENS, look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.session.remote import Sight

KEYS = {"THEIR_KEY": "their-key"}


class Theirs:
    """A server that is somebody's: an emulated vLLM with a key."""

    def __init__(self, directory: Path, dialect: str = "vllm") -> None:
        self.runner = asyncio.Runner()
        spec = EmulatorSpec(
            id="theirs",
            dialect=dialect,
            models=(ServedModel(id="m", context_length=4096), ServedModel(id="n")),
            api_key="their-key",
            settings=Settings(ttft_ms=1, itl_ms=1),
        )
        self.engine = EmulatedEngine(spec, log=directory / "theirs.log")
        self.runner.run(self.engine.start())
        self.runner.run(self.engine.ready())
        self.url = f"{self.engine.endpoint}/v1"

    def asked(self) -> list[str]:
        """What it was asked since this was called last."""
        entries = self.runner.run(self.engine.ledger())
        return [f"{entry.method} {entry.target}" for entry in entries]

    def posts(self) -> list[str]:
        return [line for line in self.asked() if not line.startswith("GET ")]

    def look(self, **words: Any) -> Sight:
        words = {"key_variable": "THEIR_KEY", "environment": KEYS, **words}
        return self.runner.run(look(self.url, **words))


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Theirs]:
    server = Theirs(tmp_path)
    yield server
    server.runner.run(server.engine.stop())
    server.runner.close()


def test_reading_tells_what_it_is_and_generates_nothing(theirs: Theirs) -> None:
    sight = theirs.look()
    assert (sight.dialect, sight.models) == ("vllm", ("m", "n"))
    assert sight.version == theirs.engine.version
    assert any("vllm:" in mark for mark in sight.known_by)
    assert sight.read_ms > 0
    assert (sight.asked, sight.timing, sight.broken) == ("", None, "")
    asked = theirs.asked()
    assert all(line.startswith("GET ") for line in asked)
    assert asked.count("GET /v1/models") == READS + 2  # once for its kind, once to be ready


def test_live_asks_one_question_and_no_more(theirs: Theirs) -> None:
    sight = theirs.look(live=True, model="n")
    assert sight.timing is not None
    assert (sight.asked, sight.timing.tokens, sight.broken) == ("n", TOKENS, "")
    assert theirs.posts() == ["POST /v1/chat/completions"]


def test_an_answer_that_does_not_come_is_told(theirs: Theirs) -> None:
    sight = theirs.look(live=True, model="nobody")
    assert sight.timing is None
    assert "status 404" in sight.broken


def test_a_dialect_that_is_said_is_not_looked_for(theirs: Theirs) -> None:
    assert theirs.look(dialect="openai").known_by == ()
    assert theirs.asked().count("GET /v1/models") == READS + 1


@pytest.mark.parametrize(
    ("keys", "id_"),
    [({}, "engine.remote-key"), ({"THEIR_KEY": "wrong"}, "engine.remote-key")],
)
def test_no_key_or_a_wrong_one_is_an_error(theirs: Theirs, keys: dict[str, str], id_: str) -> None:
    with pytest.raises(EngineError) as caught:
        theirs.look(environment=keys)
    assert caught.value.id == id_


def test_the_command_refuses_to_generate_unless_it_is_live(
    theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_KEY", "their-key")
    words = ["engines", "--remote", theirs.url, "--key-env", "THEIR_KEY"]
    read = CliRunner().invoke(main, words)
    assert read.exit_code == 0, read.output
    assert "not asked: that costs money or load. Say --live." in read.stdout
    assert f"nox -s contract -- {theirs.url} --key-env THEIR_KEY" in read.stdout
    assert theirs.posts() == []
    told = json.loads(CliRunner().invoke(main, [*words, "--live", "--json"]).stdout)
    assert (told["kind"], told["asked"], told["tokens"]) == ("remote", "m", TOKENS)
    assert theirs.posts() == ["POST /v1/chat/completions"]
    broken = CliRunner().invoke(main, [*words, "--live", "--model", "nobody"])
    assert broken.exit_code == 1
    assert "FAIL, nobody: status 404" in broken.stdout


def test_the_command_says_what_is_missing(theirs: Theirs) -> None:
    words = ["engines", "--remote", theirs.url, "--key-env", "NO_SUCH_KEY"]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "engine.remote-key" in refused.stderr
    lonely = CliRunner().invoke(main, ["engines", "--live"])
    assert lonely.exit_code == 2
    assert "--remote URL" in lonely.stderr
