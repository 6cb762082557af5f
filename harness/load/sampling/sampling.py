"""What engines say of themselves along a load, sampled by a process of its own.

It asks each engine for its metrics page at a fixed beat, over connections of its own, and appends
what it says to ``engine-<name>.jsonl`` in the journal's folder: a line that says what the file is,
a line a sample, and a last line that says that it came to its end. It shares neither interpreter
nor connections with the client that measures. Times are CLOCK_REALTIME nanoseconds of the machine
that samples.

A sample that was not answered before the next was due is a gap, with its reason; nothing is ever
put in its place.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

import harness
from harness.engines.metrics import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from harness.engines.engine import Engine

SCHEMA = 1
KIND = "llm-gateway-harness engine samples"
FILES = "engine-{}.jsonl"
INTERVAL_S = 0.5
MOST = 20_000
"""Samples at the first beat; each half as many more, the beat doubles: a file stays small however
long the load, and the beginning stays as fine as it was."""

_LATE = 1.5
"""Samples further apart than this many beats have a gap between them."""
_END_S = 10.0
_ROOT = str(Path(harness.__file__).parents[1])

EXPLAINED = {
    "load.sampling": """The engines could not be sampled along the load

Their samples are written by a process of its own beside the rows of the load; it could not start,
or it could not write.

Remedy: look at what it said: most often the folder holds samples of an earlier run, or is full.""",
    "load.samples": """A file of engine samples cannot be read

Every line of it is one sample; one in the middle is not, so the file was edited or is another
version's.

