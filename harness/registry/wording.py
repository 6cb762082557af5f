"""How findings speak of names: printable, short, and with the name that was perhaps meant."""

from __future__ import annotations

from difflib import get_close_matches
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
    if len(name) > MAX_NAME:
        return None
    by_folded = {option.casefold(): option for option in known}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def suggest(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown ``name``: the nearest known one, else the known ones."""
    options = list(known)
    near = nearest(name, options)
    if near is not None:
        return f"Did you mean {quoted(near)}?"
    if not options:
        return "Nothing of this kind is defined yet."
    listed = ", ".join(options[:MAX_LISTED])
    more = f" and {len(options) - MAX_LISTED} more" if len(options) > MAX_LISTED else ""
    return f"Known: {listed}{more}."
