"""Ollama's API: which path answers what, and everything that is generated."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from harness.engines.real.ollama.catalogue import Catalogue
from harness.engines.real.ollama.residency import Refusal, Residency
from harness.engines.real.ollama.shapes import (
    NDJSON,
    TEXT,
    Reply,
    compact,
    line,
    read_object,
    stamp,
)
from harness.engines.real.ollama.translate import Answer, chat_request, generate_request
from harness.engines.real.ollama.upstream import Upstream, UpstreamError, reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.engines.emulator.http import Request
    from harness.engines.real.ollama.translate import Json

    Part = Callable[[str, str, list[Json]], Json]
    """Text, reasoning and calls as a line of one path holds them."""

_OPEN = {"/", "/api/version", "/api/tags"}
"""What answers HEAD as well."""
_GENERATING = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}
_KINDS = {400: "invalid_request_error", 404: "not_found_error"}


class Native:
    """The routes; ``facts`` are those of `Catalogue`."""

    def __init__(self, upstream: Upstream, residency: Residency, facts: Json) -> None:
        self._upstream, self._residency = upstream, residency
        self._alias = facts["props"].get("model_alias", "")
        self._catalogue = catalogue = Catalogue(residency, facts)
        self._routes: dict[tuple[str, str], Callable[[Request, Reply], Awaitable[None]]] = {
            ("GET", "/"): catalogue.root,
            ("GET", "/api/version"): catalogue.version,
            ("GET", "/api/tags"): catalogue.tags,
            ("GET", "/api/ps"): catalogue.ps,
            ("POST", "/api/show"): catalogue.show,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/generate"): self._generate,
            ("POST", "/api/embed"): self._embed,
            ("GET", "/v1/models"): catalogue.models,
        }

    async def answer(self, request: Request, reply: Reply) -> None:
        """Answer a request, errors included."""
        openai = request.path.startswith("/v1")
        try:
            route = self._routes.get((request.method, request.path))
            if route is not None:
                await route(request, reply)
            elif request.method == "POST" and request.path in _GENERATING:
                await self._pass_on(request, reply)
            elif request.method == "GET" and request.path.startswith("/v1/models/"):
                name = self._residency.find(request.path.removeprefix("/v1/models/"))
                await reply.json(self._catalogue.card(name))
            elif request.method == "HEAD" and request.path in _OPEN:
                await reply.whole(200, TEXT, b"")
            elif any(path == request.path for _, path in self._routes):
                await reply.whole(405, "text/plain", b"405 method not allowed")
            else:
                await reply.whole(404, "text/plain", b"404 page not found")
        except (Refusal, UpstreamError) as error:
            said: Any = str(error)
            if openai:
                kind = _KINDS.get(error.status, "api_error")
                said = {"message": said, "type": kind, "param": None, "code": None}
            await reply.json({"error": said}, error.status)

    # What is generated.

    async def _chat(self, request: Request, reply: Reply) -> None:
        body = read_object(request.body)
        name = self._residency.find(body.get("model"))
        if not body.get("messages"):
            await self._only_load(name, body, _chat_part("", "", []), reply)
            return
        asked = ("/v1/chat/completions", chat_request(body))
        await self._run(name, body, asked, _chat_part, reply)

    async def _generate(self, request: Request, reply: Reply) -> None:
        body = read_object(request.body)
        name = self._residency.find(body.get("model"))
        if not body.get("prompt"):
            await self._only_load(name, body, _generate_part("", "", []), reply)
            return
        await self._run(name, body, generate_request(body), _generate_part, reply)

    async def _only_load(self, name: str, body: Json, empty: Json, reply: Reply) -> None:
        """Nothing to answer: the model is loaded, or with ``keep_alive`` 0 unloaded."""
        keep = body.get("keep_alive")
        async with self._residency.turn(name, keep):
            done = "unload" if keep == 0 else "load"
        await reply.json({**_opening(body), **empty, "done": True, "done_reason": done})

    async def _run(
        self, name: str, body: Json, asked: tuple[str, Json], part: Part, reply: Reply
    ) -> None:
        started, answer = time.monotonic_ns(), Answer()
        lines = _Lines(body, part, reply)
        async with self._residency.turn(name, body.get("keep_alive")) as load_ns:
            path, question = asked
            events = self._upstream.stream(path, {"model": name, **question})
            try:
                async with aclosing(events):
                    async for event in events:
                        await lines.say(*answer.take(event))
            except UpstreamError as error:
                if not lines.begun:
                    raise
                await reply.piece(line({"error": str(error)}))
                return
        metrics = answer.metrics(total_ns=time.monotonic_ns() - started, load_ns=load_ns)
        await lines.end(answer.tool_calls(), {"done_reason": answer.finish, **metrics})

    async def _embed(self, request: Request, reply: Reply) -> None:
        body, started = read_object(request.body), time.monotonic_ns()
        name = self._residency.find(body.get("model"))
        texts = body.get("input", "")
        texts = [texts] if isinstance(texts, str) else texts
        async with self._residency.turn(name, body.get("keep_alive")) as load_ns:
            said = await self._upstream.post("/v1/embeddings", {"model": name, "input": texts})
        await reply.json(
            {
                "model": body["model"],
                "embeddings": [each["embedding"] for each in said["data"]],
                "total_duration": time.monotonic_ns() - started,
                "load_duration": load_ns,
                "prompt_eval_count": said["usage"]["prompt_tokens"],
            }
        )

    async def _pass_on(self, request: Request, reply: Reply) -> None:
        """The OpenAI routes: the llama-server's own bytes, but for the name of the model."""
        body = read_object(request.body)
        name = self._residency.find(body.get("model"))
        told = compact({"model": self._alias})[1:-1]
        asked = compact({"model": body["model"]})[1:-1]
        # Ollama's request type has no n (ollama/ollama#13111): it is not read, one choice comes.
        sent = compact({name: value for name, value in body.items() if name != "n"})
        async with (
            self._residency.turn(name, body.get("keep_alive")),
            self._upstream.ask("POST", request.path, sent) as answer,
        ):
            if answer.status != 200:
                raise UpstreamError(answer.status, reason(await answer.body()))
            if not body.get("stream"):
                said = (await answer.body()).replace(told, asked)
                await reply.whole(200, answer.content_type, said)
                return
            await reply.begin(200, answer.content_type)
            rest = b""
            try:
                async for piece in answer.pieces:
                    whole, end, rest = (rest + piece).rpartition(b"\n")
                    await reply.piece((whole + end).replace(told, asked))
            except UpstreamError as error:
                raise ConnectionAbortedError from error  # an answer that breaks off has no end
            await reply.piece(rest.replace(told, asked))


