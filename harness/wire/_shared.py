"""What the two recording clients have in common: ids, limits and the name of an ending."""

from __future__ import annotations

import math
import os
from random import Random

from harness.wire.exchange import End
from harness.wire.http1 import Endpoint, WireError

READ_BYTES = 65_536


_ids = Random()  # noqa: S311 - nothing secret, and a tenth of the cost of asking the kernel
os.register_at_fork(after_in_child=_ids.seed)


def new_id() -> str:
    """Make an id that no other process makes too."""
    return f"{_ids.getrandbits(128):032x}"


def checked_timeout(timeout_s: float) -> float:
    """Return ``timeout_s``.

    Raises:
        WireError: It is not a positive, finite number of seconds.
    """
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise WireError(
            f"timeout_s is {timeout_s}: an exchange without a deadline could hang a run. "
            "Give a positive number of seconds."
        )
    return timeout_s


def ending(error: OSError, endpoint: Endpoint, *, connected: bool) -> tuple[End, str]:
    """Name the ending that ``error`` of the socket means, with a text that says where."""
    reason = error.strerror or str(error) or type(error).__name__
    if connected:
        return End.RESET, f"connection to {endpoint.authority} broke: {reason}"
    detail = f"cannot connect to {endpoint.authority}: {reason}"
    if isinstance(error, ConnectionRefusedError):
        return End.REFUSED, detail
    if isinstance(error, ConnectionResetError):
        return End.RESET, detail
    return End.UNREACHABLE, detail


def overdue(timeout_s: float, endpoint: Endpoint, *, connected: bool, received: int) -> str:
    """Say what was missing when the deadline passed."""
    if not connected:
        return f"no connection to {endpoint.authority} within {timeout_s:g} s"
    return f"no end of the answer within {timeout_s:g} s; {received} bytes received"
