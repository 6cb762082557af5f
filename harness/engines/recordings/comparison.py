"""Where two answers to one probe differ, and which of the differences are explained."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.engines.recordings.shape import reduce

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.engines.recordings.recording import Reply

_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place of one answer where the emulator says something else than the real server."""

    probe: str
    path: str
    real: str
    emulated: str

    def __str__(self) -> str:
        return f"{self.probe}: {self.path}: real {self.real}, emulated {self.emulated}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A difference that is known and stays; ``probe`` and ``path`` are globs."""

    engine: str
    probe: str
    path: str
    why: str

    def covers(self, engine: str, difference: Difference) -> bool:
        """Whether it explains ``difference``."""
        asked = (engine, difference.probe, difference.path)
        # Brackets are part of a path, not a set of letters.
        return all(
            fnmatchcase(value, glob.replace("[", "[[]"))
            for value, glob in zip(asked, (self.engine, self.probe, self.path), strict=True)
        )


def compare(real: Reply, emulated: Reply) -> list[Difference]:
    """Every line of the two answers that differs; where the status does, only that."""
    ours, theirs = reduce(emulated), reduce(real)
    paths = list(dict.fromkeys([*theirs, *ours]))
    if theirs["status"] != ours["status"]:
        paths = ["status"]
    return [
        Difference(
            probe=real.probe,
            path=path,
            real=theirs.get(path, _ABSENT),
            emulated=ours.get(path, _ABSENT),
        )
        for path in paths
        if theirs.get(path) != ours.get(path)
    ]


def compare_all(real: Iterable[Reply], emulated: Iterable[Reply]) -> list[Difference]:
    """The differences of two sets of answers, probe by probe.

    A probe that only one of them was asked is a difference too: the recording is out of date.
    """
    theirs, ours = ({reply.probe: reply for reply in each} for each in (real, emulated))
    found: list[Difference] = []
    for probe in dict.fromkeys([*theirs, *ours]):
        if probe in theirs and probe in ours:
            found += compare(theirs[probe], ours[probe])
        else:
            had = {
                name: "answered"
                for name, each in (("real", theirs), ("emulated", ours))
                if probe in each
            }
            found.append(
                Difference(
                    probe=probe,
                    path="asked",
                    real=had.get("real", _ABSENT),
                    emulated=had.get("emulated", _ABSENT),
                )
            )
    return found


def unexplained(
    engine: str, differences: Sequence[Difference], accepted: Iterable[Accepted]
) -> tuple[list[Difference], list[Accepted]]:
    """The differences nobody accepted, and the acceptances of this engine that nothing needs."""
    mine = [each for each in accepted if each.engine == engine]
    left = [d for d in differences if not any(each.covers(engine, d) for each in mine)]
    idle = [each for each in mine if not any(each.covers(engine, d) for d in differences)]
    return left, idle
