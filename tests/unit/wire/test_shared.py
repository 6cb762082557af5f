from __future__ import annotations

import errno
import os
import socket

import pytest

from harness.wire._shared import ending, new_id, overdue
from harness.wire.exchange import End
from harness.wire.http1 import endpoint

WHERE = endpoint("http://127.0.0.1:9/")


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (os_error(errno.ECONNREFUSED), End.REFUSED),
        (os_error(errno.ECONNRESET), End.RESET),
        (os_error(errno.ENETUNREACH), End.UNREACHABLE),
        (os_error(errno.EACCES), End.UNREACHABLE),
        (os_error(errno.ETIMEDOUT), End.UNREACHABLE),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), End.UNREACHABLE),
        (OSError("without a number"), End.UNREACHABLE),
    ],
)
def test_a_failure_to_connect_has_an_end_and_says_where(error: OSError, end: End) -> None:
    found, detail = ending(error, WHERE, connected=False)

    assert found is end
    assert detail == f"cannot connect to 127.0.0.1:9: {error.strerror or error}"


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])
def test_a_connection_that_breaks_later_was_reset(number: int) -> None:
    found, detail = ending(os_error(number), WHERE, connected=True)

    assert found is End.RESET
    assert detail == f"connection to 127.0.0.1:9 broke: {os.strerror(number)}"


def test_a_passed_deadline_says_what_was_missing() -> None:
    assert overdue(2.5, WHERE, connected=False, received=0) == (
        "no connection to 127.0.0.1:9 within 2.5 s"
    )
    assert overdue(2.5, WHERE, connected=True, received=7) == (
        "no end of the answer within 2.5 s; 7 bytes received"
    )


def test_ids_differ_from_each_other_and_from_those_of_a_forked_child() -> None:
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        os.write(sender, new_id().encode())
        os._exit(0)
    ours = [new_id() for _ in range(3)]
    os.waitpid(child, 0)
    theirs = os.read(receiver, 100).decode()
    os.close(receiver)
    os.close(sender)
    assert len({*ours, theirs}) == 4
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in (*ours, theirs))
