"""What an answer must be before a clause can be asked of it.

A condition that is not met yields ``not-run``, never a pass: a stream that was
answered with status 500 says nothing about ``[DONE]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.answer import Answer, Kind
from harness.answer.strict import loads, obj

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Condition:
    """A property of an answer; ``needs`` completes the sentence "this check needs ..."."""

    needs: str
    holds: Callable[[Answer], bool]


def asked(answer: Answer) -> Any:
    """Return the JSON object of the request body; empty where there is none."""
    return obj(loads(answer.exchange.request.body)[0])


def describe(answer: Answer) -> str:
    """Say in a few words what an answer was, for the reason of a ``not-run``."""
    if answer.status is None:
        return answer.wholeness.why
    media = (answer.response.header("content-type") or "no content type").partition(";")[0]
    return f"status {answer.status}, {media}"


def _chat(answer: Answer) -> bool:
    return answer.kind is Kind.CHAT and answer.status == 200 and answer.error is None


def _unary(answer: Answer) -> bool:
    return _chat(answer) and not answer.streamed and isinstance(answer.body, dict)


def _stream(answer: Answer) -> bool:
    return _chat(answer) and answer.streamed


def _asked_usage(answer: Answer) -> bool:
    return obj(asked(answer).get("stream_options")).get("include_usage") is True


ANY = Condition("any outcome", lambda _: True)
STATUS = Condition("an answer with a status", lambda a: a.status is not None)
ERROR = Condition("a status of 400 or above", lambda a: a.status is not None and a.status >= 400)
CHAT = Condition("a chat answer with status 200 and no error", lambda a: _unary(a) or _stream(a))
COUNTED = Condition(
    "a chat answer with status 200 that has usage", lambda a: CHAT.holds(a) and a.usage is not None
)
UNARY = Condition("a chat answer with status 200 and a JSON body", _unary)
STREAM = Condition("a chat stream with status 200 and no error", _stream)
USAGE_STREAM = Condition(
    "a chat stream without error that was asked for usage",
    lambda a: _stream(a) and _asked_usage(a),
)
STREAM_ASKED = Condition(
    "a chat answer without error to a request for a stream",
    lambda a: _chat(a) and asked(a).get("stream") is True,
)
MODELS = Condition(
    "a list of models with status 200", lambda a: a.kind is Kind.MODELS and a.status == 200
)
