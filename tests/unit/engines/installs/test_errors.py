from __future__ import annotations

import errno
from pathlib import Path

import pytest

from harness.engines.installs.errors import EXPLAINED, explained
from harness.process.command import CommandError

WHERE = Path("/cache/engines/toy-1.0")


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        ("ERROR: No matching distribution found for toy==1.0", "install.download"),
        ("WARNING: Retrying: Connection refused", "install.download"),
        ("E: Failed to fetch http://archive.invalid/x.deb  404  Not Found", "install.download"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS", "install.hash"),
        ("fatal error: error writing to /tmp/x.s: No space left on device", "install.disk"),
        ("OSError: [Errno 28] No space", "install.disk"),
        ("ninja: build stopped: subcommand failed.", "install.build"),
    ],
)
def test_what_a_program_says_decides(line: str, id_: str) -> None:
    error = explained("toy", CommandError(["pip"], 1, [line]), WHERE)
    assert error.id == id_
    assert line in str(error)
    assert str(WHERE) in str(error)


def test_sigill_means_the_processor() -> None:
    assert explained("toy", CommandError(["server"], -4, []), WHERE).id == "install.cpu"


@pytest.mark.parametrize(
    ("number", "id_"),
    [
        (errno.ENOSPC, "install.disk"),
        (errno.EDQUOT, "install.disk"),
        (errno.EACCES, "install.cache"),
        (errno.EROFS, "install.cache"),
    ],
)
def test_what_the_system_says_decides(number: int, id_: str) -> None:
    assert explained("toy", OSError(number, "said"), WHERE).id == id_


@pytest.mark.parametrize("id_", EXPLAINED)
def test_every_id_has_a_title_a_reason_and_a_remedy(id_: str) -> None:
    title, why, remedy = EXPLAINED[id_].split("\n\n")
    assert title
    assert why.endswith(".")
    assert remedy.startswith("Remedy: ")
