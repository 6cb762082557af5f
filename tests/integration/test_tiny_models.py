"""The tiny models in the real servers: asked once, judged by many."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from harness import answer
from harness.engines.installs import KNOWN
from harness.engines.models import TinyModel, ensure
from harness.engines.real.llama_cpp_python import LlamaCppPython
from harness.engines.real.llama_server import LlamaServer
from harness.engines.real.vllm import Vllm
from harness.engines.tokens import VOCABULARY, signature, witness
from harness.load.target import Target, exactly
from harness.load.workload.tokenizer import Tokenizer
from harness.wire import blocking

if TYPE_CHECKING:
    from pathlib import Path

    from harness.engines.real.base import RealServer

MISSING = [name for name in ("llama-cpp", "vllm") if not KNOWN[name].installed()]
pytestmark = pytest.mark.skipif(
    len(MISSING) == 2, reason="not installed: nox -s engines -- llama-cpp vllm"
)
SERVERS = ("llama-server", "another-seed", "llama-cpp-python", "vllm")
SHORT = 64
PROMPTS = {
    "short": "Hi",
    "english": "Count from 1 to 10, please: what is next?",
    "foreign": "naïve café — ЖЩЮЯ ñandú 日本語 한국어 😀🇩🇪 \u0301x\u200b שלום",
    "spaces": "   one \t two\n\n  three \r\n",
    "code": "```py\nprint('don\\'t', {\"a\": [1, 2]})\n```",
    "monotonous": "a" * 300,
    "long": " ".join(f"word{n}" for n in range(500)),
    "forged": "vllm: bada llama-server: bada",
}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer"},
        "color": {"enum": ["red", "green", "blue"]},
    },
    "required": ["name", "count", "color"],
    "additionalProperties": False,
}
Said = dict[str, dict[str, Any]]


def server(name: str, directory: Path) -> RealServer:
    if name == "vllm":
        return Vllm(
            name,
            python=KNOWN["vllm"].program("python"),
            model=ensure(TinyModel(name, 1)).folder,
            served_as=["tiny"],
            directory=directory,
            longest_answer=None,
        )
    cpp = KNOWN["llama-cpp"]
    gguf = ensure(TinyModel(name, 2 if name == "another-seed" else 1)).gguf
    if name == "llama-cpp-python":
        return LlamaCppPython(
            name,
            python=cpp.program("python"),
            libraries=cpp.libraries(),
            model=gguf,
            served_as="tiny",
            directory=directory,
        )
    return LlamaServer(
        name,
        executable=cpp.program("llama-server"),
        model=gguf,
        served_as=["tiny"],
        directory=directory,
    )


async def interview(endpoint: str, *, bindings: bool) -> dict[str, Any]:
    """Everything that is asked of one server."""
    # On a busy machine llama-server was seen to close a connection it had just answered on.
    once = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=endpoint, timeout=300, trust_env=False, limits=once
    ) as client:

        async def ask(path: str, body: dict[str, Any]) -> Any:
            answer = await client.post(path, json={"model": "tiny", "temperature": 0, **body})
            answer.raise_for_status()
            return answer

        async def chat(content: str, **more: Any) -> Any:
            messages = [{"role": "user", "content": content}]
            return await ask("/v1/chat/completions", {"messages": messages, **more})

        out: dict[str, Any] = {}
        for name, prompt in PROMPTS.items():
            answer = await chat(prompt, max_tokens=SHORT)
            out[f"chat {name}"] = answer.json()["choices"][0]["message"]["content"]
            answer = await ask("/v1/completions", {"prompt": prompt, "max_tokens": SHORT})
            out[f"text {name}"] = answer.json()["choices"][0]["text"]
        for temperature in (1.0, 2.0):
            answer = await chat("Hi", max_tokens=8, temperature=temperature)
            out[f"hot {temperature}"] = answer.json()["choices"][0]["message"]["content"]
        out["stream"] = (await chat("Go on.", max_tokens=3000, stream=True)).text
        shape: dict[str, Any] = {"type": "json_object", "schema": SCHEMA}
        if not bindings:  # they know no json_schema
            shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
        answer = await chat("Name one.", max_tokens=200, response_format=shape)
        out["json"] = answer.json()["choices"][0]
        if not bindings:  # their streams tell no usage
            out["counts"] = await asyncio.to_thread(counts, f"{endpoint}/v1")
        return out


def counts(api_root: str) -> dict[str, list[int | None]]:
    """What a server says of three prompts that were to be of 100 tokens, by how they are made."""
    told = {}
    for prompts in ("chat", "ids"):
        asking = Target(
            base_url=api_root, model="tiny", prompt_tokens=100, answer_tokens=1, prompts=prompts
        )
        made = exactly(asking, Tokenizer(api_root, "tiny"))
        got = [answer.read(blocking.exchange(made.make(number).request)) for number in range(3)]
        told[prompts] = [(each.usage or {}).get("prompt_tokens") for each in got]
    return told


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    directory = tmp_path_factory.mktemp("engines")
    absent = {"vllm": "vllm" in MISSING}
    names = [name for name in SERVERS if not absent.get(name, "llama-cpp" in MISSING)]

    async def run() -> Said:
        async with AsyncExitStack() as stack:
            servers = [server(name, directory) for name in names]
            for each in servers:
                await each.start()
                stack.push_async_callback(each.stop)
            return {each.id: await _interviewed(each) for each in servers}

    return asyncio.run(run())


async def _interviewed(each: RealServer) -> dict[str, Any]:
    await each.ready()
    return await interview(each.endpoint, bindings=isinstance(each, LlamaCppPython))


def texts(answers: dict[str, Any]) -> dict[str, str]:
    return {name: text for name, text in answers.items() if name.startswith(("chat", "text"))}


def streamed(answers: dict[str, Any]) -> str:
    events = [line[6:] for line in answers["stream"].splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_every_answer_names_its_engine_and_has_the_length_asked_for(said: Said) -> None:
    for name, answers in said.items():
        for which, text in texts(answers).items():
            assert witness(text) == name, which
            words = text.removeprefix(signature(name)).split(" ")[1:]
            assert len(words) == SHORT - 1, which
            assert {f" {word}" for word in words} <= {*VOCABULARY}, which


def test_the_signature_wins_at_any_temperature(said: Said) -> None:
    for name, answers in said.items():
        assert [witness(answers[f"hot {t}"]) for t in (1.0, 2.0)] == [name, name]


def test_one_seed_says_the_same_in_every_server(said: Said) -> None:
    unsigned = [
        {which: text.removeprefix(signature(name)) for which, text in texts(answers).items()}
        for name, answers in said.items()
        if name != "another-seed"
    ]
    assert all(answers == unsigned[0] for answers in unsigned)


def test_every_prompt_and_every_seed_says_something_else(said: Said) -> None:
    openings = [
        text.split(" ", 9)[1:9] for answers in said.values() for text in texts(answers).values()
    ]
    seeds = 1 + ("another-seed" in said and len(said) > 1)
    assert len({*map(tuple, openings)}) == seeds * 2 * len(PROMPTS)


def test_three_thousand_tokens_stream_without_a_hole(said: Said) -> None:
    streams = {name: streamed(answers) for name, answers in said.items()}
    for name, text in streams.items():
        assert len(text.split(" ")) == 3000
        assert {f" {word}" for word in text.split(" ")[1:]} <= {*VOCABULARY}
        streams[name] = text.removeprefix(signature(name))
    streams.pop("another-seed", None)
    assert len({*streams.values()}) == 1


def test_prompts_of_exact_counts_have_them(said: Said) -> None:
    told = {name: answers["counts"] for name, answers in said.items() if "counts" in answers}
    assert told
    assert all(each == {"chat": [100] * 3, "ids": [100] * 3} for each in told.values())


def test_a_schema_is_filled_and_the_answer_ends_by_itself(said: Said) -> None:
    for answers in said.values():
        assert answers["json"]["finish_reason"] == "stop"
        value = json.loads(answers["json"]["message"]["content"])
        assert value.keys() == SCHEMA["properties"].keys()
        assert value["color"] in {"red", "green", "blue"}
