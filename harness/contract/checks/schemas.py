"""Whether statuses and bodies are those of the OpenAPI document: the net under the clauses.

A schema catches what is malformed and nothing that spans fields or events, so it
backs the other checks and replaces none. It needs the validator that comes with the
fuzz lane, and runs there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract.check import Flaw, Lane, Tier, check
from harness.contract.conditions import STATUS, Condition
from harness.contract.document import documented, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.answer import Answer

SOURCE = "harness/contract/openapi.yaml, which names its sources"

DOCUMENTED = Condition(
    "an answer with status 200 and no error to an operation of the contract",
    lambda a: schema_of(a) is not None and a.error is None,
)


@check(
    "schema.status.documented",
    tier=Tier.MUST,
    title="The status is one the contract documents for the operation",
    source=SOURCE,
    condition=STATUS,
    lane=Lane.FUZZ,
)
def status_documented(answer: Answer) -> Iterator[Flaw]:
    """SDKs map statuses to exceptions; one they do not know surfaces as a generic failure."""
    known = documented(answer)
    if known and answer.status not in known:
        yield f"status {answer.status} is not one of {sorted(known)}", "status"


@check(
    "schema.body.valid",
    tier=Tier.MUST,
    title="A 200 body, and each event of a stream, is valid against the contract's schema",
    source=SOURCE,
    condition=DOCUMENTED,
    lane=Lane.FUZZ,
)
def body_valid(answer: Answer) -> Iterator[Flaw]:
    """Typed clients decode strictly: a missing or mistyped key fails the whole answer."""
    from harness.contract.fuzz import first_error  # noqa: PLC0415  an optional dependency

    schema = schema_of(answer)
    if schema is None:
        return
    if not answer.streamed:
        if flaw := answer.body_fault or first_error(schema, answer.body):
            yield flaw, "body"
        return
    for event in answer.events:
        if not event.is_done and (flaw := event.fault or first_error(schema, event.json)):
            yield flaw, f"event {event.position}"
