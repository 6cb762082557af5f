"""Plain scalars as the core schema of YAML 1.2 reads them.

PyYAML follows YAML 1.1, where ``no`` is false, ``12:30`` is 750 and ``2025-10-26`` is a date.
Here only ``true`` and ``false`` are booleans and everything unknown is text
(YAML 1.2.2, section 10.3.2, "Tag Resolution").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Scalar = str | int | float | bool | None

_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], Scalar]], ...] = (
    (re.compile(r"null|Null|NULL|~|"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,30}"), int),
    (re.compile(r"0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: float("nan")),
)
_STARTS = frozenset("~nNtTfF+-.0123456789")
"""What a scalar that is not text can start with."""


def resolve(text: str) -> Scalar:
    """The value of a scalar written without quotes.

    Whole numbers of more than 30 digits become floats, as most readers of YAML make them.
    """
    if text and text[0] not in _STARTS:
        return text
    for form, convert in _FORMS:
        if form.fullmatch(text):
            return convert(text)
    return text
