"""The ports of the sources on the live machine: who holds one, and where it is reachable.

Asked before a start: while the system runs, its own services hold their ports.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from harness.process.listeners import listeners
from harness.process.ports import free_port, holder
from harness.registry import Finding, Severity

if TYPE_CHECKING:
    from harness.registry import Place, Registry

TAKEN = "GW400"
OTHER_FAMILY = "GW401"
WILDCARD = "GW402"
EXPLAINED = {
    TAKEN: """Somebody already listens on a port of the sources (error)

The service that is to listen there cannot start; or, if it is not needed to start, requests meant
for it reach somebody else. While the system itself runs, its services hold their ports: then this
is no fault.

Remedy: stop the process that is named, or write the free port that is proposed into ports.yaml.""",
    OTHER_FAMILY: """Somebody listens on the same port of the other kind of loopback (warning)

`localhost` means both 127.0.0.1 and ::1, and most clients try ::1 first. With another process
there, a client that says localhost talks to it, while one that says 127.0.0.1 does not.

Remedy: stop the process that is named, or write addresses instead of localhost.""",
    WILDCARD: """A port of the sources is held on every address of the machine (warning)

The process that holds it can be reached from the network, past the gateway and its key.

Remedy: bind it to 127.0.0.1.""",
}
"""What ``harness explain`` says of each id."""

_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_EVERYWHERE = ("0.0.0.0", "[::]")  # noqa: S104 - looked for, not bound


def port_conflicts(registry: Registry) -> list[Finding]:
    """Ports in ports.yaml that somebody on this machine listens on, over IPv4 or IPv6.

    Asks the kernel by binding for a moment, so a wildcard address counts on either. The holder is
    named where /proc tells. Sorted by place.
    """
    findings = []
    for name, service in registry.ports.services.items():
        taken = {family for family in _LOOPBACK if _is_taken(service.port, family)}
        if not taken:
            continue
        place = registry.position(("services", name, "port"))
        port = f"Port {service.port} of {name!r}"
        who, where = _holder(service.port)
        everywhere = [address for address in where if address.startswith(_EVERYWHERE)]
        if _family(registry.ports.host) in taken:
            remedy = f"Stop it, or use a free port, for example {free_port()}."
            findings.append(_finding(TAKEN, place, f"{port} is held by {who}.", remedy))
        else:
            other = " and ".join(sorted(_LOOPBACK[family] for family in taken))
            message = f"{port} is held on {other} by {who}."
            remedy = "Stop it, or let clients write the address instead of localhost."
            findings.append(_finding(OTHER_FAMILY, place, message, remedy))
        if everywhere:
            message = f"{port} is open on {', '.join(everywhere)}."
            findings.append(_finding(WILDCARD, place, message, f"Bind {who} to 127.0.0.1."))
    return sorted(findings)


def _finding(rule: str, place: Place, message: str, remedy: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR if rule == TAKEN else Severity.WARNING,
        file=place.file,
        line=place.line,
        column=place.column,
        message=message,
        remedy=remedy,
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_taken(port: int, family: socket.AddressFamily) -> bool:
    """Whether a server could not listen on this port of loopback; False without such a family."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((_LOOPBACK[family], port))
            probe.listen(1)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _holder(port: int) -> tuple[str, tuple[str, ...]]:
    """Who listens on a port, in words, and every address it listens on there."""
    found = holder(port)
    if found is None:
        return "a process of another user", ()
    everywhere = listeners(found.pid) or ()
    return str(found), tuple(a for a in everywhere if a.rpartition(":")[2] == str(port))
