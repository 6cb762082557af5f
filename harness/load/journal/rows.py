"""What is kept of one request of a load, and how it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from harness import answer as answers
from harness.answer import State
from harness.load.goodput import Met, met_by
from harness.wire.exchange import End

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.wire.engine import Recorded

_CUT = frozenset({End.TIMEOUT, End.RESET, End.CANCELLED})
_MET = tuple(one.name for one in fields(Met))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request of a load that was due, however it ended."""

    due_unix_ns: int
    ended_unix_ns: int
    number: int
    """Its place in the schedule, or in the order of asking; unique within the run."""
    name: str
    """What was asked: the model's name."""
    load: float
    """The load in force when it was due: users in a closed loop, requests a second in an open."""
    worker: str
    """Who asked."""
    failure: str = ""
    """The kind of failure (`failure_of`), empty where the answer is whole."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What else it is to be told by: a scenario, a step of a staircase."""
    prompt_tokens: int | None = None
    """Of its prompt, as ``usage`` says; None where it does not."""
    met: Met


def row_of(
    recorded: Recorded,
    *,
    number: int,
    name: str,
    load: float,
    worker: str = "0",
    labels: Mapping[str, str] | None = None,
) -> Row:
    """Judge ``recorded`` and make a row of it. It parses the answer: not while the load runs."""
    answer = answers.read(recorded.exchange)
    to_monotonic_ns = recorded.offsets_ns[1]
    return Row(
        due_unix_ns=recorded.due_ns - to_monotonic_ns,
        ended_unix_ns=recorded.ended_ns - to_monotonic_ns,
        number=number,
        name=name,
        load=load,
        worker=worker,
        failure=failure_of(answer),
        labels=dict(labels or {}),
        prompt_tokens=_prompt_tokens(answer),
        met=met_by(answer, due_ns=recorded.due_ns),
    )


def _prompt_tokens(answer: answers.Answer) -> int | None:
    count = (answer.usage or {}).get("prompt_tokens")
    return count if isinstance(count, int) else None


def failure_of(answer: answers.Answer) -> str:
    """Name the kind of failure of ``answer``, in a word or two that many share.

    ``refused``, ``unreachable``, ``timeout``, ``reset`` and ``cancelled`` say how the connection
    ended, ``error 429`` what the server said (``error 200``: inside a stream that began well),
    ``truncated`` and ``empty`` what is missing. Empty where the answer is whole.
    """
    state = answer.wholeness.state
    if state is State.WHOLE:
        return ""
    if state is State.ERROR:
        return f"error {answer.status}"
    if state is State.TRUNCATED and answer.exchange.end in _CUT:
        return answer.exchange.end.value
    return state.value


def dump(row: Row) -> dict[str, Any]:
    """``row`` ready for JSON, without its worker, which its file or message names."""
    said: dict[str, Any] = {
        "due_unix_ns": row.due_unix_ns,
        "ended_unix_ns": row.ended_unix_ns,
        "number": row.number,
        "name": row.name,
        "load": row.load,
    }
    if row.failure:
        said["failure"] = row.failure
    if row.labels:
        said["labels"] = dict(row.labels)
    if row.prompt_tokens is not None:
        said["prompt_tokens"] = row.prompt_tokens
    met = {name: value for name in _MET if (value := getattr(row.met, name)) is not None}
    return said | {"met": met}


def load(said: Mapping[str, Any], *, worker: str) -> Row:
    """The row that `dump` made.

    Raises:
        ValueError, TypeError, KeyError: that is no row.
    """
    row = Row(**{**said, "met": Met(**said["met"]), "worker": worker})
    whole = (
        type(row.due_unix_ns) is type(row.ended_unix_ns) is type(row.number) is int
        and isinstance(row.name, str)
        and isinstance(row.load, int | float)
        and isinstance(row.met.whole, bool)
    )
    if not whole:
        raise TypeError("a value of the wrong type")
    return row
