"""Arrivals and lengths as somebody's users really made them.

Two public formats: the CSV of the Azure LLM inference traces (Azure/AzurePublicDataset, 2023 and
2024) and the JSON Lines of the Mooncake traces (kvcache-ai/Mooncake). Neither holds a prompt:
only when a request came, how long it and its answer were, and, in Mooncake's, which blocks of
512 tokens prompts have in common.
"""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

MOONCAKE_BLOCK = 512
"""Tokens that one of Mooncake's hash ids stands for."""

_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-]\d\d:\d\d))?")


_Row = tuple[float, int, int, tuple[int, ...]]


class TraceError(ValueError):
    """A trace that cannot be replayed; the text says in which line and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One request of a trace. ``at_s`` counts from the first of the trace.

    Requests whose ``blocks`` begin alike have that much of their prompts in common.
    """

    at_s: float
    prompt_tokens: int
    answer_tokens: int
    blocks: tuple[int, ...] = ()


def azure(path: str | os.PathLike[str]) -> Iterator[Traced]:
    """Read an Azure LLM inference trace, line by line.

    Raises:
        TraceError: the header is not that of the format, a line cannot be read, or time runs
            backwards in it.
    """
    place = Path(path)
    with place.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = tuple(name.strip() for name in next(rows, []))
        if header != _AZURE:
            raise TraceError(
                f"{place}:1: the header is {','.join(header)!r}, not {','.join(_AZURE)!r}: "
                "this is no Azure LLM inference trace."
            )

        def read() -> Iterator[tuple[int, _Row]]:
            for row in rows:
                if row:
                    stamp, prompt, answer = row
                    yield rows.line_num, (_seconds(stamp), int(prompt), int(answer), ())

        yield from _relative(place, lambda: rows.line_num, read())


def mooncake(path: str | os.PathLike[str]) -> Iterator[Traced]:
    """Read a Mooncake trace, line by line.

    Raises:
        TraceError: a line cannot be read, or time runs backwards in it.
    """
    place = Path(path)
    number = 0

    def read() -> Iterator[tuple[int, _Row]]:
        nonlocal number
        with place.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    said = json.loads(line)
                    blocks = tuple(int(block) for block in said.get("hash_ids", ()))
                    lengths = int(said["input_length"]), int(said["output_length"])
                    yield number, (float(said["timestamp"]) / 1000, *lengths, blocks)

    yield from _relative(place, lambda: number, read())


def window(
    trace: Iterable[Traced], *, from_s: float = 0.0, to_s: float = math.inf, faster: float = 1.0
) -> Iterator[Traced]:
    """The requests in [``from_s``, ``to_s``) of the trace, with time running ``faster``.

    Times count from ``from_s`` on. Lengths stay: twice as fast is twice the rate.

    Raises:
        ValueError: an empty window, or ``faster`` is not positive.
    """
    if not (from_s < to_s and faster > 0 and math.isfinite(faster)):
        raise ValueError(f"from {from_s:g} to {to_s:g} s, {faster:g} times as fast: nothing to do")
    for traced in trace:
        if traced.at_s >= to_s:
            return
        if traced.at_s >= from_s:
            yield replace(traced, at_s=(traced.at_s - from_s) / faster)


def _relative(
    place: Path, line: Callable[[], int], rows: Iterator[tuple[int, _Row]]
) -> Iterator[Traced]:
    """Count times from the first row; ``line`` says where reading stopped."""
    first = last = None
    for number, (moment, prompt, answer, blocks) in _readable(place, line, rows):
        first = moment if first is None else first
        if last is not None and moment < last:
            raise TraceError(
                f"{place}:{number}: comes {last - moment:g} s before the line above it. "
                "Sort the trace by time first."
            )
        if prompt < 0 or answer < 0 or not math.isfinite(moment):
            raise TraceError(f"{place}:{number}: a length below 0, or a time that is none")
        last = moment
        yield Traced(at_s=moment - first, prompt_tokens=prompt, answer_tokens=answer, blocks=blocks)


def _readable(
    place: Path, line: Callable[[], int], rows: Iterator[tuple[int, _Row]]
) -> Iterator[tuple[int, _Row]]:
    try:
        yield from rows
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise TraceError(f"{place}:{line()}: cannot be read: {error!r}") from None


def _seconds(stamp: str) -> float:
    found = _STAMP.fullmatch(stamp.strip())
    if found is None:
        raise ValueError(f"no time stamp: {stamp!r}")
    day, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{zone or '+00:00'}").astimezone(UTC)
    return moment.timestamp() + int((fraction or "0").ljust(9, "0")) / 1e9
