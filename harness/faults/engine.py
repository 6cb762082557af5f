"""Faults of a server as a whole, and of whole answers."""

from __future__ import annotations

from pydantic import Field

from harness.faults.fault import Fault, Layer, register


@register("engine.down", Layer.ENGINE)
class Down(Fault):
    """Connections are refused, and those that were open are reset."""

    times: None = None  # it lasts until it is cleared


@register("http.status", Layer.ENGINE)
class Status(Fault):
    """Requests for text get an error status, in the error envelope of the dialect."""

    status: int = Field(ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0, description="Retry-After, in seconds")


@register("hang", Layer.ENGINE)
class Hang(Fault):
    """The request is read and nothing is ever answered."""


@register("first_token.delay", Layer.ENGINE)
class FirstTokenDelay(Fault):
    """The first token comes later than it should, and all others after it."""

    ms: float = Field(gt=0, description="Milliseconds on top of the time to first token")


@register("body.truncated_json", Layer.ENGINE)
class TruncatedJson(Fault):
    """An answer that is not streamed is a whole HTTP message with half a JSON document."""


@register("usage.missing", Layer.ENGINE)
class UsageMissing(Fault):
    """Tokens are not counted for the client, whether it asked or not."""


@register("model.wrong", Layer.ENGINE)
class WrongModel(Fault):
    """The answer names another model than the one that was asked for."""

    model: str = Field(default="another-model", min_length=1)
