"""The facade over a llama-server that says what a test wants, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from harness.engines.real.ollama.native import Native
from harness.engines.real.ollama.residency import Residency
from harness.engines.real.ollama.server import serve
from harness.engines.real.ollama.upstream import Upstream

FACTS = {
    "props": {"build_info": "b1-abc", "model_alias": "told", "chat_template": "{{ tools }}"},
    "meta": {
        "n_params": 7_600_000_000,
        "n_ctx": 2048,
        "n_ctx_train": 4096,
        "size": 5,
        "ftype": "Q",
    },
}
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
PROMPT = {"model": "m", "prompt": "Hi"}
TEXT = ["one", " two", " ünï"]


def event(**fields: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"model": "told", **fields}, separators=(",", ":")).encode()
        + b"\n\n"
    )


def spoken(*words: str) -> list[bytes]:
    words = words or tuple(TEXT)
    last = {"usage": {"prompt_tokens": 3, "completion_tokens": len(words)}}
    timings = {"prompt_ms": 1.0, "predicted_ms": 2.0}
    return [
        *(event(choices=[{"delta": {"content": word}, "finish_reason": None}]) for word in words),
        event(choices=[{"delta": {}, "finish_reason": "length"}]),
        event(choices=[], **last, timings=timings),
        b"data: [DONE]\n\n",
    ]


class Behind:
    """The llama-server: what it was asked, what it says, and whether it was left."""

    def __init__(self, pieces: list[bytes], status: int = 200, *, hold: bool = False) -> None:
        self.pieces, self.status, self.hold = pieces, status, hold
        self.asked: list[tuple[str, Any]] = []
        self.left = asyncio.Event()
        self.breaks_off = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        self.asked.append((head.split(b" ", 2)[1].decode(), json.loads(body)))
        stream = self.status == 200 and self.pieces[-1].startswith(b"data:")
        kind = b"text/event-stream" if stream else b"application/json"
        writer.write(b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n" % (self.status, kind))
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for piece in self.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if self.hold:
            with suppress(OSError):
                await reader.read()
            self.left.set()
        elif not self.breaks_off:
            writer.write(b"0\r\n\r\n")
        writer.close()


Use = Callable[[httpx.AsyncClient, Behind], Awaitable[Any]]


def with_facade(use: Use, pieces: list[bytes] | None = None, **behind: Any) -> Any:
    async def run() -> Any:
        breaks_off = behind.pop("breaks_off", False)
        said = Behind(spoken() if pieces is None else pieces, **behind)
        said.breaks_off = breaks_off
        upstream = await asyncio.start_server(said, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        residency = Residency(["m", "n:7b"], parallel=2, queue=1)
        server = await serve(Native(Upstream("127.0.0.1", port), residency, FACTS), "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as client:
                return await use(client, said)
        finally:
            server.close()
            upstream.close()

    return asyncio.run(run())


def posted(
    path: str, body: Any, pieces: list[bytes] | None = None, **behind: Any
) -> httpx.Response:
    async def post(client: httpx.AsyncClient, _: Behind) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await client.post(path, content=content)

    response: httpx.Response = with_facade(post, pieces, **behind)
    return response


def got(path: str, method: str = "GET") -> httpx.Response:
    async def get(client: httpx.AsyncClient, _: Behind) -> httpx.Response:
        return await client.request(method, path)

    response: httpx.Response = with_facade(get)
    return response


def lines(response: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_chat_streams_a_line_for_each_token_and_one_that_says_it_is_done() -> None:
    response = posted("/api/chat", HI)
    *tokens, last = lines(response)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [each["message"] for each in tokens] == [
        {"role": "assistant", "content": word} for word in TEXT
    ]
    assert {each["done"] for each in tokens} == {False}
    assert list(last)[:3] == ["model", "created_at", "message"]
    assert (last["done"], last["done_reason"]) == (True, "length")
    assert (last["prompt_eval_count"], last["eval_count"]) == (3, 3)
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (1_000_000, 2_000_000)
    assert last["total_duration"] > last["load_duration"] >= 0


def test_a_whole_answer_is_the_last_line_with_the_text_in_it() -> None:
    chat = posted("/api/chat", {**HI, "stream": False}).json()
    text = posted("/api/generate", {**PROMPT, "stream": False}).json()
    assert chat["message"] == {"role": "assistant", "content": "".join(TEXT)}
    assert text["response"] == "".join(TEXT)
    assert chat.keys() - {"message"} == text.keys() - {"response"} >= {"total_duration", "done"}


def test_a_completion_streams_its_response() -> None:
    assert [each["response"] for each in lines(posted("/api/generate", PROMPT))] == [*TEXT, ""]


def test_a_call_is_a_line_of_its_own() -> None:
    part = {"index": 0, "function": {"name": "add", "arguments": "{}"}}
    pieces = [event(choices=[{"delta": {"tool_calls": [part]}}]), *spoken("")]
    call, last = lines(posted("/api/chat", HI, pieces))
    assert call["message"]["tool_calls"] == [{"function": {"name": "add", "arguments": {}}}]
    assert (call["done"], last["done"]) == (False, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/chat", {**HI, "model": "x"}, 404, {"error": "model 'x' not found"}),
        ("/api/show", {"name": "n"}, 404, {"error": "model 'n' not found"}),
        ("/api/generate", {}, 400, {"error": "model is required"}),
        ("/api/generate", b"", 400, {"error": "missing request body"}),
        ("/api/embed", {"model": "x"}, 404, {"error": "model 'x' not found"}),
    ],
)
def test_a_refusal_is_in_the_words_of_ollama(path: str, body: Any, status: int, text: Any) -> None:
    response = posted(path, body)
    assert (response.status_code, response.json()) == (status, text)


@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert posted("/api/chat", body).status_code == 400


def test_openai_routes_refuse_in_the_words_of_openai() -> None:
    response = posted("/v1/chat/completions", {**HI, "model": "x"})
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"


def test_an_error_from_behind_is_told_with_its_status() -> None:
    error = [json.dumps({"error": {"message": "too long"}}).encode()]
    response = posted("/api/chat", HI, error, status=400)
    assert (response.status_code, response.json()) == (400, {"error": "too long"})


def test_an_answer_that_breaks_off_ends_in_an_error_line() -> None:
    *_, last = lines(posted("/api/chat", HI, spoken()[:2], breaks_off=True))
    assert "broke off" in last["error"]


def test_an_openai_answer_that_breaks_off_has_no_end() -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        posted("/v1/chat/completions", {**HI, "stream": True}, spoken()[:2], breaks_off=True)


def test_openai_routes_pass_on_every_byte_but_the_name_of_the_model() -> None:
    stream = b"".join(spoken())
    pieces = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    response = posted("/v1/chat/completions", {**HI, "stream": True}, pieces)
    assert response.content == stream.replace(b'"model":"told"', b'"model":"m"') != stream
    whole = [b'{"model":"told","text":"\\"model\\":\\"told\\""}']
    response = posted("/v1/completions", PROMPT, whole)
    assert response.json() == {"model": "m", "text": '"model":"told"'}


def test_a_client_that_goes_away_ends_the_answer_behind() -> None:
    async def leave(client: httpx.AsyncClient, behind: Behind) -> None:
        async with client.stream("POST", "/api/chat", json=HI) as response:
            await anext(response.aiter_lines())
        await asyncio.wait_for(behind.left.wait(), 30)

    with_facade(leave, spoken()[:1], hold=True)


def test_one_too_many_is_told_that_the_server_is_busy() -> None:
    async def crowd(client: httpx.AsyncClient, _: Behind) -> int:
        waiting = [asyncio.create_task(client.post("/api/chat", json=HI)) for _ in range(4)]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return done.pop().result().status_code

    assert with_facade(crowd, spoken()[:1], hold=True) == 503


def test_no_question_loads_or_unloads_the_model() -> None:
    async def ask(client: httpx.AsyncClient, behind: Behind) -> list[Any]:
        bodies = ({}, {"keep_alive": "1h"}, {"keep_alive": 0})
        out = []
        for body in bodies:
            answer = await client.post("/api/generate", json={"model": "m", **body})
            loaded = (await client.get("/api/ps")).json()["models"]
            out.append((answer.json()["done_reason"], [each["name"] for each in loaded]))
        return [*out, behind.asked]

    assert with_facade(ask) == [("load", ["m"]), ("load", ["m"]), ("unload", []), []]


def test_it_says_what_it_is_and_what_it_serves() -> None:
    assert got("/").text == "Ollama is running"
    assert got("/", "HEAD").status_code == 200
    assert got("/api/version").json() == {"version": "0.0.0+facade.llama-server.b1-abc"}
    names = [model["name"] for model in got("/api/tags").json()["models"]]
    assert names == [card["id"] for card in got("/v1/models").json()["data"]] == ["m", "n:7b"]
    assert got("/v1/models/n:7b").json()["id"] == "n:7b"
    shown = posted("/api/show", {"model": "m"}).json()
    assert shown["details"]["parameter_size"] == "7.6B"
    assert shown["model_info"]["llama.context_length"] == 4096
    assert "tools" in shown["template"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/chat", 405), ("POST", "/nowhere", 404), ("GET", "/v1/models/x", 404)],
)
def test_what_is_not_there_is_not_found(method: str, path: str, status: int) -> None:
    assert got(path, method).status_code == status


def test_embeddings_are_vectors_in_the_order_asked() -> None:
    said = {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}], "usage": {"prompt_tokens": 4}}

    async def embed(client: httpx.AsyncClient, behind: Behind) -> tuple[Any, Any]:
        answer = await client.post("/api/embed", json={"model": "m", "input": ["a", "b"]})
        return answer.json(), behind.asked

    answer, asked = with_facade(embed, [json.dumps(said).encode()])
    assert answer["embeddings"] == [[1.0], [2.0]]
    assert asked == [("/v1/embeddings", {"model": "m", "input": ["a", "b"]})]


def test_many_requests_use_one_connection() -> None:
    async def several(client: httpx.AsyncClient, _: Behind) -> list[int]:
        return [(await client.post("/api/chat", json=HI)).status_code for _ in range(5)]

    assert with_facade(several) == [200] * 5


def test_nobody_behind_is_a_bad_gateway() -> None:
    async def ask() -> httpx.Response:
        server = await serve(
            Native(Upstream("127.0.0.1", 1), Residency(["m"], parallel=1, queue=0), FACTS),
            "127.0.0.1",
            0,
        )
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"{base}/api/chat", json=HI)

    response = asyncio.run(ask())
    assert response.status_code == 502
    assert "does not answer" in response.json()["error"]
