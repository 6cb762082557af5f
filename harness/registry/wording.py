"""How findings speak of names: printable, short, and with the name that was perhaps meant."""

from __future__ import annotations

import ast
import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME = 80
"""Longer names are cut where they are shown, and resemble nothing."""
MAX_LISTED = 12
"""So many known names are listed where none is near."""


def quoted(name: object) -> str:
    """``name`` in quotes on one line, whatever it holds."""
    text = str(name)
    return repr(text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}...")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None if none is like it."""
    return next(iter(_near(name, known, 1)), None)


def _near(name: str, known: Iterable[str], most: int) -> list[str]:
    if len(name) > MAX_NAME:
        return []
    by_folded = {option.casefold(): option for option in known}
    found = get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.6)
    return [by_folded[each] for each in found]


def suggest(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown ``name``: the nearest known one, else the known ones.

    Where ``name`` could be a slip of several known ones, all of these are named.
    """
    options = list(known)
    near = _near(name, options, 3)
    if near:
        slips = [option for option in near if is_slip(name, option)] or near[:1]
        return f"Did you mean {' or '.join(map(quoted, slips))}?"
    if not options:
        return "Nothing of this kind is defined yet."
    listed = ", ".join(options[:MAX_LISTED])
    more = f" and {len(options) - MAX_LISTED} more" if len(options) > MAX_LISTED else ""
    return f"Known: {listed}{more}."


_MEANT = re.compile(r"Did you mean (['\"].+)\?")
_FURTHEST = 4
"""More characters than this, separators among them, no slip adds or leaves out."""
_WORD = re.compile(r"[^\W_]+")


def meant(remedy: str) -> str | None:
    """The name that a remedy by :func:`suggest` proposes, or None if it proposes not just one."""
    found = _MEANT.fullmatch(remedy)
    if found is None:
        return None
    try:
        name = ast.literal_eval(found[1])
    except (SyntaxError, ValueError):  # two names, joined by "or"
        return None
    return (
        name if isinstance(name, str) and len(name) <= MAX_NAME else None
    )  # a longer one is shown cut


def is_slip(written: str, known: str) -> bool:
    """Whether ``written`` can only be a slip of the pen for ``known``.

    True for another case or other separators, and for one wrong, missing, additional or swapped
    letter in a word of four or more, two in a name of eight or more. Never where a word with a
    digit or a shorter word differs: those tell models and sizes apart (``7b`` and ``8b``).
    """
    apart = abs(len(written) - len(known)) > _FURTHEST
    if written == known or apart or max(len(written), len(known)) > MAX_NAME:
        return False
    one, other = _words(written), _words(known)
    if "".join(one) == "".join(other):
        return re.findall(r"\d+", written) == re.findall(r"\d+", known)
    if len(one) != len(other):
        return False
    pairs = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    most = 2 if len(known) >= 8 else 1
    comparable = len(pairs) <= most and all(
        a.isalpha() and b.isalpha() and len(a) >= 3 and len(b) >= 4 and abs(len(a) - len(b)) <= most
        for a, b in pairs
    )
    return comparable and sum(_distance(a, b) for a, b in pairs) <= most


@lru_cache(maxsize=8192)
def _words(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(name.casefold()))


def _distance(one: str, other: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, row = row, [i]
        for j, b in enumerate(other, start=1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                row[j] = min(row[j], before[j - 2] + 1)
        before = last
    return row[-1]
