"""What was counted: the numbers that budgets and bills are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.answer.strict import integer, obj
from harness.contract.check import Flaw, Tier, check
from harness.contract.conditions import CHAT, COUNTED, UNARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.answer import Answer

REFERENCE = "OpenAI API reference, the completion usage object"

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@check(
    "usage.present",
    tier=Tier.MUST,
    title="An answer in one body carries usage with three counts",
    source=REFERENCE,
    condition=UNARY,
)
def present(answer: Answer) -> Iterator[Flaw]:
    """Without usage a gateway cannot enforce a budget, and charges nothing instead."""
    if answer.usage is None:
        yield "no usage", "body"
        return
    for name in COUNTS:
        count = integer(answer.usage.get(name))
        if count is None or count < 0:
            yield f"usage.{name} is {answer.usage.get(name)!r}, not a count", "body"


@check(
    "usage.total-is-sum",
    tier=Tier.MUST,
    title="total_tokens is prompt_tokens plus completion_tokens",
    source=REFERENCE,
    condition=COUNTED,
)
def total_is_sum(answer: Answer) -> Iterator[Flaw]:
    """Two books that disagree: which one a budget uses decides when it runs out."""
    prompt, completion, total = (integer(obj(answer.usage).get(name)) for name in COUNTS)
    if prompt is None or completion is None or total is None:
        return
    if total != prompt + completion:
        yield f"usage says {prompt} + {completion} = {total}", "usage"


@check(
    "usage.stream-equals-unary",
    tier=Tier.SHOULD,
    title="A stream counts the same tokens as the same answer in one body",
    source="BerriAI/litellm#8349 (zeros in streams), #40253, #24526",
    condition=CHAT,
    on=("unary", "stream_usage"),
    across=True,
)
def stream_equals_unary(unary: Answer, stream: Answer) -> Iterator[Flaw]:
    """Both modes ask for the same text at temperature 0, so they cost the same."""
    if stream.usage is None:
        yield "the stream counts nothing", "usage"
        return
    for name in COUNTS:
        one, other = obj(unary.usage).get(name), stream.usage.get(name)
        if one != other:
            yield f"{name} is {other!r} in the stream and {one!r} in one body", "usage"
