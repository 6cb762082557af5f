"""The process that samples: reads its order from standard input, ends with it."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.metrics import FACTS, dialect_of, labels_of, quantities, read_metrics
from harness.load.sampling.sampling import KIND, SCHEMA, Sample, dump, path_of, shown
from harness.wire import Request, parse
from harness.wire.blocking import exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.metrics import Series
    from harness.wire import Response

_NO_PAGE = "engines of its kind have no metrics page"
_FIRST_S = 5.0
"""How long the first answer may take: the page is made for the first time, on a cold server."""
_NICE = 5
_SERVER_ERROR = 500


class Watcher:
    """Samples one engine into one file until ``over`` is set."""

    def __init__(
        self,
        order: Mapping[str, Any],
        watch: Mapping[str, Any],
        over: threading.Event,
        *,
        first_s: float = _FIRST_S,
    ) -> None:
        self.asked = threading.Event()
        """Set once it was asked for the first time."""
        self.trouble: Exception | None = None
        self._name, self._url, self._key = watch["name"], watch["url"], watch["key"]
        self._every_s, self._within_s = float(order["every_s"]), float(order["within_s"])
        self._first_s = max(first_s, self._within_s)
        self._most = int(order["most"])
        self._over = over
        self._dialect: str | None = None
        self._introduced = False
        self._written = 0
        path = path_of(Path(order["folder"]), self._name)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def run(self) -> None:
        """Sample; what ends it before its time is kept as `trouble`, and ends all."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - handed on, see `trouble`
            self.trouble = error
            self._over.set()
        finally:
            self.asked.set()
            os.close(self._fd)

    def _run(self) -> None:
        about = {"name": self._name, "url": shown(self._url or ""), "every_s": self._every_s}
        self._line({"samples": KIND, "schema": SCHEMA, **about})
        absent = _NO_PAGE if self._url is None else self._sample(self._first_s)
        self.asked.set()
        due = time.monotonic()
        while not absent and not self._over.is_set():
            due += self._every_s
            now = time.monotonic()
            if now > due:  # beats that were missed stay missing
                due += self._every_s * ((now - due) // self._every_s + 1)
            self._over.wait(due - now)
            absent = self._sample(self._within_s)
        if absent:
            self._line({"absent": absent})
        self._line({"ended": time.time_ns()})

    def _sample(self, within_s: float) -> str:
        """Ask once and write what came; why it is no use to ask again, if it is not."""
        bearer = (("authorization", f"Bearer {self._key}"),) if self._key else ()
        asked_ns = time.time_ns()
        request = Request(method="GET", url=self._url, headers=bearer)
        got = exchange(request, timeout_s=within_s)
        at_ns = time.time_ns()
        response = parse(got)
        said, why = {}, got.detail if response.status is None else ""
        if response.status is not None:
            page, why = _page(response)
            if self._dialect is None:
                self._dialect = dialect_of(page)
                if self._dialect is None and response.status < _SERVER_ERROR:
                    return why or "its metrics page tells nothing of its load"
            if self._dialect is not None and not self._introduced:
                self._introduced = True
                facts = dict(labels_of(page, FACTS.get(self._dialect, "")))
                self._line({"dialect": self._dialect, "facts": facts})
            said = {} if why or self._dialect is None else quantities(page, self._dialect)
            why = why or ("" if said else "its metrics page told nothing of its load")
        sample = Sample(
            asked_unix_ns=asked_ns, at_unix_ns=at_ns, every_s=self._every_s, said=said, why=why
        )
        self._line(dump(sample))
        self._written += 1
        if self._written >= self._most:
            self._written = self._most // 2
            self._every_s *= 2
            self._line({"every_s": self._every_s})
        return ""

    def _line(self, document: Mapping[str, Any]) -> None:
        rest = memoryview(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _page(response: Response) -> tuple[tuple[Series, ...], str]:
    """The samples of an answer, or why it is no metrics page."""
    if response.status != 200:
        key = ": it wants a key" if response.status in (401, 403) else ""
        return (), f"its metrics page answers {response.status}{key}"
    if not response.complete:
        return (), f"its metrics page is cut: {response.fault}"
    try:
        return read_metrics(response.body.decode("utf-8", "replace")), ""
    except ValueError as error:
        return (), str(error)


def main() -> int:
    """Sample as the first line of standard input says, until anything follows it or it ends."""
    with suppress(OSError):
        os.nice(_NICE)  # where the processor is short, a gap disturbs less than a late client
    order = json.loads(sys.stdin.readline())
    over = threading.Event()
    try:
        watchers = [Watcher(order, watch, over) for watch in order["watches"]]
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    threads = [threading.Thread(target=watcher.run) for watcher in watchers]
    for thread in threads:
        thread.start()
    for watcher in watchers:
        watcher.asked.wait()
    with suppress(OSError):
        if not any(watcher.trouble for watcher in watchers):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
    threading.Thread(target=_until_told, args=(over,), daemon=True).start()
    for thread in threads:
        thread.join()
    troubles = [watcher.trouble for watcher in watchers if watcher.trouble]
    sys.stderr.writelines(f"{trouble}\n" for trouble in troubles)
    return 1 if troubles else 0


def _until_told(over: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin, whose lock an exit would trip over
    over.set()


if __name__ == "__main__":
    sys.exit(main())
