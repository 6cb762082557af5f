"""The recording client as load engine: one epoll loop in one native thread, for any caller.

`LoadEngine` takes a `Request` and hands back a `Ticket`, on which threads, greenlets and
coroutines wait alike. What comes of it is a `Recorded`: the same `Exchange` that
`harness.wire.RecordingClient` records, with the moments a load test needs beside it.
"""

from harness.wire.engine.engine import LoadEngine, Vitals
from harness.wire.engine.lags import Lags
from harness.wire.engine.recorded import Recorded
from harness.wire.engine.ticket import Ticket

__all__ = ["Lags", "LoadEngine", "Recorded", "Ticket", "Vitals"]
