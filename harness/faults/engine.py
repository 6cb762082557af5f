"""Faults of a server as a whole, and of whole answers."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen

from harness.faults.fault import Layer, register
from harness.faults.shaping import A, Asked, Door, Reply, ServerFault

_NS_PER_MS = 1_000_000


@register("engine.down", Layer.ENGINE)
class Down(ServerFault):
    """Connections are refused, and those that were open are reset."""

    takes_down = True

    times: None = None
    """It lasts until it is cleared."""

    def shows_in(self, asked: Asked) -> bool:
        """Nothing is answered that could."""
        del asked
        return False


@register("http.status", Layer.ENGINE)
class Status(ServerFault):
    """Requests for text get an error status, in the error envelope of the dialect."""

    status: Annotated[int, Ge(400), Le(599)]
    retry_after: Annotated[int, Ge(0)] | None = None
    """Retry-After, in seconds."""

    def instead(self, door: Door[A]) -> A:
        """The error."""
        after = self.retry_after
        return door.refuse(self.status, [] if after is None else [("retry-after", str(after))])


@register("hang", Layer.ENGINE)
class Hang(ServerFault):
    """The request is read and nothing is ever answered."""

    def instead(self, door: Door[A]) -> A:
        """Nothing."""
        return door.silence()


@register("first_token.delay", Layer.ENGINE)
class FirstTokenDelay(ServerFault):
    """The first token comes later than it should, and all others after it."""

    ms: Annotated[float, Gt(0)]
    """Milliseconds on top of the time to first token."""

    def bend_reply(self, reply: Reply) -> None:
        """Put all of it off."""
        reply.delay_ns += int(self.ms * _NS_PER_MS)


@register("body.truncated_json", Layer.ENGINE)
class TruncatedJson(ServerFault):
    """An answer that is not streamed is a whole HTTP message with half a JSON document."""

    def shows_in(self, asked: Asked) -> bool:
        """Whether it is one document."""
        return not asked.stream

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Halve it."""
        del door
        body = answer.frames[0]
        body.data = body.data[: len(body.data) // 2]


@register("usage.missing", Layer.ENGINE)
class UsageMissing(ServerFault):
    """Tokens are not counted for the client, whether it asked or not."""

    def bend_reply(self, reply: Reply) -> None:
        """Count none."""
        reply.usage = False


@register("model.wrong", Layer.ENGINE)
class WrongModel(ServerFault):
    """The answer names another model than the one that was asked for."""

    model: Annotated[str, MinLen(1)] = "another-model"

    def bend_reply(self, reply: Reply) -> None:
        """Name the other."""
        reply.model = self.model
