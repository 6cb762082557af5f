"""The fuzz lane: requests generated from the contract, answers judged by the same checks.

Schemathesis serves as a library alone: its strategies generate requests, our client
sends them and our checks judge the bytes. Its own transport cuts event streams after
20 events, and its sanitiser takes ``max_tokens`` for a secret; neither is used.
This is the only module that imports it (extra ``test``).
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import (
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.core import NotSet
from schemathesis.generation import GenerationMode

from harness import answer as answers
from harness.contract.check import Tier, Violation, checks, find
from harness.contract.document import contract
from harness.contract.scenarios import get, post
from harness.wire.exchange import Exchange, Request

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy
    from schemathesis.specs.openapi.schemas import OpenApiSchema

SendSync = Callable[[Request, Mapping[str, str]], Exchange]
"""A recording client that blocks until the exchange is over."""

EXAMPLES = 12
"""Requests per operation and mode: each of them is an inference on a real server."""

MAX_TOKENS = 8
"""No generated request asks for more, whatever the mode."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is fuzzed: an operation of the contract, as a stream or not."""

    id: str
    path: str
    method: str
    streamed: bool = False


OPERATIONS = (
    Operation("chat", "/chat/completions", "POST"),
    Operation("chat-stream", "/chat/completions", "POST", streamed=True),
    Operation("models", "/models", "GET"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One generated body, and whether the contract allows it. It holds no key."""

    operation: Operation
    valid: bool
    body: bytes

    def request(self, base_url: str, key: str) -> Request:
        """Return the request that carries this body; ``base_url`` ends in ``/v1``."""
        if self.operation.method == "GET":
            return get(base_url, key, self.operation.path)
        return post(base_url, key, self.body)


@dataclass(slots=True)
class Tally:
    """What a probe saw: requests sent, their statuses, and known violations by check id."""

    sent: int = 0
    statuses: Counter[int | None] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)


class FuzzError(AssertionError):
    """A generated request was answered against the contract; the message replays it."""


def cases(operation: Operation, model: str, *, valid: bool) -> SearchStrategy[Case]:
    """Return a strategy of requests for ``operation`` that the contract allows, or forbids."""
    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    generated = _schema(model)[operation.path][operation.method].as_strategy(generation_mode=mode)
    return generated.map(lambda case: Case(operation, valid, _encode(case.body, operation)))


def judge(case: Case, exchange: Exchange) -> list[Violation]:
    """Judge the answer to a generated request.

    Every must-check that needs no scenario of its own takes part, and the schema.
    A 5xx to a request the contract forbids is ``error.validation.no-5xx``; to one it
    allows, an undocumented status. No answer at all is ``chat.whole``.
    """
    answer = answers.read(exchange)
    where = f"{case.operation.id}, {'valid' if case.valid else 'invalid'} request"
    if answer.status is None:
        return [Violation("chat.whole", answer.wholeness.why, where)]
    if not case.valid and answer.status >= 500:
        return find("error.validation.no-5xx").one(answer, where)
    fit = [
        c
        for c in checks(lane=None)
        if not c.on and c.tier is Tier.MUST and c.condition.holds(answer)
    ]
    return [violation for c in fit for violation in c.one(answer, where)]


def probe(
    operation: Operation,
    send: SendSync,
    base_url: str,
    model: str,
    key: str,
    *,
    known: frozenset[str] = frozenset(),
    examples: int = EXAMPLES,
) -> Tally:
    """Send generated requests, the same ones every time, and judge each answer.

    Violations of a check in ``known`` are counted; any other raises FuzzError for
    the smallest request that shows it.
    """
    tally = Tally()

    def one(case: Case) -> None:
        request = case.request(base_url, key)
        exchange = send(request, {"fuzz": operation.id})
        violations = judge(case, exchange)
        tally.sent += 1
        tally.statuses[answers.read(exchange).status] += 1
        tally.known.update(v.check for v in violations if v.check in known)
        if news := [v for v in violations if v.check not in known]:
            said = "\n".join(f"  {v.check}: {v}" for v in news)
            raise FuzzError(f"new violations:\n{said}\nReplay: {curl(request)}")

    if operation.method == "GET":  # nothing varies in it
        one(Case(operation, valid=True, body=b""))
        return tally
    for valid in (True, False):
        _budget(examples)(given(cases(operation, model, valid=valid))(one))()
    return tally


def first_error(schema: dict[str, Any], value: Any) -> str:
    """Return what makes ``value`` invalid against ``schema`` (2020-12), or the empty string."""
    try:
        error = next(iter(_validator(json.dumps(schema)).iter_errors(value)), None)
    except UnicodeEncodeError:
        return "half a surrogate pair, which is no character"
    if error is None:
        return ""
    place = "/".join(map(str, error.instance_path)) or "the value"
    return f"{place}: {error.message[:200]}"


def curl(request: Request) -> str:
    """Return a bash command that sends ``request`` again, its key left to ``$KEY``."""
    command = ["curl", "-sS", "-X", request.method, shlex.quote(request.url)]
    for name, value in request.headers:
        if name.lower() == "authorization":
            command.append('-H "Authorization: Bearer $KEY"')
        else:
            command.append(f"-H {shlex.quote(f'{name}: {value}')}")
    if request.body:
        command.append(f"--data-binary {_quoted(request.body)}")
    return " ".join(command)


def _budget(examples: int) -> settings:
    """Fix what Hypothesis may do: the same examples every time, no database, no deadline."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


@cache
def _schema(model: str) -> OpenApiSchema:
    generation = GenerationConfig(allow_x00=False)  # NUL bytes kill tokenisers
    config = SchemathesisConfig(
        projects=ProjectsConfig(default=ProjectConfig(generation=generation))
    )
    return schemathesis.openapi.from_dict(contract(model), config=config)


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(schema))


def _encode(body: Any, operation: Operation) -> bytes:
    """Serialise a generated body: raw bytes as they are, everything else as ASCII JSON."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, NotSet):
        return b""
    if isinstance(body, dict):
        body = _affordable(body)
        if operation.streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode("ascii")


def _affordable(body: dict[str, Any]) -> dict[str, Any]:
    """Put right what our narrow contract forbids and the API allows, at a price.

    No limit or a large one is legal and may generate for minutes; zero or less is not,
    and the llama.cpp Python server takes it for no limit and fills its context.
    ``2.0`` where an integer is due is legal by JSON Schema and refused by many:
    contested, not asked.
    """
    body = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in body.items()
    }
    limit = body.setdefault("max_tokens", MAX_TOKENS)
    if isinstance(limit, int) and not 0 < limit <= MAX_TOKENS:
        body["max_tokens"] = MAX_TOKENS
    return body


def _quoted(body: bytes) -> str:
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return shlex.quote(text)
    return "$'" + "".join(f"\\x{byte:02x}" for byte in body) + "'"
