"""The Ollama facade over the real llama-server, and LiteLLM's own Ollama client against it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from harness.engines.installs import KNOWN
from harness.engines.models import TinyModel, ensure
from harness.engines.real.ollama_facade import OllamaFacade
from harness.engines.tokens import witness
from harness.gateway import environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not KNOWN["llama-cpp"].installed(), reason="not installed: nox -s engines -- llama-cpp"
)
HI = {"model": "b", "messages": [{"role": "user", "content": "Hi"}]}
SHORT = {"num_predict": 9, "temperature": 0}
LITELLM = """
import json, sys
import litellm
litellm.suppress_debug_info = True
base, out = sys.argv[1], {}
for provider in ("ollama_chat", "ollama", "openai"):
    words = dict(
        model=f"{provider}/b", api_base=base + ("/v1" if provider == "openai" else ""), api_key="x",
        messages=[{"role": "user", "content": "Hi"}], max_tokens=9, temperature=0,
    )
    whole = litellm.completion(**words)
    parts = [part.choices[0] for part in litellm.completion(stream=True, **words)]
    out[provider] = {
        "whole": whole.choices[0].message.content,
        "finish": [whole.choices[0].finish_reason, parts[-1].finish_reason],
        "tokens": whole.usage.completion_tokens,
        "prompt": whole.usage.prompt_tokens,
        "stream": "".join(part.delta.content or "" for part in parts),
    }
try:
    litellm.completion(**{**words, "model": "ollama_chat/none", "api_base": base})
except Exception as error:
    out["unknown"] = str(error)
json.dump(out, sys.stdout)
"""


def facade(directory: Path, **settings: Any) -> OllamaFacade:
    return OllamaFacade(
        "ollama",
        executable=KNOWN["llama-cpp"].program("llama-server"),
        model=ensure(TinyModel("ollama", 1, settings.get("context_length", 4096))).gguf,
        served_as=["a:7b", "b"],
        directory=directory,
        **settings,
    )


def served(
    directory: Path,
    use: Callable[[httpx.AsyncClient, OllamaFacade], Awaitable[Any]],
    **settings: Any,
) -> Any:
    async def run() -> Any:
        async with (
            facade(directory, **settings) as engine,
            httpx.AsyncClient(base_url=engine.endpoint, timeout=120, trust_env=False) as client,
        ):
            return await use(client, engine)

    return asyncio.run(run())


def test_litellm_gets_its_answers_through_every_door(tmp_path: Path) -> None:
    async def ask(_: httpx.AsyncClient, engine: OllamaFacade) -> Any:
        python = environment.location() / "bin" / "python"
        quiet = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_PROXY": "*",
            "PATH": os.environ["PATH"],
        }
        return await asyncio.to_thread(
            subprocess.run,
            [python, "-c", LITELLM, engine.endpoint],
            env=quiet,
            check=True,
            capture_output=True,
            text=True,
        )

    said = json.loads(served(tmp_path, ask).stdout)
    assert "model 'none' not found" in said.pop("unknown")
    for provider, answer in said.items():
        assert witness(answer["whole"]) == "ollama", provider
        assert answer["whole"] == answer["stream"], provider
        assert answer["tokens"] == 9
    # The third, ollama/, writes the turns of a chat into one prompt in a way of its own.
    assert said["ollama_chat"]["whole"] == said["openai"]["whole"] != said["ollama"]["whole"]


def test_counts_and_times_are_those_of_the_server(tmp_path: Path) -> None:
    async def ask(client: httpx.AsyncClient, _: OllamaFacade) -> Any:
        body = {**HI, "stream": False, "options": SHORT}
        return [(await client.post("/api/chat", json=body)).json() for _ in range(2)]

    first, second = served(tmp_path, ask, load_s=0.2)
    assert first["load_duration"] >= 200_000_000 > second["load_duration"]
    for said in (first, second):
        parts = ("load_duration", "prompt_eval_duration", "eval_duration")
        assert said["total_duration"] >= sum(said[part] for part in parts) > 0
        assert (said["eval_count"], said["done_reason"]) == (9, "length")
    assert first["prompt_eval_count"] == second["prompt_eval_count"] > 0


def test_a_schema_is_filled(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    async def ask(client: httpx.AsyncClient, _: OllamaFacade) -> Any:
        body = {**HI, "stream": False, "format": schema, "options": {"temperature": 0}}
        return (await client.post("/api/chat", json=body)).json()

    said = served(tmp_path, ask)
    assert isinstance(json.loads(said["message"]["content"])["n"], int)
    assert said["done_reason"] == "stop"


def test_embeddings_differ_with_the_text(tmp_path: Path) -> None:
    async def ask(client: httpx.AsyncClient, _: OllamaFacade) -> Any:
        body = {"model": "b", "input": ["one", "another", "one"]}
        return (await client.post("/api/embed", json=body)).json()["embeddings"]

    one, other, again = served(tmp_path, ask)
    assert one == pytest.approx(again, abs=1e-3)
    assert sum(a * b for a, b in zip(one, other, strict=True)) < 0.99


def test_an_answer_nobody_reads_ends_in_the_server_too(tmp_path: Path) -> None:
    """Of 30,000 tokens only a part is generated once the client has gone."""

    async def leave(client: httpx.AsyncClient, engine: OllamaFacade) -> float:
        body = {**HI, "options": {"num_predict": 30_000}}
        async with client.stream("POST", "/api/chat", json=body) as response:
            await anext(response.aiter_lines())
        behind = engine.server.endpoint
        busy = True
        while busy:
            slots = (await client.get(f"{behind}/slots")).json()
            busy = any(slot["is_processing"] for slot in slots)
        metrics = (await client.get(f"{behind}/metrics")).text
        found = re.search(r"^llamacpp:tokens_predicted_total (\S+)", metrics, re.MULTILINE)
        return float(found[1]) if found else -1.0

    assert served(tmp_path, leave, context_length=32_768, slots=1) < 20_000


def test_it_says_what_it_is_and_what_is_real(tmp_path: Path) -> None:
    async def ask(client: httpx.AsyncClient, engine: OllamaFacade) -> Any:
        return engine, (await client.get("/api/version")).json()["version"]

    engine, told = served(tmp_path, ask)
    assert engine.kind == "emulated"
    assert engine.version.startswith("Ollama facade over llama-server b")
    assert told.startswith("0.0.0+facade.llama-server.b")


def test_it_dies_and_comes_back_on_the_same_port(
    tmp_path: Path, left_behind: Callable[[Path], dict[int, str]]
) -> None:
    async def die(client: httpx.AsyncClient, engine: OllamaFacade) -> tuple[str, Any]:
        engine.kill()
        await engine.gone()
        with pytest.raises(httpx.TransportError):
            await client.get("/api/version")
        await engine.restart()
        await engine.ready()
        body = {**HI, "stream": False, "options": SHORT}
        return engine.endpoint, (await client.post("/api/chat", json=body)).json()

    _, said = served(tmp_path, die)
    assert witness(said["message"]["content"]) == "ollama"
    assert left_behind(tmp_path) == {}
