"""How a reply is written: the shapes of OpenAI's chunks and bodies.

Field by field as in the OpenAI API reference (chat completion object and chunk object, legacy
completion object). A dialect overrides the shapes its server writes otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator import vocabulary
from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.dialects.shapes import (
    MARK,
    Json,
    Template,
    compact,
    encode,
    event,
    token_frames,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.engines.emulator.answer import Choice, Reply


class Writing:
    """From a reply to frames. ``finish`` arguments are None until the end."""

    server: ClassVar[str | None] = None
    """Value of the ``server`` header."""
    early_head: ClassVar[bool] = False
    """A stream's headers leave before its first token is there."""
    event_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    # Answers.

    def headers(self, answer: Answer, date: str, *, chunked: bool) -> Iterable[tuple[str, str]]:
        """All headers of an answer, in the order and spelling of the server."""
        yield "date", date
        if self.server:
            yield "server", self.server
        allow = [each for each in answer.headers if each[0] == "allow"]
        yield from allow
        if not answer.stream:
            yield "content-length", str(len(answer.frames[0].data))
        yield from (each for each in answer.headers if each not in allow)
        if chunked:
            yield "transfer-encoding", "chunked"

    def dumps(self, value: Any) -> str:
        """JSON of stream chunks."""
        return compact(value)

    def json(self, status: int, value: Any) -> Answer:
        """A JSON answer."""
        return self.plain(status, encode(compact(value)), "application/json")

    def plain(self, status: int, body: bytes, content_type: str) -> Answer:
        """Any other answer that is sent at once; no content type if that is empty."""
        headers = [("content-type", content_type)] if content_type else []
        return Answer(status, headers, [Frame("body", body)])

    def render(self, reply: Reply) -> Answer:
        """Give a reply its shape."""
        if reply.stream:
            frames = self.stream_frames(reply)
            answer = Answer(200, [("content-type", self.event_type)], frames, stream=True)
            answer.early_head = self.early_head
        else:
            answer = self.json(200, self.whole(reply))
            answer.frames[0].token = reply.last_token
        answer.paced = True
        answer.frames[0].hold_ns += reply.delay_ns
        return answer

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that is not streamed."""
        return self.chat_body(reply) if reply.surface == "chat" else self.completion_body(reply)

    # Streams.

    def stream_frames(self, reply: Reply) -> list[Frame]:
        """The events of a streamed answer."""
        indexes = range(len(reply.choices))
        frames = [
            Frame("role", event(self.dumps(chunk)))
            for index in indexes
            for chunk in self.opening_chunks(reply, index)
        ]
        parts = []
        for index in indexes:
            template = Template(self.token_chunk(reply, index, MARK), self.dumps, event)
            special = {
                k: event(self.dumps(chunk))
                for k, chunk in self.special_tokens(reply, index).items()
            }
            parts.append((reply.choices[index].tokens, template, special))
        frames += token_frames(parts)
        return frames + self.closing_frames(reply)

    def closing_frames(self, reply: Reply) -> list[Frame]:
        """What follows the last token."""
        last = reply.last_token
        frames = [
            Frame("finish", event(self.dumps(self.finish_chunk(reply, index))), last)
            for index, choice in enumerate(reply.choices)
            if reply.finish and not self.finish_rides_on_token(reply, choice)
        ]
        if reply.include_usage and reply.usage:
            frames.append(Frame("usage", event(self.dumps(self.usage_chunk(reply))), last))
        frames.append(Frame("done", event("[DONE]"), last))
        return frames

    def opening_chunks(self, reply: Reply, index: int) -> list[Json]:
        """The chunks before the first token: the role, and the name of the tool that is called."""
        if reply.surface != "chat":
            return []
        delta: Json = {"role": "assistant", "content": ""}
        if reply.choices[index].called:
            delta = {"role": "assistant", "content": None, **self.call_delta(reply, index, "")}
        return [self.chunk(reply, [self.chat_choice(reply, index, {**delta, "refusal": None})])]

    def call_delta(self, reply: Reply, index: int, arguments: str) -> Json:
        """The part of a delta that begins a tool call."""
        call = {"index": 0, **self.tool_call(reply, index, arguments)}
        return {"tool_calls": [call]}

    def tool_call(self, reply: Reply, index: int, arguments: str) -> Json:
        """A tool call as OpenAI writes it."""
        called = reply.choices[index].called
        if called is None:
            return {}
        function = {"name": called.name, "arguments": arguments}
        return {"id": self.call_id(called.id), "type": "function", "function": function}

    def call_id(self, unique: str) -> str:
        """The id of a tool call."""
        return f"call_{unique[-24:]}"

    def token_chunk(
        self, reply: Reply, index: int, token: str, finish: str | None = None, logprobs: Any = None
    ) -> Json:
        """A chunk with one token."""
        if reply.surface != "chat":
            made = self.text_choice(reply, index, token, finish, logprobs)
            return self.chunk(reply, [made])
        if reply.choices[index].called:
            delta = self.arguments_delta(reply, index, token)
        else:
            delta = {"content": token}
        return self.chunk(reply, [self.chat_choice(reply, index, delta, finish, logprobs)])

    def arguments_delta(self, reply: Reply, index: int, piece: str) -> Json:
        """A delta with one more piece of the arguments of a call."""
        del reply, index
        return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    def special_tokens(self, reply: Reply, index: int) -> dict[int, Json]:
        """Chunks of tokens that differ from `token_chunk`, by the token's number."""
        choice = reply.choices[index]
        words, last = choice.tokens, len(choice.tokens) - 1
        rides = self.finish_rides_on_token(reply, choice)
        wanted = range(len(words)) if self.tells_logprobs(reply) else range(last, last + rides)
        found, offset = {}, self.text_start(reply)
        for k in wanted:
            logprobs = (
                self.logprobs(reply, [words[k]], offset) if self.tells_logprobs(reply) else None
            )
            finish = choice.finish if rides and k == last else None
            found[k] = self.token_chunk(reply, index, words[k], finish, logprobs)
            offset += len(words[k])
        return found

    def finish_rides_on_token(self, reply: Reply, choice: Choice) -> bool:
        """Whether ``finish_reason`` comes with the last token instead of after it."""
        del reply, choice
        return False

    def finish_chunk(self, reply: Reply, index: int) -> Json:
        """The chunk with ``finish_reason``."""
        finish = reply.choices[index].finish
        if reply.surface == "chat":
            return self.chunk(reply, [self.chat_choice(reply, index, {}, finish)])
        return self.chunk(reply, [self.text_choice(reply, index, "", finish)])

    def usage_chunk(self, reply: Reply) -> Json:
        """The last chunk, on request: no choice, and the count."""
        return {**self.chunk(reply, []), "usage": self.usage(reply)}

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """The envelope of every chunk; ``usage`` is null in all but the last if it was asked."""
        kind = "chat.completion.chunk" if reply.surface == "chat" else "text_completion"
        envelope = {**self.identity(reply, kind), "choices": choices}
        return {**envelope, "usage": None} if reply.include_usage and reply.usage else envelope

    # What streams and whole answers share.

    def identity(self, reply: Reply, kind: str) -> Json:
        """What every chunk and body of one answer has in common."""
        prefix = "chatcmpl" if reply.surface == "chat" else "cmpl"
        identity = {"id": f"{prefix}-{reply.id}", "object": kind, "created": reply.created}
        return {**identity, "model": reply.model, "system_fingerprint": None}

    def chat_choice(
        self,
        reply: Reply,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Any = None,
    ) -> Json:
        """A choice of a chat chunk."""
        del reply
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}

    def text_choice(
        self, reply: Reply, index: int, text: str, finish: str | None = None, logprobs: Any = None
    ) -> Json:
        """A choice of the legacy endpoint, streamed or not."""
        del reply
        return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}

    # Log probabilities.

    def tells_logprobs(self, reply: Reply) -> bool:
        """Whether they were asked for, and the server has them for this answer."""
        return reply.ask.logprobs is not None and all(not each.called for each in reply.choices)

    def logprobs(self, reply: Reply, words: Sequence[str], offset: int) -> Json:
        """Log probabilities of tokens that begin at ``offset`` of the text."""
        if reply.surface == "chat":
            return {"content": [self.chat_logprob(reply, word) for word in words], "refusal": None}
        return text_logprobs(words, offset, reply.ask.logprobs or 0)

    def chat_logprob(self, reply: Reply, word: str) -> Json:
        """One token with its alternatives."""
        found = vocabulary.alternatives(word, reply.ask.logprobs or 0)
        entry = self.logprob_entry(word, vocabulary.logprob(word))
        return {**entry, "top_logprobs": [self.logprob_entry(*each) for each in found]}

    def logprob_entry(self, word: str, value: float) -> Json:
        """A token, its log probability and its bytes."""
        return {"token": word, "logprob": value, "bytes": list(encode(word))}

    def text_start(self, reply: Reply) -> int:
        """Where the first token of a completion begins, in ``text_offset``."""
        del reply
        return 0

    def all_logprobs(self, reply: Reply, index: int) -> Json | None:
        """Log probabilities of a whole choice, if they were asked for."""
        if not self.tells_logprobs(reply):
            return None
        return self.logprobs(reply, reply.choices[index].tokens, self.text_start(reply))

    # Whole answers.

    def chat_body(self, reply: Reply) -> Json:
        """A whole chat completion."""
        choices = [
            {
                "index": index,
                "message": self.message(reply, index),
                "logprobs": self.all_logprobs(reply, index),
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(reply.choices)
        ]
        body = {**self.identity(reply, "chat.completion"), "choices": choices}
        return {**body, "usage": self.usage(reply)} if reply.usage else body

    def message(self, reply: Reply, index: int) -> Json:
        """The message of a whole chat completion."""
        choice = reply.choices[index]
        if choice.called:
            calls = {"tool_calls": [self.tool_call(reply, index, choice.text)]}
            return {
                "role": "assistant",
                "content": None,
                **calls,
                "refusal": None,
                "annotations": [],
            }
        return {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}

    def completion_body(self, reply: Reply) -> Json:
        """A whole answer of the legacy endpoint."""
        choices = [
            self.text_choice(
                reply,
                index,
                self.echoed(reply) + choice.text,
                choice.finish,
                self.all_logprobs(reply, index),
            )
            for index, choice in enumerate(reply.choices)
        ]
        body = {**self.identity(reply, "text_completion"), "choices": choices}
        return {**body, "usage": self.usage(reply)} if reply.usage else body

    def echoed(self, reply: Reply) -> str:
        """The prompt, where the answer is to begin with it."""
        prompt = reply.ask.prompt
        return prompt if reply.ask.echo and isinstance(prompt, str) else ""

    def usage(self, reply: Reply) -> Json:
        """Token counts."""
        prompt, completion = reply.prompt_tokens, reply.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def text_logprobs(words: Sequence[str], offset: int, count: int) -> Json:
    """``logprobs`` of the legacy endpoint."""
    starts, at = [], offset
    for word in words:
        starts.append(at)
        at += len(word)
    return {
        "text_offset": starts,
        "token_logprobs": [vocabulary.logprob(word) for word in words],
        "tokens": list(words),
        "top_logprobs": [dict(vocabulary.alternatives(word, count)) for word in words],
    }
