"""The launcher of a real Ollama, with a small program in the place of the real one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.engine import EngineError
from harness.engines.real import asking, ollama_server
from harness.engines.real.ollama_server import Ollama, tagged
from harness.process.child import ProcessError
from harness.registry import load
from harness.stack.fleet import Fleet, kinds_of, missing, needed_by

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Path(__file__).parents[4] / "config"
STAND_IN = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"
' '''
import http.server, json, os, pathlib, sys, urllib.request
at, folder = os.environ["OLLAMA_HOST"], pathlib.Path(os.environ["OLLAMA_MODELS"])
if sys.argv[1] == "create":
    _, _, name, flag, path = sys.argv
    text = open(path).read()
    if "BEHAVIOUR" == "refuses":
        sys.exit("Error: invalid file magic")
    body = json.dumps({{"model": name, "modelfile": text}}).encode()
    urllib.request.urlopen("http://" + at + "/api/create", body).read()
    print("success")
    sys.exit()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {{
            "/api/version": {{"version": "0.99.1"}},
            "/api/tags": {{"models": [json.loads(f.read_bytes()) for f in folder.glob("*.json")]}},
            "/environ": dict(os.environ),
        }}
        self.say(told[self.path])
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = told["model"] if ":" in told["model"] else told["model"] + ":latest"
        folder.mkdir(parents=True, exist_ok=True)
        if "BEHAVIOUR" != "forgets":
            file = folder / (name.replace(":", "_") + ".json")
            file.write_text(json.dumps({{"name": name, "modelfile": told["modelfile"]}}))
        print("created", name, flush=True)
        self.say({{"status": "success"}})
    def say(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
host, _, port = at.rpartition(":")
http.server.ThreadingHTTPServer((host, int(port)), Answer).serve_forever()
"""
"""``ollama serve`` and ``ollama create``, as far as the launcher speaks with them."""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    def write(behaviour: str = "works") -> Path:
        path = tmp_path / "bin" / "ollama"
        path.parent.mkdir(exist_ok=True)
        path.write_text(STAND_IN.replace("BEHAVIOUR", behaviour))
        path.chmod(0o755)
        return path

    return write


def ollama(tmp_path: Path, executable: Path, *, model: bytes = b"GGUF") -> Ollama:
    (tmp_path / "m.gguf").write_bytes(model)
    return Ollama(
        "ollama",
        executable=executable,
        model=tmp_path / "m.gguf",
        served_as=["a:7b", "b"],
        directory=tmp_path / "run",
        context_length=8192,
        slots=3,
    )


def test_it_runs_in_a_folder_of_its_own_with_the_model_under_every_name(
    tmp_path: Path, program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:11434")
    monkeypatch.setenv("OLLAMA_MODELS", "/the/models/of/the/user")

    async def story() -> tuple[Ollama, Any, Any, str]:
        async with ollama(tmp_path, program()) as engine:
            tags = await asking.get_json(engine.host, engine.port, "/api/tags")
            environ = await asking.get_json(engine.host, engine.port, "/environ")
            return engine, tags, environ, f"{engine.host}:{engine.port}"

    engine, tags, environ, at = asyncio.run(story())
    assert (engine.kind, engine.version) == ("real", "0.99.1")
    assert {each["name"] for each in tags["models"]} == {"a:7b", "b:latest"}
    assert all(each["modelfile"] == engine.modelfile() for each in tags["models"])
    assert environ["OLLAMA_HOST"] == at
    assert environ["OLLAMA_MODELS"] == str(tmp_path / "run" / "ollama" / "models")
    assert environ["HOME"] == str(tmp_path / "run" / "ollama")
    assert environ["OLLAMA_NUM_PARALLEL"] == "3"
    assert not engine.running


def test_its_model_has_our_template_and_is_greedy_and_bounded(
    tmp_path: Path, program: Callable[..., Path]
) -> None:
    text = ollama(tmp_path, program()).modelfile()
    assert text.startswith(f"FROM {tmp_path / 'm.gguf'}\n")
    for line in ("num_ctx 8192", "num_predict 256", "temperature 0", "num_gpu 0"):
        assert f"PARAMETER {line}\n" in text
    assert text.count('"""') == 2
    template = text.split('"""')[1]
    assert template.count("{{") == template.count("}}")
    opened = template.count("{{ if") + template.count("{{- if") + template.count("{{ range")
    assert template.count("{{ end }}") == opened
    assert template.endswith("<|assistant|>")


def test_it_dies_and_comes_back_on_the_same_port_with_what_it_had(
    tmp_path: Path, program: Callable[..., Path]
) -> None:
    async def story() -> tuple[str, str, str]:
        async with ollama(tmp_path, program()) as engine:
            before = engine.endpoint
            engine.kill()
            await engine.gone()
            with pytest.raises(asking.NoAnswer):
                await asking.get(engine.host, engine.port, "/api/version")
            await engine.restart()
            await engine.ready()
            return before, engine.endpoint, (tmp_path / "run" / "ollama.log").read_text()

    before, after, log = asyncio.run(story())
    assert before == after
    assert log.count("created") == 2


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("refuses", "ended with 1: Error: invalid file magic"), ("forgets", "does not list a:7b, b")],
)
def test_a_model_it_does_not_take_is_an_error_that_says_why(
    tmp_path: Path, program: Callable[..., Path], behaviour: str, said: str
) -> None:
    async def story() -> Ollama:
        engine = ollama(tmp_path, program(behaviour))
        with pytest.raises(EngineError, match=said) as caught:
            await engine.__aenter__()
        assert caught.value.id == "engine.model"
        return engine

    assert not asyncio.run(story()).running


def test_a_file_that_is_no_model_is_refused_before_anything_starts(
    tmp_path: Path, program: Callable[..., Path]
) -> None:
    engine = ollama(tmp_path, program(), model=b"nope")
    with pytest.raises(EngineError, match="begins with 'GGUF'"):
        asyncio.run(engine.start())
    assert not engine.running


def test_a_program_that_is_no_server_is_named_with_what_it_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with ollama(tmp_path, Path("/bin/false")):
            pass

    with pytest.raises(ProcessError, match="Ollama ollama"):
        asyncio.run(story())


@pytest.mark.parametrize(("name", "listed"), [("a:7b", "a:7b"), ("b", "b:latest")])
def test_a_name_without_a_tag_is_the_latest(name: str, listed: str) -> None:
    assert tagged(name) == listed


def test_the_tiers_take_the_users_own_ollama_and_say_it_is_real(
    tmp_path: Path, program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load(CONFIG)
    own = program()
    fleet = Fleet(registry=registry, tier="native", seed=1, secrets={}, directory=tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(own.parent))
    assert ollama_server.found() == own
    kinds = [kinds_of(registry, tier)["ollama"] for tier in ("emulated", "native", "full")]
    assert kinds == ["emulated", "real", "real"]
    assert needed_by("ollama") is None
    engine = asyncio.run(fleet.engine("ollama"))
    assert isinstance(engine, Ollama)
    assert "llama3.1:latest" in engine.served_as


def test_without_one_a_facade_is_called_an_emulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load(CONFIG)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ollama_server.found() is None
    assert kinds_of(registry, "full")["ollama"] == "emulated"
    assert needed_by("ollama") == "llama-cpp"
    assert "llama-cpp" in missing(registry, "native")
