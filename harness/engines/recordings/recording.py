"""Asks the probes and keeps the answers: JSON lines, the first of which says who answered."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.engines.recordings.probes import PROBES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.engines.recordings.probes import Probe

_FOLDER = re.compile(r"[\w./-]+(?=/site-packages/)")
_SECRET = "secret-not-recorded"  # noqa: S105 - what stands in the place of one


class RecordingError(ValueError):
    """A recording that cannot be made or read; the text says which file or server, and why."""

    id = "engine.recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One recorded answer: status, headers in their order and spelling, body with chunks undone."""

    probe: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str:
        """The value of a header, whatever its case; empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything one server of one version answered."""

    engine: str
    version: str
    command: str
    """How it was started, without folders."""
    replies: tuple[Reply, ...]

    def write(self, path: Path) -> None:
        """Keep it as JSON lines."""
        about = {"engine": self.engine, "version": self.version, "command": self.command}
        lines = [about, *(asdict(reply) for reply in self.replies)]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def read(path: Path) -> Recording:
    """Read what `Recording.write` wrote.

    Raises:
        RecordingError: the file is missing or is no recording.
    """
    try:
        about, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        replies = [
            Reply(**{**line, "headers": tuple(map(tuple, line["headers"]))}) for line in lines
        ]
        return Recording(**about, replies=tuple(replies))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordingError(f"{path} is no recording: {error}; renew it") from error


def record(url: str, probes: Iterable[Probe] = PROBES) -> tuple[Reply, ...]:
    """Ask the server at ``url`` (``http://host:port``) every probe, each on its own connection.

    Raises:
        RecordingError: it does not answer.
    """
    return tuple(_ask(url, probe) for probe in probes)


def _ask(url: str, probe: Probe) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(probe.method, probe.path, probe.data, probe.headers)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "surrogateescape")
    except (OSError, http.client.HTTPException) as error:
        told = f"{url} did not answer {probe.method} {probe.path} ({probe.id}): {error!r}"
        raise RecordingError(told) from error
    finally:
        connection.close()
    sent = [value for value in probe.headers.values() if "key" in value]
    for secret in sent:
        body = body.replace(secret.removeprefix("Bearer "), _SECRET)
    body = _FOLDER.sub("/venv", body)
    headers = tuple((name, value) for name, value in answer.getheaders())
    return Reply(probe=probe.id, status=answer.status, headers=headers, body=body)
