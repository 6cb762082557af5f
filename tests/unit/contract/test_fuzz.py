from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from harness.contract import fuzz, rewrite
from harness.contract.document import contract
from harness.contract.fuzz import OPERATIONS, Case, FuzzError, Operation, curl, probe
from harness.contract.scenarios import post
from harness.wire.exchange import End, Exchange, Request

if TYPE_CHECKING:
    from harness.contract.lane import Observations

URL, MODEL, KEY = "http://reference.test/v1", "reference-model", "sk-secret"
CHAT, STREAM, MODELS = OPERATIONS
Serve = Callable[[Request, Mapping[str, str]], Exchange]

SCHEMA = {
    "$ref": "#/components/schemas/ChatRequest",
    "components": {"schemas": contract(MODEL)["components"]["schemas"]},
}


def allowed(body: bytes) -> bool:
    """Whether the contract allows a chat body; the stream keys are not its matter."""
    try:
        value = json.loads(body)
    except ValueError:
        return False
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if k not in {"stream", "stream_options"}}
    return not fuzz.first_error(SCHEMA, value)


@pytest.fixture
def serve(good: Observations) -> Serve:
    """A server that validates: the reference answers, by what was asked."""

    def serve(request: Request, _: Mapping[str, str]) -> Exchange:
        if request.method == "GET":
            scenario = "models"
        elif not allowed(request.body):
            scenario = "bad_type"
        else:
            scenario = "stream_usage" if b'"stream": true' in request.body else "unary"
        return replace(good.seen[scenario].exchange, request=request)

    return serve


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_a_server_that_validates_passes(serve: Serve, operation: Operation) -> None:
    tally = probe(operation, serve, URL, MODEL, KEY)
    assert tally.sent == tally.statuses.total()
    assert not tally.known
    wanted = {200} if operation.method == "GET" else {200, 400}
    assert set(tally.statuses) == wanted


@settings(deadline=None)
@given(fuzz.cases(CHAT, MODEL, valid=True))
def test_a_valid_request_is_valid(case: Case) -> None:
    assert allowed(case.body)


def test_most_invalid_requests_are_invalid() -> None:
    bodies: list[bytes] = []
    fuzz._budget(50)(given(fuzz.cases(CHAT, MODEL, valid=False))(lambda c: bodies.append(c.body)))()
    refused = [body for body in bodies if not allowed(body)]
    assert len(refused) > len(bodies) / 2


def test_the_same_requests_are_sent_every_time(serve: Serve) -> None:
    sent: list[list[bytes]] = []
    for _ in range(2):
        bodies: list[bytes] = []

        def send(
            request: Request, labels: Mapping[str, str], bodies: list[bytes] = bodies
        ) -> Exchange:
            bodies.append(request.body)
            return serve(request, labels)

        probe(CHAT, send, URL, MODEL, KEY)
        sent.append(bodies)
    assert sent[0] == sent[1]


def test_the_stream_operation_asks_for_streams(serve: Serve) -> None:
    bodies: list[bytes] = []

    def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        bodies.append(request.body)
        return serve(request, labels)

    probe(STREAM, send, URL, MODEL, KEY)
    valid = [json.loads(body) for body in bodies if allowed(body)]
    assert valid
    assert all(body["stream"] and body["stream_options"]["include_usage"] for body in valid)


def crash_on(good: Observations, serve: Serve, marker: bytes) -> Serve:
    def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        answer = serve(request, labels)
        if marker not in request.body:
            return answer
        broken = rewrite.document(good.seen["bad_type"].exchange, lambda body: body, status=500)
        return replace(broken, request=request)

    return send


def test_a_crash_is_found_shrunk_and_replayable(good: Observations, serve: Serve) -> None:
    with pytest.raises(FuzzError) as caught:
        probe(CHAT, crash_on(good, serve, b'"temperature"'), URL, MODEL, KEY)
    told = str(caught.value)
    assert "schema.status.documented: status 500 is not one of" in told
    assert "curl -sS -X POST http://reference.test/v1/chat/completions" in told
    assert "top_p" not in told


def test_a_5xx_to_a_bad_request_is_its_own_breach(serve: Serve) -> None:
    def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        answer = serve(request, labels)
        if allowed(request.body):
            return answer
        return rewrite.document(answer, lambda body: body, status=500)

    with pytest.raises(FuzzError, match=r"error\.validation\.no-5xx"):
        probe(CHAT, send, URL, MODEL, KEY)
    tally = probe(CHAT, send, URL, MODEL, KEY, known=frozenset({"error.validation.no-5xx"}))
    assert tally.known["error.validation.no-5xx"] > 0


def test_a_known_violation_does_not_hide_a_new_one(serve: Serve) -> None:
    def send(request: Request, labels: Mapping[str, str]) -> Exchange:
        answer = serve(request, labels)
        if allowed(request.body):
            return rewrite.document(answer, lambda body: body | {"created": "now"})
        return rewrite.document(answer, lambda body: body, status=500)

    with pytest.raises(FuzzError, match=r"schema\.body\.valid: created"):
        probe(CHAT, send, URL, MODEL, KEY, known=frozenset({"error.validation.no-5xx"}))


def test_silence_is_a_violation(good: Observations) -> None:
    def send(request: Request, _: Mapping[str, str]) -> Exchange:
        exchange = good.seen["models"].exchange
        return replace(exchange, request=request, reads=(), end=End.RESET)

    with pytest.raises(FuzzError, match="reset the connection"):
        probe(MODELS, send, URL, MODEL, KEY)


def test_the_key_is_never_told(good: Observations, serve: Serve) -> None:
    with pytest.raises(FuzzError) as caught:
        probe(CHAT, crash_on(good, serve, b"messages"), URL, MODEL, KEY)
    notes = getattr(caught.value, "__notes__", [])
    assert KEY not in "\n".join([str(caught.value), *notes])
    assert "Bearer $KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b'{"a": "it\'s"}', """'{"a": "it'"'"'s"}'"""),
        (b"\x00\xff", r"$'\x00\xff'"),
        (b"a\nb", r"$'\x61\x0a\x62'"),
    ],
)
def test_curl_quotes_any_body(body: bytes, quoted: str) -> None:
    assert curl(post(URL, "", body)).endswith(f"--data-binary {quoted}")


@pytest.mark.parametrize("limit", [0, -3, 10**6, None])
def test_no_request_can_take_minutes(limit: int | None) -> None:
    body = {} if limit is None else {"max_tokens": limit}
    sent = json.loads(fuzz._encode(body, CHAT))
    assert sent["max_tokens"] == fuzz.MAX_TOKENS
