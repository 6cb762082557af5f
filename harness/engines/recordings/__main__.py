"""Renew a recording: ``python -m harness.engines.recordings ENGINE VERSION URL FILE [COMMAND]``.

The server is already running, serves its model as ``tiny`` with a context of 4,096 tokens, and
expects the key of `probes.KEY`. COMMAND says how it was started and goes into the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.engines.recordings.recording import Recording, RecordingError, record


def main(arguments: list[str]) -> int:
    """Record one server. Returns an exit code: 2 for a wrong call or a server that is silent."""
    if len(arguments) not in {4, 5}:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    engine, version, url, file = arguments[:4]
    command = "".join(arguments[4:])
    try:
        replies = record(url)
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Recording(engine=engine, version=version, command=command, replies=replies).write(Path(file))
    sys.stdout.write(f"{len(replies)} answers of {engine} {version} are in {file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