class _Lines:
    """A native answer being said: in lines as it comes, or as one object at the end."""

    def __init__(self, body: Json, part: Part, reply: Reply) -> None:
        self._body, self._part, self._reply = body, part, reply
        self._streams = body.get("stream") is not False
        self._text = self._thought = ""
        self.begun = False

    async def say(self, text: str, thought: str) -> None:
        """More of the answer."""
        if not self._streams:
            self._text, self._thought = self._text + text, self._thought + thought
        elif text or thought:
            await self._write(self._part(text, thought, []), {"done": False})

    async def end(self, calls: list[Json], facts: Json) -> None:
        """All has been said; ``facts`` belong to the end."""
        last = {"done": True, **facts}
        if not self._streams:
            whole = self._part(self._text, self._thought, calls)
            await self._reply.json({**_opening(self._body), **whole, **last})
            return
        if calls:
            await self._write(self._part("", "", calls), {"done": False})
        await self._write(self._part("", "", []), last)

    async def _write(self, part: Json, state: Json) -> None:
        if not self.begun:
            await self._reply.begin(200, NDJSON)
            self.begun = True
        await self._reply.piece(line({**_opening(self._body), **part, **state}))


def _chat_part(text: str, thinking: str, calls: list[Json]) -> Json:
    message = _assistant(text)
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _generate_part(text: str, thinking: str, calls: list[Json]) -> Json:
    del calls
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


def _assistant(text: str) -> Json:
    return {"role": "assistant", "content": text}


def _opening(body: Json) -> Json:
    return {"model": body["model"], "created_at": stamp(time.time())}