Remedy: remove the file to draw the load without it, or run the load again.""",
}
"""What ``harness explain`` says of each error."""


class SamplingError(RuntimeError):
    """Engines that cannot be sampled, or samples that cannot be read; ``id`` is stable."""

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An engine to sample: the URL of its metrics page, or None if its kind has none."""

    name: str
    url: str | None
    key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, engine: Engine, *, key: str | None = None) -> Self:
        """The metrics page that an engine of its kind has."""
        path = engine.capabilities.metrics
        return cls(name=engine.id, url=None if path is None else engine.endpoint + path, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What an engine said at one moment, between asking and the arrival of its answer."""

    asked_unix_ns: int
    at_unix_ns: int
    """When its answer had arrived, or when it was given up."""
    every_s: float
    """The beat in force."""
    said: Mapping[Quantity, float] = field(default_factory=dict)
    """Empty where it said nothing; a quantity that its dialect does not tell is not in it."""
    why: str = ""
    """Why it said nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """All that one engine said along a load."""

    name: str
    url: str
    """Of its page, without user, password and query; empty if it has none."""
    samples: tuple[Sample, ...] = ()
    dialect: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """How it says it was started: the labels of its info series."""
    absent: str = ""
    """Why it was not sampled at all, if it was not."""
    cut: bool = False
    """The sampling ended before its time: later samples are missing."""

    def stretches(self) -> tuple[tuple[Sample, ...], ...]:
        """The samples that said something, parted wherever there is a gap."""
        runs: list[list[Sample]] = []
        last: Sample | None = None
        for sample in self.samples:
            if sample.said:
                near = last is not None and _follows(last, sample)
                if near:
                    runs[-1].append(sample)
                else:
                    runs.append([sample])
            last = sample if sample.said else None
        return tuple(map(tuple, runs))

    @property
    def gaps(self) -> int:
        """How many samples are missing: not answered in time, or never asked for."""
        silent = sum(not sample.said for sample in self.samples)
        return silent + sum(
            max(0, round((later.asked_unix_ns - sooner.asked_unix_ns) / 1e9 / sooner.every_s) - 1)
            for sooner, later in pairwise(self.samples)
        )


class Sampler:
    """Samples ``watches`` into ``folder`` from entering it until it is left.

    Entering waits until each engine was asked once, so that a load begins with a sample; leaving
    asks each once more. ``every_s`` is the beat, ``within_s`` how long an answer may take: one
    beat, unless it is given. It ends with this process, however that ends.

    Raises:
        SamplingError: on entering, if the process cannot start or write. On leaving it does not
            raise: `trouble` says what went wrong, and the files read as cut.
    """

    def __init__(
        self,
        folder: Path,
        watches: Iterable[Watch],
        *,
        every_s: float = INTERVAL_S,
        within_s: float | None = None,
        most: int = MOST,
    ) -> None:
        within_s = every_s if within_s is None else within_s
        if not (every_s > 0 and within_s > 0 and most > 1):
            raise ValueError(
                f"a sample every {every_s} s within {within_s} s, {most} of them: give more"
            )
        self.trouble = ""
        """What ended the sampling before its time; empty if nothing did."""
        self._folder, self._watches = folder, tuple(watches)
        self._order = {
            "folder": str(folder),
            "every_s": every_s,
            "within_s": within_s,
            "most": most,
        }
        self._child: subprocess.Popen[str] | None = None
        names = [path_of(folder, watch.name) for watch in self._watches]
        if len(set(names)) < len(names):
            raise ValueError("two engines of one name cannot be told apart: give each its own")

    def __enter__(self) -> Self:
        if self._watches:
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the process take its last samples and end. Safe to call twice."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            # Said, for the pipe's end is no sign where a fork of ours holds it too.
            _, said = child.communicate("stop\n", timeout=_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            _, said = child.communicate()
            said = f"it did not end within {_END_S:g} s\n{said}"
        if child.returncode:
            self.trouble = _last_line(said) or f"it ended with {child.returncode}"

    def _start(self) -> None:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        watches = [
            {"name": watch.name, "url": watch.url, "key": watch.key} for watch in self._watches
        ]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._child = child = subprocess.Popen(
                [sys.executable, "-m", "harness.load.sampling.sampler"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                text=True,
                start_new_session=True,  # Ctrl-C is for us: it ends when we let it
            )
        except OSError as error:
            raise self._failed(str(error)) from error
        if child.stdin is None or child.stdout is None:  # they are pipes: for the types alone
            raise self._failed("it has no pipes")
        try:
            # Through a pipe, for a key shall be in no command line and in no environment.
            child.stdin.write(json.dumps({**self._order, "watches": watches}) + "\n")
            child.stdin.flush()
        except OSError:  # it has died: what it said tells more
            pass
        if child.stdout.readline() != "ready\n":
            self.close()
            raise self._failed(self.trouble)

    def _failed(self, why: str) -> SamplingError:
        return SamplingError(
            "load.sampling",
            f"the engines cannot be sampled into {self._folder}: {why}. Without their samples a "
            "load cannot be told from the queue it made. Mend that, or drive it without sampling.",
        )


def path_of(folder: Path, name: str) -> Path:
    """Where the samples of the engine called ``name`` stand."""
    return folder / FILES.format(re.sub(r"[^\w.-]", "-", name))


def shown(url: str) -> str:
    """``url`` as it may be kept: without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def sampled(folder: Path) -> tuple[Sampled, ...]:
    """What every engine said along the load whose journal stands in ``folder``, by name.

    Raises:
        SamplingError: a file of samples is none, or has a line that is no sample.
    """
    return tuple(_read(path) for path in sorted(folder.glob(FILES.format("*"))))


def dump(sample: Sample) -> dict[str, Any]:
    """``sample`` ready for JSON; its beat stands in a line of its own."""
    told = {str(quantity): value for quantity, value in sample.said.items()}
    moment = {"asked": sample.asked_unix_ns, "at": sample.at_unix_ns}
    return {**moment, **(told or {"why": sample.why})}


def _follows(sooner: Sample, later: Sample) -> bool:
    return later.asked_unix_ns - sooner.asked_unix_ns <= _LATE * sooner.every_s * 1e9


def _read(path: Path) -> Sampled:
    lines = path.read_bytes().split(b"\n")[:-1]  # what has no line end was torn
    head: dict[str, Any] = {}
    told: dict[str, Any] = {}
    samples: list[Sample] = []
    every_s, ended = INTERVAL_S, False
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            if number == 1:
                head = _head(said)
            elif "asked" in said:
                samples.append(_sample(said, every_s))
            elif "dialect" in said or "absent" in said:
                told = said
            ended = "ended" in said
            every_s = float(said.get("every_s", every_s))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SamplingError(
                "load.samples",
                f"{path}:{number} is no line of engine samples ({error!r}): the file was edited, "
                "or written by another version. Remove it to draw the load without this engine.",
            ) from error
    return Sampled(
        name=str(head.get("name", path.stem.removeprefix("engine-"))),
        url=str(head.get("url", "")),
        samples=tuple(samples),
        dialect=told.get("dialect"),
        facts=told.get("facts", {}),
        absent=str(told.get("absent", "")),
        cut=not ended,
    )


def _head(said: Mapping[str, Any]) -> dict[str, Any]:
    if said["samples"] != KIND or said["schema"] != SCHEMA:
        raise ValueError(f"not {KIND}, schema {SCHEMA}")
    return dict(said)


def _sample(said: Mapping[str, Any], every_s: float) -> Sample:
    return Sample(
        asked_unix_ns=int(said["asked"]),
        at_unix_ns=int(said["at"]),
        every_s=every_s,
        said={each: float(said[each]) for each in Quantity if each in said},
        why=str(said.get("why", "")),
    )


def _last_line(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[-1] if lines else ""
