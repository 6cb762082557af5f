"""What happened on the wire, recorded once and in one shape."""

from harness.wire.exchange import Clock, End, Exchange, Header, Read, Request

__all__ = ["Clock", "End", "Exchange", "Header", "Read", "Request"]
