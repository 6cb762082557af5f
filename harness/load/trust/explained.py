"""What `harness explain` says of the checks a client is judged by."""

from __future__ import annotations

_TTFT = """Error of the client's time to first token (TTFT)

Answers of a server whose timing is known are measured by the same client, at the same number of
streams and rate, before the load and beside it. The figure the client gives for them is held
against what the server's own ledger says of the same answers; both share one clock.

Remedy: a client that is off is saturated. Use more processes (`--processes N`) or fewer users."""

_ITL = """Error of the client's gap between tokens (ITL)

As for the first token. The median and the error of single gaps are limited: a client that
comes late reads several tokens at once, and what it says of the gaps between them is nothing.

Remedy: more processes, fewer users, or an idle machine: see the share of merged tokens."""


EXPLAINED = {
    "load.client.ttft.p50": _TTFT,
    "load.client.ttft.p99": _TTFT,
    "load.client.ttft-error.p50": _TTFT,
    "load.client.ttft-error.p99": _TTFT,
    "load.client.itl.p50": _ITL,
    "load.client.itl-error.p50": _ITL,
    "load.client.itl-error.p99": _ITL,
    "load.client.merged": """Share of tokens that arrived together with others

The reference server writes every token by itself, so tokens that share a read lay in the kernel
until the client came. Their stamps are upper bounds.

Remedy: keep it near 0: more processes, or fewer streams in each.""",
    "load.client.loop-lag": """How long the client's loop took to serve what was ready

99th percentile over all events of the load. It is a lower bound of how late the client was: time
in which its thread did not run at all is in the receive lag.

Remedy: more processes; nothing else may compute in the process of the engine.""",
    "load.client.dispatch-lag": """How late the client started requests

From when a request was due until it was started. A client that starts late does not offer
the load that was asked for, whatever its stamps are worth.

Remedy: fewer requests a second and process, or a higher `max_in_flight` if that held them up.""",
    "load.client.receive-lag": """How long answers lay in the kernel before the client read them

The kernel's stamp of each read subtracted from the client's. While it stays well below the gap
between tokens, tokens are read one by one and the kernel's stamps are exact.

Remedy: more processes; look for other work on the cores of the client.""",
    "load.client.cpu": """Share of a core that the client's thread used

The thread cannot use more than one core. Near 1 nothing is left for a burst.

Remedy: more processes.""",
    "load.client.safe-streams": """Streams that one process of this client can measure here

The most streams at this rate whose TTFT is right within 1 % at the median and 5 % at the 99th
percentile, and whose ITL is right within 1 % at the median, on this machine as it was then.

Remedy: plan `users / processes` below it.""",
    "load.client.reference": """The client was not held against a known timing

The server of known timing did not start, ended, could not send at the rate asked for, or too few
of its answers were measured. Nothing is then known of the error of the client's figures.

Remedy: see the reason; on a machine that is too busy for the server, lower the load or wait.""",
}
