"""Exchanges on disk: gzip-compressed JSON Lines, written once, readable when cut short."""

from __future__ import annotations

import base64
import binascii
import errno
import json
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.wire.exchange import Clock, End, Exchange, Read, Request
from harness.wire.redaction import Redactor

if TYPE_CHECKING:
    import io
    import os
    from types import TracebackType

SCHEMA = 1
"""Version of the format, in the first line of every recording."""

_KIND = "llm-gateway-harness recording"
_GZIP = 31  # zlib's wbits for a gzip wrapper
_LEVEL = 6
_BLOCK = 1 << 16


class RecordingError(Exception):
    """A recording that cannot be written or read; the text says what is safe and what to do."""


class TruncatedRecording(UserWarning):
    """A recording that stops before its end: the writer died, or the disk was full."""


class RecordingWriter:
    """Appends exchanges to a new file at ``path``, without their secrets.

    Every exchange is flushed as it is written: a crash loses at most the last one.
    ``secrets`` are replaced wherever they stand (`harness.wire.redaction`).

    Raises:
        RecordingError: The file exists, or cannot be created or written. What was
            written before stays readable.
    """

    def __init__(self, path: str | os.PathLike[str], *, secrets: Iterable[str] = ()) -> None:
        self.path = Path(path)
        self.written = 0
        """Exchanges that are safe."""
        self._redactor = Redactor(secrets)
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._file: io.FileIO | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("ab", buffering=0)
            used = self._file.tell()
        except OSError as error:
            raise self._failed(error) from error
        if used:
            self._close()
            raise RecordingError(
                f"{self.path} exists: a recording is written once and never overwritten. "
                "Give another path, or remove the file."
            )
        self._append(self._file, {"recording": _KIND, "schema": SCHEMA})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._put(self._file, self._deflate.flush(zlib.Z_FINISH))
            self._close()

    def write(self, exchange: Exchange) -> None:
        """Append ``exchange``.

        Raises:
            RecordingError: The disk is full or the file is gone; nothing more can be
                written to this recording.
        """
        if self._file is None:
            raise RecordingError(
                f"{self.path} is not open for writing ({self.written} exchanges in it are safe): "
                "write inside `with RecordingWriter(...)`, and not after an error."
            )
        self._append(self._file, _to_json(self._redactor.exchange(exchange)))
        self.written += 1

    def _append(self, file: io.FileIO, document: dict[str, Any]) -> None:
        line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        self._put(file, self._deflate.compress(line) + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def _put(self, file: io.FileIO, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            self._close()
            raise self._failed(error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _failed(self, error: OSError) -> RecordingError:
        remedy = "Check the path and its permissions."
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            remedy = "Free space or record elsewhere, then run again."
        return RecordingError(
            f"cannot write {self.path}: {error.strerror or error}. {self.written} exchanges "
            f"written before are safe and readable. {remedy}"
        )


class RecordingReader(Iterator[Exchange]):
    """The exchanges of a recording, in the order written.

    A file cut in the middle yields every whole exchange; ``truncated`` is then true
    at the end and a `TruncatedRecording` warning says so.

    Raises:
        RecordingError: On the first `next`, not a recording or of an unknown version;
            later, damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.truncated = False
        self._exchanges = self._read()

    def __next__(self) -> Exchange:
        return next(self._exchanges)

    def _read(self) -> Iterator[Exchange]:
        lines = self._lines()
        self._check_head(next(lines, None))
        number = 0
        for number, line in enumerate(lines, start=1):
            try:
                exchange = _from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._damaged(f"exchange {number} is malformed ({error!r})") from error
            yield exchange
        if self.truncated:
            warnings.warn(
                f"{self.path} is cut short: {number} whole exchanges were read, one more may "
                "be lost. Its run did not end in order; run it again for a whole recording.",
                TruncatedRecording,
                stacklevel=3,
            )

    def _lines(self) -> Iterator[bytes]:
        inflate = zlib.decompressobj(_GZIP)
        rest = b""
        try:
            with self.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    *lines, rest = (rest + inflate.decompress(block)).split(b"\n")
                    yield from lines
        except OSError as error:
            raise RecordingError(
                f"cannot read {self.path}: {error.strerror or error}. Check the path."
            ) from error
        except zlib.error as error:
            raise self._damaged(f"the compressed data is broken ({error})") from error
        if inflate.unused_data or (inflate.eof and rest):
            raise self._damaged("something follows its end")
        self.truncated = not inflate.eof

    def _check_head(self, line: bytes | None) -> None:
        if line is None:
            if self.truncated:
                return
            raise self._damaged("it is empty")
        try:
            head = json.loads(line)
            kind, schema = head["recording"], head["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged("its first line is not that of a recording") from error
        if kind != _KIND:
            raise self._damaged(f"it is a {kind!r}")
        if schema != SCHEMA:
            raise RecordingError(
                f"{self.path} has schema {schema!r}; this version reads schema {SCHEMA}. "
                "Read it with the version of the harness that wrote it, or record again."
            )

    def _damaged(self, what: str) -> RecordingError:
        return RecordingError(
            f"{self.path} is not a whole recording: {what}. "
            "Exchanges read before this are good; record again for the rest."
        )


def read(path: str | os.PathLike[str]) -> RecordingReader:
    """Read the exchanges recorded at ``path``, one by one."""
    return RecordingReader(path)


def _to_json(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "request": {
            "method": exchange.request.method,
            "url": exchange.request.url,
            "headers": exchange.request.headers,
            "body": _encode(exchange.request.body),
        },
        "started_ns": exchange.started_ns,
        "connected_ns": exchange.connected_ns,
        "sent_ns": exchange.sent_ns,
        "ended_ns": exchange.ended_ns,
        "reads": [(read.at_ns, _encode(read.data)) for read in exchange.reads],
        "end": exchange.end,
        "detail": exchange.detail,
        "clock": exchange.clock,
        "labels": dict(exchange.labels),
    }


def _from_json(document: dict[str, Any]) -> Exchange:
    request = document.pop("request")
    return Exchange(
        **document
        | {
            "request": Request(
                method=request["method"],
                url=request["url"],
                headers=tuple((name, value) for name, value in request["headers"]),
                body=_decode(request["body"]),
            ),
            "reads": tuple(Read(at_ns, _decode(data)) for at_ns, data in document["reads"]),
            "end": End(document["end"]),
            "clock": Clock(document["clock"]),
        }
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)
