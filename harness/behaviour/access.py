"""Who may ask, and from where: keys, browser origins, listening addresses, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.metrics import read_metrics, total
from harness.evidence import Evidence, Verdict
from harness.wire import Request
from harness.wire.http1 import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.answer import Answer
    from harness.engines.metrics import Series
    from harness.wire import Exchange


EXPLAINED = {
    "gateway.auth": """Only the right key is admitted

One request each with the right key, with none and with a wrong one. LiteLLM without a database
refuses a wrong key with 400 instead of 401; what counts is that nothing is answered.

Remedy: set a master key, and remove whatever lets requests without one through.""",
    "gateway.cors": """Browsers on listed origins may ask, others may not

A preflight request from each listed origin and from a stranger. A wildcard together with
credentials lets every page a user opens talk to the gateway.

Remedy: list the origins in the sources; LiteLLM reads them from its environment, not from its
file.""",
    "gateway.loopback": """Everything started listens on loopback only

The listening sockets of each process are read from the kernel. A model server bound to all
interfaces answers the whole network without a key.

Remedy: bind to 127.0.0.1 or ::1 in ports.yaml and put a reverse proxy in front for others.""",
    "gateway.metrics": """The request counter moves by what was sent

A dashboard that never moves looks like a quiet day. One request is sent, and the counter must have
grown afterwards.

Remedy: enable the prometheus callback, and scrape `/metrics/` with its slash.""",
    "config.secrets": """No secret of the run stands in a file

Every key is made anew for a run and then looked for in the configuration, the reports, the logs and
the recordings of that run.

Remedy: name the variable (`os.environ/NAME`) instead of writing its value.""",
}
"""What ``harness explain`` says of each check."""


def preflight(url: str, origin: str) -> Request:
    """A CORS preflight as a browser sends it (WHATWG Fetch, CORS-preflight request)."""
    return Request(
        method="OPTIONS",
        url=url,
        headers=(
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ),
    )


def judge_key(case: str, answer: Answer, *, admitted: bool) -> Evidence:
    """Whether a caller with this kind of key got in, or was turned away.

    Turned away is any 4xx with an error object: that it should be 401 is a matter of
    the contract (``error.auth.401``), that nobody was served is one of safety.
    """
    if admitted:
        passed = answer.status == 200
        asked = "a caller with the right key is served"
    else:
        turned_away = answer.status is not None and 400 <= answer.status < 500
        passed = turned_away and answer.error is not None
        asked = "a caller without the right key is turned away with an error object"
    return Evidence(
        check="gateway.auth",
        subject=case,
        asked=asked,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        reason="" if passed else f"status {answer.status}: {answer.wholeness.why}",
        value=answer.status,
        unit="HTTP status",
        recordings=(answer.exchange.id,),
    )


def judge_origin(origin: str, exchange: Exchange, *, allowed: bool) -> Evidence:
    """Whether the preflight answer lets pages of ``origin`` in (``*`` lets everybody in)."""
    response = parse(exchange)
    granted = response.header("access-control-allow-origin")
    open_door = granted in (origin, "*")
    if allowed:
        passed, asked = granted == origin, "a configured browser origin is let in by name"
    else:
        passed, asked = response.status is not None and not open_door, "any other origin is not"
    return Evidence(
        check="gateway.cors",
        subject=origin,
        asked=asked,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        reason=""
        if passed
        else f"access-control-allow-origin: {granted}, status {response.status}",
        value=granted or "no grant",
        recordings=(exchange.id,),
    )


def judge_listeners(subject: str, addresses: Sequence[str] | None) -> Evidence:
    """Whether every listening socket of a process is on loopback.

    ``addresses`` are ``address:port`` as the kernel lists them; None means the
    platform does not tell, which is not a pass.
    """
    asked = "listens on loopback only"
    if addresses is None:
        return Evidence(
            check="gateway.loopback",
            subject=subject,
            asked=asked,
            verdict=Verdict.NOT_RUN,
            reason="this platform has no /proc/net/tcp to read listening sockets from",
        )
    outside = [a for a in addresses if not a.startswith(("127.", "[::1]"))]
    if not addresses:
        verdict, reason = Verdict.FAIL, "no listening socket was found at all"
    elif outside:
        verdict, reason = Verdict.FAIL, f"listens on {', '.join(outside)}"
    else:
        verdict, reason = Verdict.PASS, ""
    return Evidence(
        check="gateway.loopback",
        subject=subject,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=", ".join(addresses),
    )


def counter(exchange: Exchange, name: str) -> float | None:
    """Sum over all series of one counter; None if it is absent, or what was sent is no page."""
    page = _page(exchange)
    return None if isinstance(page, str) else total(page, name)


def _page(exchange: Exchange) -> tuple[Series, ...] | str:
    """The samples of a metrics page, or why it is none."""
    try:
        return read_metrics(parse(exchange).body.decode("utf-8", errors="replace"))
    except ValueError as error:
        return str(error)


def judge_counter(name: str, before: Exchange, after: Exchange, sent: int) -> Evidence:
    """Whether a counter moved by at least the ``sent`` requests between two readings."""
    first, last = counter(before, name), counter(after, name)
    moved = (last or 0.0) - (first or 0.0)
    unread = [why for why in map(_page, (before, after)) if isinstance(why, str)]
    if unread:
        verdict, reason = Verdict.FAIL, f"no metrics page was sent: {unread[0]}"
    elif last is None:
        verdict, reason = Verdict.FAIL, "the metrics page has no such counter"
    elif moved < sent:
        verdict, reason = Verdict.FAIL, f"moved by {moved:g} over {sent} requests"
    else:
        verdict, reason = Verdict.PASS, ""
    return Evidence(
        check="gateway.metrics",
        subject=name,
        asked=f"counts at least the {sent} requests sent",
        verdict=verdict,
        reason=reason,
        value=moved,
        unit="requests",
        n=sent,
        recordings=(before.id, after.id),
    )


def leaks(files: Mapping[str, bytes], secrets: Mapping[str, str]) -> Evidence:
    """Whether any secret value stands in any file; the values themselves are never repeated."""
    found = sorted(
        f"{variable} in {name}"
        for name, content in files.items()
        for variable, value in secrets.items()
        if value.encode() in content
    )
    return Evidence(
        check="config.secrets",
        subject="files of the run",
        asked=f"none of {len(secrets)} secrets stands in a file",
        verdict=Verdict.FAIL if found else Verdict.PASS,
        reason="; ".join(found),
        value=len(files),
        unit="files searched",
        n=len(files),
    )
