"""What happened on the wire, recorded once and in one shape.

`RecordingClient` and `harness.wire.blocking` record, `harness.wire.engine` records under load,
`harness.wire.recording` stores, `parse` and `frames` read the bytes of an exchange as HTTP/1.1
and server-sent events.
"""

from harness.wire.client import RecordingClient
from harness.wire.exchange import Clock, End, Exchange, Header, Read, Request
from harness.wire.http1 import Response, WireError, parse, serialise
from harness.wire.recording import (
    RecordingError,
    RecordingReader,
    RecordingWriter,
    TruncatedRecording,
)
from harness.wire.sse import Frame, frames

__all__ = [
    "Clock",
    "End",
    "Exchange",
    "Frame",
    "Header",
    "Read",
    "RecordingClient",
    "RecordingError",
    "RecordingReader",
    "RecordingWriter",
    "Request",
    "Response",
    "TruncatedRecording",
    "WireError",
    "frames",
    "parse",
    "serialise",
]
