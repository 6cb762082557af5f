from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from harness.gateway.ports import EXPLAINED, port_conflicts
from harness.process.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.registry import Finding, Registry


def listen(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.socket(family, socket.SOCK_STREAM)
        if family is socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((address, 0))
    except OSError:
        pytest.skip(f"this machine has no {address}")
    server.listen()
    return server


@pytest.fixture
def found(registry_of: Callable[[str], Registry]) -> Callable[[str, str], list[Finding]]:
    """The findings on a port that is held on an address, in sources for a host."""

    def ask(held: str, host: str = "127.0.0.1") -> list[Finding]:
        others = iter({free_port() for _ in range(20)})
        with listen(held) as server:
            port = server.getsockname()[1]
            services = {"gateway": next(others), "local": port, "spare": next(others)}
            ports = ", ".join(f"{name}: {{port: {number}}}" for name, number in services.items())
            registry = registry_of(f"ports.yaml: {{host: '{host}', services: {{{ports}}}}}")
            return port_conflicts(registry)

    return ask


def test_free_ports_are_no_conflict(registry_of: Callable[[str], Registry]) -> None:
    free: Iterator[int] = iter({free_port() for _ in range(20)})
    ports = ", ".join(f"{name}: {{port: {next(free)}}}" for name in ("gateway", "local", "spare"))
    assert port_conflicts(registry_of(f"ports.yaml: {{services: {{{ports}}}}}")) == []


@pytest.mark.parametrize(("held", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
def test_a_taken_port_names_its_holder_and_a_free_one(
    found: Callable[[str, str], list[Finding]], held: str, host: str
) -> None:
    (finding,) = found(held, host)
    assert (finding.rule, finding.severity) == ("GW400", "error")
    assert finding.file == "ports.yaml"
    assert "of 'local' is held by" in finding.message
    assert "python" in finding.message
    assert re.search(r"for example \d+\.$", finding.remedy)


def test_the_other_loopback_is_a_warning(found: Callable[[str], list[Finding]]) -> None:
    (finding,) = found("::1")
    assert (finding.rule, finding.severity) == ("GW401", "warning")
    assert "held on ::1 by" in finding.message


def test_a_wildcard_is_taken_and_open_to_the_network(
    found: Callable[[str], list[Finding]],
) -> None:
    assert {finding.rule for finding in found("0.0.0.0")} == {"GW400", "GW402"}
    assert {finding.rule for finding in found("::")} == {"GW401", "GW402"}


def test_every_id_explains_itself() -> None:
    for text in EXPLAINED.values():
        assert re.match(r".+ \((error|warning)\)\n\n", text)
        assert "\nRemedy: " in text
