"""Who is there: running servers, asked read-only, described as a first set of sources."""

from harness.discovery.discover import Discovered, Server, discover
from harness.discovery.recognising import Kind, Recognised, recognise

__all__ = ["Discovered", "Kind", "Recognised", "Server", "discover", "recognise"]
