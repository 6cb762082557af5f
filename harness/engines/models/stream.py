"""The residual stream of a tiny model: its size, what each dimension holds, how it is read.

And the matrices that read and write it, nearly all zero.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = 64
BITS = 24
"""The first dimensions hold the bits of a token, 0.0 or 1.0; then come these."""
ONE = BITS
AT_START, AT_SIGNATURE, AT_ANSWER = range(BITS + 1, BITS + 4)
"""Marked in the token that begins a text, in the signature, in the one that begins an answer."""
SIGNED, CHAT = range(BITS + 4, BITS + 6)
"""Marked once the text holds a signature; once it holds none but an answer has begun."""
LARGE = 2048.0
"""What `ONE` holds in every token: so large that no sum of bits moves the norm by 0.02 %."""
MARK = 8.0
"""What a marked dimension holds."""

READ = LARGE / math.sqrt(HIDDEN)
"""Weight that reads a dimension through RMSNorm as what it holds."""
READ_ONE = 1.0 / math.sqrt(HIDDEN)
"""Weight that reads `ONE` as 1, but in the output head."""
LAST_NORM = tuple(1.0 / LARGE if each == ONE else 1.0 for each in range(HIDDEN))
"""Weights of the last norm. It makes `ONE` as small as a bit, which the head reads with `READ`, so
that an embedding, which is what this norm gives, shows the bits and not the constant."""
READ_MARK = READ / MARK
"""Weight that reads a mark as 1."""


@dataclass
class Matrix:
    """A weight of ``rows`` by ``columns`` (1 column: a vector), nearly all of it zero."""

    rows: int
    columns: int
    cells: dict[tuple[int, int], float] = field(default_factory=dict)

    def add(self, row: int, column: int, value: float) -> None:
        """Set a cell, or add to it."""
        self.cells[row, column] = self.cells.get((row, column), 0.0) + value

    def half(self, order: Callable[[int], int] = lambda row: row) -> bytes:
        """Its IEEE 754 binary16 values, row by row; ``order`` gives a row's new place."""
        data = bytearray(2 * self.rows * self.columns)
        for (row, column), value in self.cells.items():
            struct.pack_into("<e", data, 2 * (order(row) * self.columns + column), value)
        return bytes(data)
