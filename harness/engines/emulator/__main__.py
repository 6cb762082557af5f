"""One emulated engine as a process: see `harness.engines.emulator.control`.

An argument is only a label, for whoever reads the list of processes.
"""

from __future__ import annotations

import asyncio
import sys

from harness.engines.emulator.control import serve

if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
