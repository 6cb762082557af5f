"""A load that says when it is half-way, and then whether its client may be believed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness.load.driving import Call, closed
from harness.load.trust import Reference, Trust
from harness.wire.engine import LoadEngine

RATE, USERS, HALF_WAY, REQUESTS = 50.0, 4, 8, 12


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Reference(rate=RATE, tokens=16) as target,
        LoadEngine() as engine,
        Trust(engine, streams=USERS, rate=RATE, folder=Path(folder)) as trust,
    ):
        trust.before(seconds=0.2)

        def make(number: int) -> Call:
            if number == HALF_WAY:
                sys.stdout.write("loading\n")
                sys.stdout.flush()
            return target.make(number)

        with trust.during():
            closed(engine, make, users=USERS, requests=REQUESTS)
        found = trust.judge()
    sys.stdout.write("\n".join([found.verdict, *found.why]))


if __name__ == "__main__":
    main()
