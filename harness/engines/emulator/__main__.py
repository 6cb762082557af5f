"""One emulated engine as a process: see `harness.engines.emulator.control`."""

from __future__ import annotations

import asyncio
import sys

from harness.engines.emulator.control import serve

if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
