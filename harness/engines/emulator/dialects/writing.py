"""How a reply is written: the shapes of OpenAI's chunks and bodies.

Field by field as in the OpenAI API reference (chat completion object and chunk object, legacy
completion object). A dialect overrides the shapes its server writes otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

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
    from harness.engines.emulator.answer import Choice, Reply


class Writing:
    """From a reply to frames. ``finish`` arguments are None until the end."""

    early_head: ClassVar[bool] = False
    """A stream's headers leave before its first token is there."""
    event_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    def dumps(self, value: Any) -> str:
        """JSON of stream chunks."""
        return compact(value)

    def json(self, status: int, value: Any) -> Answer:
        """A JSON answer."""
        return self.plain(status, encode(compact(value)), "application/json")

    def plain(self, status: int, body: bytes, content_type: str) -> Answer:
        """Any other answer that is sent at once."""
        return Answer(status, [("content-type", content_type)], [Frame("body", body)])

    def render(self, reply: Reply) -> Answer:
        """Give a reply its shape."""
        if reply.stream:
            frames = self.stream_frames(reply)
            answer = Answer(200, [("content-type", self.event_type)], frames, stream=True)
            answer.early_head = self.early_head
        else:
            answer = self.json(200, self.whole(reply))
            answer.frames[0].token = max(0, max(len(each.tokens) for each in reply.choices) - 1)
        answer.paced = True
        answer.frames[0].hold_ns += reply.delay_ns
        return answer

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that is not streamed."""
        return self.chat_body(reply) if reply.surface == "chat" else self.completion_body(reply)

    def stream_frames(self, reply: Reply) -> list[Frame]:
        """The events of a streamed answer."""
        frames: list[Frame] = []
        opening = self.opening_chunk(reply, 0)
        if opening is not None:
            openings = [self.opening_chunk(reply, index) for index in range(len(reply.choices))]
            frames += [Frame("role", event(self.dumps(chunk))) for chunk in openings]
        parts = []
        for index, choice in enumerate(reply.choices):
            template = Template(self.token_chunk(reply, index, MARK), self.dumps, event)
            special = {
                k: event(self.dumps(chunk))
                for k, chunk in self.special_tokens(reply, index, choice).items()
            }
            parts.append((choice.tokens, template, special))
        frames += token_frames(parts)
        frames += self.closing_frames(reply)
        return frames

    def closing_frames(self, reply: Reply) -> list[Frame]:
        """What follows the last token."""
        last = max(0, max(len(each.tokens) for each in reply.choices) - 1)
        frames = [
            Frame("finish", event(self.dumps(self.finish_chunk(reply, index, choice))), last)
            for index, choice in enumerate(reply.choices)
            if reply.finish and not self.finish_rides_on_token(reply, choice)
        ]
        if reply.include_usage and reply.usage:
            frames.append(Frame("usage", event(self.dumps(self.usage_chunk(reply))), last))
        frames.append(Frame("done", event("[DONE]"), last))
        return frames

    def opening_chunk(self, reply: Reply, index: int) -> Json | None:
        """The chunk that names the role, before the first token; None if there is none."""
        if reply.surface != "chat":
            return None
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self.chunk(reply, [self.chat_choice(index, delta, None)])

    def token_chunk(self, reply: Reply, index: int, token: str) -> Json:
        """A chunk with one token."""
        if reply.surface == "chat":
            return self.chunk(reply, [self.chat_choice(index, {"content": token}, None)])
        return self.chunk(reply, [self.text_choice(index, token, None)])

    def special_tokens(self, reply: Reply, index: int, choice: Choice) -> dict[int, Json]:
        """Chunks of tokens that differ from `token_chunk`, by the token's number."""
        del reply, index, choice
        return {}

    def finish_rides_on_token(self, reply: Reply, choice: Choice) -> bool:
        """Whether ``finish_reason`` comes with the last token instead of after it."""
        del reply, choice
        return False

    def finish_chunk(self, reply: Reply, index: int, choice: Choice) -> Json:
        """The chunk with ``finish_reason``."""
        if reply.surface == "chat":
            return self.chunk(reply, [self.chat_choice(index, {}, choice.finish)])
        return self.chunk(reply, [self.text_choice(index, "", choice.finish)])

    def usage_chunk(self, reply: Reply) -> Json:
        """The last chunk, on request: no choice, and the count."""
        return {**self.chunk(reply, []), "usage": self.usage(reply)}

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """The envelope of every chunk; ``usage`` is null in all but the last if it was asked."""
        kind = "chat.completion.chunk" if reply.surface == "chat" else "text_completion"
        envelope = {**self.identity(reply, kind), "choices": choices}
        return {**envelope, "usage": None} if reply.include_usage and reply.usage else envelope

    def identity(self, reply: Reply, kind: str) -> Json:
        """What every chunk and body of one answer has in common."""
        prefix = "chatcmpl" if reply.surface == "chat" else "cmpl"
        identity = {"id": f"{prefix}-{reply.id}", "object": kind, "created": reply.created}
        return {**identity, "model": reply.model, "system_fingerprint": None}

    def chat_choice(self, index: int, delta: Json, finish: str | None) -> Json:
        """A choice of a chat chunk."""
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def text_choice(self, index: int, text: str, finish: str | None) -> Json:
        """A choice of the legacy endpoint, streamed or not."""
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}

    def chat_body(self, reply: Reply) -> Json:
        """A whole chat completion."""
        choices = [
            {
                "index": index,
                "message": self.message(choice.text),
                "logprobs": None,
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(reply.choices)
        ]
        body = {**self.identity(reply, "chat.completion"), "choices": choices}
        return {**body, "usage": self.usage(reply)} if reply.usage else body

    def message(self, text: str) -> Json:
        """The message of a whole chat completion."""
        return {"role": "assistant", "content": text, "refusal": None, "annotations": []}

    def completion_body(self, reply: Reply) -> Json:
        """A whole answer of the legacy endpoint."""
        choices = [
            self.text_choice(index, choice.text, choice.finish)
            for index, choice in enumerate(reply.choices)
        ]
        body = {**self.identity(reply, "text_completion"), "choices": choices}
        return {**body, "usage": self.usage(reply)} if reply.usage else body

    def usage(self, reply: Reply) -> Json:
        """Token counts."""
        prompt, completion = reply.prompt_tokens, reply.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
