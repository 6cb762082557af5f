"""The facade as a process: ``python -m harness.engines.real.ollama --upstream-port N ...``.

It listens once the llama-server behind it is ready. The key of that server, if it has one, is in
``HARNESS_UPSTREAM_KEY``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

from harness.engines.real.ollama.native import Native
from harness.engines.real.ollama.residency import Residency
from harness.engines.real.ollama.server import serve
from harness.engines.real.ollama.upstream import Upstream, UpstreamError

UPSTREAM_KEY = "HARNESS_UPSTREAM_KEY"
_PAUSE_S = 0.05


def arguments() -> argparse.ArgumentParser:
    """What it is told."""
    parser = argparse.ArgumentParser(prog="ollama facade", allow_abbrev=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream-host", required=True)
    parser.add_argument("--upstream-port", type=int, required=True)
    parser.add_argument("--model", action="append", required=True, help="one for each name")
    parser.add_argument("--parallel", type=int, required=True, help="answers at a time")
    parser.add_argument("--queue", type=int, required=True, help="requests that may wait")
    parser.add_argument("--load-s", type=float, required=True, help="what a first use takes longer")
    return parser


async def main() -> int:
    """Serve until the process is ended. Returns an exit code."""
    told = arguments().parse_args()
    upstream = Upstream(told.upstream_host, told.upstream_port, os.environ.get(UPSTREAM_KEY))
    residency = Residency(told.model, parallel=told.parallel, queue=told.queue, load_s=told.load_s)
    native = Native(upstream, residency, await _facts(upstream))
    try:
        server = await serve(native, told.host, told.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {told.host}:{told.port}: {error}\n")
        return 2
    async with server:
        await server.serve_forever()
    return 0


async def _facts(upstream: Upstream) -> dict[str, Any]:
    """What the llama-server says of itself, as soon as it can say anything."""
    while True:
        try:
            models = await upstream.get("/v1/models")
            return {"props": await upstream.get("/props"), "meta": models["data"][0]["meta"]}
        except UpstreamError:
            await asyncio.sleep(_PAUSE_S)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
