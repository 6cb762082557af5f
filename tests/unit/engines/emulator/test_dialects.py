"""Each dialect's bytes. The goldens were checked against the sources named in its module."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.engines.emulator import dialects
from harness.engines.spec import SpecError
from harness.registry.models.providers import ProviderType

USAGE = {"stream": True, "max_tokens": 2, "stream_options": {"include_usage": True}}

GOLDEN = {path.stem: path.read_bytes() for path in Path(__file__).parent.glob("golden/*.sse")}
every = pytest.mark.parametrize("dialect", sorted(GOLDEN))


def test_there_is_a_golden_for_every_dialect() -> None:
    assert sorted([*GOLDEN, "anthropic"]) == dialects.names()  # which has a file of its own


@every
def test_a_stream_is_exactly_this(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> bytes:
        return (await it.chat(**USAGE)).body

    assert lab.run(scenario, dialect=dialect) == GOLDEN[dialect]


def test_an_answer_is_exactly_these_bytes_head_and_chunks_included(lab: Any) -> None:
    async def scenario(it: Any) -> bytes:
        return (await it.chat(stream=True, max_tokens=1, path="/v1/completions", prompt="x")).raw

    assert lab.run(scenario) == (
        b"HTTP/1.1 200 OK\r\n"
        b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
        b"content-type: text/event-stream; charset=utf-8\r\n"
        b"transfer-encoding: chunked\r\n"
        b"\r\n"
        b"e0\r\n"
        b'data: {"id":"cmpl-3c0b85980ba016d9e8f2b7d0c4a7385f","object":"text_completion",'
        b'"created":1700000000,"model":"large","system_fingerprint":null,"choices":'
        b'[{"text":"engine-a:","index":0,"logprobs":null,"finish_reason":null}]}\n\n\r\n'
        b"db\r\n"
        b'data: {"id":"cmpl-3c0b85980ba016d9e8f2b7d0c4a7385f","object":"text_completion",'
        b'"created":1700000000,"model":"large","system_fingerprint":null,"choices":'
        b'[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}\n\n\r\n'
        b"e\r\n"
        b"data: [DONE]\n\n\r\n"
        b"0\r\n\r\n"
    )


def test_ollama_streams_lines_of_its_own_unless_told_not_to(lab: Any) -> None:
    asked = {"path": "/api/chat", "options": {"num_predict": 2}}

    async def scenario(it: Any) -> None:
        stream = await it.chat(**asked)
        assert "Content-Type: application/x-ndjson" in stream.head
        assert stream.body.decode() == (
            '{"model":"large","created_at":"2023-11-14T22:13:20Z",'
            '"message":{"role":"assistant","content":"engine-a:"},"done":false}\n'
            '{"model":"large","created_at":"2023-11-14T22:13:20Z",'
            '"message":{"role":"assistant","content":" gare"},"done":false}\n'
            '{"model":"large","created_at":"2023-11-14T22:13:20Z",'
            '"message":{"role":"assistant","content":""},"done":true,"done_reason":"length",'
            '"total_duration":5000000,"load_duration":0,"prompt_eval_count":2,'
            '"prompt_eval_duration":3000000,"eval_count":2,"eval_duration":2000000}\n'
        )
        unary = (await it.chat(**asked, stream=False)).json
        assert unary["message"]["content"] == "engine-a: gare"
        assert (unary["done"], unary["eval_count"]) == (True, 2)
        generated = (await it.chat(path="/api/generate", prompt="hi", stream=False)).json
        assert generated["response"].startswith("engine-a:")
        assert generated["done_reason"] == "stop"

    lab.run(scenario, dialect="ollama", settings={"ttft_ms": 3, "itl_ms": 2})


def test_ollama_answers_what_litellm_and_monitors_ask_it(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        assert (await it.ask(lab.get("/"))).body == b"Ollama is running"
        assert "version" in (await it.ask(lab.get("/api/version"))).json
        for path in ("/api/tags", "/api/ps"):
            models = (await it.ask(lab.get(path))).json["models"]
            assert [model["name"] for model in models] == ["small", "large"]
        shown = (await it.ask(lab.post("/api/show", {"name": "small"}))).json
        assert shown["model_info"]["emulated.context_length"] == 64
        missing = await it.ask(lab.post("/api/show", {"model": "nope"}))
        assert (missing.status, missing.json) == (404, {"error": "model 'nope' not found"})

    lab.run(scenario, dialect="ollama")


def test_ollama_takes_a_name_without_its_tag(lab: Any) -> None:
    async def scenario(it: Any) -> int:
        return (await it.chat(model="llama3.1")).status

    model = type(lab.spec().models[0])("llama3.1:latest")
    assert lab.run(scenario, dialect="ollama", models=(model,)) == 200


@every
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("limit", [None, 1, 40])
def test_joined_deltas_are_the_unary_text_and_the_finish_is_said_once(
    lab: Any, dialect: str, path: str, limit: int | None
) -> None:
    async def scenario(it: Any) -> None:
        asked = {"path": path, "prompt": "hi", "max_tokens": limit}
        stream, unary = await it.chat(**asked, stream=True), (await it.chat(**asked)).json
        choice = unary["choices"][0]
        assert stream.text == choice.get("text", choice.get("message", {}).get("content"))
        finishes = [chunk["choices"][0]["finish_reason"] for chunk in stream.chunks]
        assert [each for each in finishes if each] == ["stop" if limit is None else "length"]
        assert finishes[-1]
        assert stream.events[-1] == "[DONE]"
        assert len({chunk["id"] for chunk in stream.chunks}) == 1
        assert unary["usage"]["completion_tokens"] == (limit or 16)

    lab.run(scenario, dialect=dialect)


@every
def test_usage_in_a_stream_is_sent_only_on_request_and_only_where_it_is_known(
    lab: Any, dialect: str
) -> None:
    knows = dialects.load(dialect).capabilities.stream_usage

    async def scenario(it: Any) -> None:
        asked, silent = await it.chat(**USAGE), await it.chat(stream=True)
        assert bool(asked.chunks[-1].get("usage")) == knows
        assert not any(chunk.get("usage") for chunk in silent.chunks)

    lab.run(scenario, dialect=dialect)


# status of: unknown model, no messages, wrong type, beyond the context, n=2, no JSON, no such path
STATUSES = {
    "openai": [404, 400, 400, 400, 200, 400, 404],
    "vllm": [404, 400, 400, 200, 200, 400, 404],
    "llama_cpp_native": [200, 400, 400, 200, 200, 500, 404],
    "llama_cpp_python": [200, 200, 500, 200, 200, 500, 404],
    "ollama": [404, 400, 400, 200, 200, 400, 404],
}
ENVELOPES: dict[str, Any] = {
    "openai": {
        "message": "The model `x` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    },
    "vllm": {
        "message": "The model `x` does not exist. Valid aliases: small, large.",
        "type": "NotFoundError",
        "param": "model",
        "code": 404,
    },
    "ollama": {
        "message": "model 'x' not found",
        "type": "not_found_error",
        "param": None,
        "code": None,
    },
}


@every
def test_each_refuses_in_its_own_way(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> list[int]:
        unknown = await it.chat(model="x")
        if dialect in ENVELOPES:
            assert unknown.json == {"error": ENVELOPES[dialect]}
        else:
            echoed = {"llama_cpp_native": "small"}  # ggml-org/llama.cpp#17668
            assert unknown.json["model"] == echoed.get(dialect, "x")
        return [
            unknown.status,
            (await it.chat(messages=None)).status,
            (await it.chat(temperature="hot")).status,
            (await it.chat(model="small", max_tokens=65)).status,
            (await it.chat(n=2)).status,
            (await it.ask(lab.post(lab.chat_path, b"{not json"))).status,
            (await it.ask(lab.get("/v1/nowhere"))).status,
        ]

    assert lab.run(scenario, dialect=dialect) == STATUSES[dialect]


# Asked of the real servers as well, which take it: clamped, converted, or not read at all.
TAKEN = {
    "llama_cpp_native": [
        *({"messages": []}, {"max_tokens": True}, {"temperature": 3}, {"top_p": -1}),
        *({"model": 7}, {"stream_options": []}),
    ],
    "llama_cpp_python": [
        *({"messages": []}, {"max_tokens": True}, {"stream": "yes"}, {"temperature": 3}),
        *({"n": 0}, {"stream_options": []}),
    ],
    "vllm": [{"max_tokens": True}, {"stream": "yes"}],
}


@every
@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"content": "hi"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"max_tokens": "ten"},
        {"max_tokens": True},
        {"stream": "yes"},
        {"temperature": 3},
        {"top_p": -1},
        {"stop": [1]},
        {"n": 0},
        {"seed": "x"},
        {"model": 7},
        {"stream_options": []},
    ],
    ids=repr,
)
def test_nonsense_is_refused_unless_the_server_takes_it(lab: Any, dialect: str, wrong: Any) -> None:
    async def scenario(it: Any) -> int:
        return (await it.chat(**wrong)).status

    assert (lab.run(scenario, dialect=dialect) == 200) == (wrong in TAKEN.get(dialect, []))


@every
def test_a_prompt_that_fills_the_context_is_refused_by_every_dialect(
    lab: Any, dialect: str
) -> None:
    async def scenario(it: Any) -> int:
        messages = [{"role": "user", "content": "word " * 64}]
        return (await it.chat(model="small", messages=messages)).status

    assert lab.run(scenario, dialect=dialect) == 400


def test_llama_cpp_says_how_much_was_too_much(lab: Any) -> None:
    async def scenario(it: Any) -> Any:
        messages = [{"role": "user", "content": "word " * 70}]
        return (await it.chat(model="small", messages=messages)).json

    assert lab.run(scenario, dialect="llama_cpp_native") == {
        "error": {
            "code": 400,
            "message": "request (70 tokens) exceeds the available context size (64 tokens), "
            "try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 70,
            "n_ctx": 64,
        }
    }


UNAUTHORISED = {
    "openai": {
        "error": {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    },
    "vllm": {"error": "Unauthorized"},
    "llama_cpp_native": {
        "error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}
    },
    "llama_cpp_python": {"detail": "Invalid API key"},
    "ollama": {
        "error": {"message": "unauthorized", "type": "api_error", "param": None, "code": None}
    },
}


@every
def test_without_the_key_there_is_no_answer(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        for headers in ([], ["authorization: Bearer wrong"], ["authorization: Basic right"]):
            refused = await it.chat(*headers)
            assert (refused.status, refused.json) == (401, UNAUTHORISED[dialect])
        assert (await it.chat("authorization: bearer right")).status == 200

    lab.run(scenario, dialect=dialect, api_key="right")


@pytest.mark.parametrize(
    ("dialect", "open_paths", "closed_paths"),
    [
        ("vllm", ["/health", "/metrics"], ["/v1/models"]),
        ("llama_cpp_native", ["/health", "/v1/health"], ["/v1/models", "/metrics"]),
    ],
)
def test_some_paths_stay_open(
    lab: Any, dialect: str, open_paths: list[str], closed_paths: list[str]
) -> None:
    async def scenario(it: Any) -> None:
        assert {(await it.ask(lab.get(path))).status for path in open_paths} == {200}
        assert {(await it.ask(lab.get(path))).status for path in closed_paths} == {401}

    lab.run(scenario, dialect=dialect, api_key="right")


@every
def test_its_capabilities_are_true(lab: Any, dialect: str) -> None:
    capabilities = dialects.load(dialect).capabilities

    async def scenario(it: Any) -> None:
        assert (await it.ask(lab.get(capabilities.health))).status == 200
        retrieved = await it.ask(lab.get("/v1/models/small"))
        assert (retrieved.status == 200) == capabilities.retrieve_model
        metrics = await it.ask(lab.get("/metrics"))
        assert (metrics.status == 200) == (capabilities.metrics is not None)
        several = await it.chat(n=2)
        honoured = several.status == 200 and len(several.json["choices"]) == 2
        assert honoured == capabilities.choices
        for path in capabilities.native:
            assert (await it.chat(path=path, prompt="x")).status == 200

    lab.run(scenario, dialect=dialect)


@every
def test_its_models_are_listed_by_the_names_they_answer_to(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> list[str]:
        listed = (await it.ask(lab.get("/v1/models"))).json
        assert listed["object"] == "list"
        return [model["id"] for model in listed["data"]]

    assert lab.run(scenario, dialect=dialect) == ["small", "large"]


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        ("vllm", ("vllm:num_requests_running", "vllm:num_requests_waiting")),
        ("llama_cpp_native", ("llamacpp:requests_processing", "llamacpp:requests_deferred")),
    ],
)
def test_metrics_count_who_runs_and_who_waits(
    lab: Any, dialect: str, names: tuple[str, str]
) -> None:
    async def scenario(it: Any) -> None:
        async def read() -> list[float]:
            lines = (await it.ask(lab.get("/metrics"))).body.decode().splitlines()
            return [
                float(line.split()[-1])
                for name in names
                for line in lines
                if re.match(f"{name}[ {{]", line)
            ]

        assert await read() == [0, 0]
        closers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            body = {"model": "large", "messages": lab.hi, "stream": True}
            writer.write(lab.post(lab.chat_path, body))
            closers.append((reader, writer))
        await it.until(lambda: it.emulator.requests == 4)
        assert await read() == [2, 1]
        for _, writer in closers:
            writer.close()
        await it.until(lambda: it.emulator.stats()["running"] == 0)
        assert await read() == [0, 0]

    lab.run(scenario, dialect=dialect, settings={"ttft_ms": 3_600_000, "max_concurrency": 2})


def test_limits_that_a_server_does_not_know_are_ignored_by_its_dialect(lab: Any) -> None:
    async def scenario(it: Any) -> int:
        body = (await it.chat(max_completion_tokens=3)).json
        count: int = body["usage"]["completion_tokens"]
        return count

    counts = {dialect: lab.run(scenario, dialect=dialect) for dialect in GOLDEN}
    ignoring = {dialect for dialect, count in counts.items() if count == 16}
    assert ignoring == {"ollama", "llama_cpp_python"}


def test_a_lone_surrogate_does_not_break_the_answer(lab: Any) -> None:
    async def scenario(it: Any) -> Any:
        return (await it.chat(model="\ud800")).json["model"]

    assert lab.run(scenario, dialect="llama_cpp_python") == "?"


@pytest.mark.parametrize("kind", get_args(ProviderType))
def test_every_type_of_provider_can_be_emulated(kind: str) -> None:
    assert dialects.load(kind).name in dialects.names()


def test_an_unknown_dialect_lists_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"there is no 'tgi'; there are anthropic, .*vllm"):
        dialects.load("tgi")


NEW_DIALECT = """
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.engine import Capabilities


class Shouting(Dialect):
    name = "shouting"
    version = "1"
    capabilities = Capabilities(
        stream_usage=False, choices=False, retrieve_model=False, health="/v1/models"
    )

    def message(self, reply, index):
        return {"role": "assistant", "content": reply.choices[index].text.upper()}


dialect = Shouting
"""


def test_a_new_dialect_is_one_new_file(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shouting.py").write_text(NEW_DIALECT)
    monkeypatch.setattr(dialects, "__path__", [*dialects.__path__, str(tmp_path)])

    async def scenario(it: Any) -> str:
        text: str = (await it.chat()).json["choices"][0]["message"]["content"]
        return text

    assert lab.run(scenario, dialect="shouting").startswith("ENGINE-A:")
    monkeypatch.delitem(sys.modules, "harness.engines.emulator.dialects.shouting")
