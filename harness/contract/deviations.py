"""The ledger of known deviations: who breaks which clause, why, and until when we accept it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date  # noqa: TC003  pydantic reads the annotation
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.contract.check import UnknownCheckError, find
from harness.evidence.record import Behind, Evidence, Verdict
from harness.registry import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.contract.lane import Result
    from harness.registry.source import Document


class DeviationKind(StrEnum):
    """Why a subject deviates."""

    BUG = "bug"
    """Upstream calls it wrong, or should."""
    UNSUPPORTED = "unsupported"
    """Not implemented there."""
    BY_DESIGN = "by-design"
    """Upstream wants it that way."""
    FLAKY = "flaky"
    """It comes and goes; a pass proves nothing."""


class Deviation(BaseModel):
    """One accepted breach: a check, a subject (a glob), and the issue that explains it.

    ``engine`` confines it to answers whose tokens such an engine made; without it, it speaks of
    all, and must then be seen on all. ``versions`` says in words or as a range where it was seen.
    After ``expires`` the entry excuses nothing: look again, then renew or delete it. ``issue`` is
    ``owner/repo#n`` or a URL, and may be empty only with a note that says how it was seen.
    ``keyed`` says that it shows only where the subject asks for a key: a draft for one that does
    not leaves it out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    check: str
    subject: str = Field(min_length=1)
    kind: DeviationKind
    engine: Literal["emulated", "real"] | None = None
    versions: str
    issue: str = Field(default="", pattern=r"^([\w.-]+/[\w.-]+#\d+|https://\S+)?$")
    since: date
    expires: date
    note: str = Field(default="")
    keyed: bool = False


EXPLAINED = {
    "deviation.current": """A recorded deviation may still be relied on

Each entry of deviations.yaml excuses one breach of the contract until a day somebody chose. After
that day it must be looked at again; one that is no longer observed must go.

Remedy: look whether its issue is fixed; renew the day, or delete the entry.""",
}
"""What ``harness explain`` says of each check."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deviation and the place it was written, as ``file:line:column``."""

    deviation: Deviation
    place: str

    def covers(self, subject: str, check_id: str, engine: Behind) -> bool:
        """Tell whether this entry speaks of ``subject``, on ``engine``, breaking ``check_id``."""
        return (
            self.deviation.check == check_id
            and self.deviation.engine in (None, engine)
            and fnmatchcase(subject, self.deviation.subject)
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries, in the order of the file."""

    entries: tuple[Entry, ...] = ()

    def find(self, subject: str, check_id: str, engine: Behind = "emulated") -> Deviation | None:
        """Return the first entry that covers ``subject`` and ``check_id`` on such an engine."""
        covering = (e.deviation for e in self.entries if e.covers(subject, check_id, engine))
        return next(covering, None)


class LedgerError(ValueError):
    """The ledger cannot be used; the message lists every trouble as ``file:line:column  what``."""

    def __init__(self, troubles: Sequence[str]) -> None:
        super().__init__("\n".join(troubles))
        self.troubles = tuple(troubles)


def load(path: Path) -> Ledger:
    """Read the ledger at ``path``: a YAML list under the key ``deviations``.

    Raises LedgerError with every trouble at once: broken YAML, unknown keys, values
    of the wrong type, a check id nobody registered, an id used twice.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LedgerError([f"{path}  the ledger cannot be read: {error.strerror}"]) from error
    document = source.read(str(path), data)
    troubles = [f"{finding.place}  {finding.message}" for finding in document.findings]
    items = _items(document, troubles)
    entries = [e for n, item in enumerate(items) if (e := _entry(document, n, item, troubles))]
    troubles += _repeated(entries)
    if troubles:
        raise LedgerError(troubles)
    return Ledger(tuple(entries))


def apply(
    results: Iterable[Result],
    ledger: Ledger,
    today: date,
    subject: str,
    engine: Behind = "emulated",
) -> list[Result]:
    """Hold the results of ``subject``, answered by such an engine, against the ledger.

    A failure with an entry stays a failure and carries the entry's id. A pass with
    an entry becomes a failure, unless the entry is flaky: the bug is fixed, and a
    ledger that keeps it would hide its return. An entry that has expired explains
    nothing any more.
    """
    return [
        _held(result, ledger.find(subject, result.check.id, engine), today) for result in results
    ]


def expired(ledger: Ledger, today: date) -> list[str]:
    """Return a line ``file:line:column  what`` for each entry whose last day has passed."""
    return [
        f"{e.place}  deviation {e.deviation.id} expired on {e.deviation.expires}: look whether "
        f"{e.deviation.issue or 'it'} is fixed, then renew the entry or delete it"
        for e in ledger.entries
        if e.deviation.expires < today
    ]


def ledger_evidence(ledger: Ledger, today: date) -> list[Evidence]:
    """Say of each entry whether it may still be relied on: ``deviation.current``.

    ``value`` is the number of days left, negative once expired.
    """
    return [
        Evidence(
            check="deviation.current",
            subject=entry.deviation.id,
            asked=f"Looked at again by {entry.deviation.expires}",
            verdict=Verdict.FAIL if (late := expired(Ledger((entry,)), today)) else Verdict.PASS,
            reason="".join(late),
            value=(entry.deviation.expires - today).days,
            unit="d",
            n=1,
        )
        for entry in ledger.entries
    ]


def to_evidence(
    subject: str,
    results: Iterable[Result],
    engine: Behind,
    *,
    replay: str = "",
    seed: int | None = None,
) -> list[Evidence]:
    """Turn results into evidence: one record per check, called ``contract.<id>``.

    ``n`` is the number of answers judged.
    """
    return [
        Evidence(
            check=f"contract.{result.check.id}",
            subject=subject,
            asked=result.check.title,
            verdict=result.verdict,
            reason=result.reason,
            n=len(result.exchanges) if result.verdict is not Verdict.NOT_RUN else 0,
            engine=engine,
            deviation=result.deviation,
            recordings=result.exchanges,
            replay=replay,
            seed=seed,
        )
        for result in results
    ]


def _held(result: Result, deviation: Deviation | None, today: date) -> Result:
    if deviation is None:
        return result
    if deviation.expires < today:
        late = f"; the entry {deviation.id} expired on {deviation.expires}"
        return replace(result, reason=result.reason + late) if result.violations else result
    if result.verdict is Verdict.FAIL:
        return replace(result, deviation=deviation.id)
    if result.verdict is Verdict.PASS and deviation.kind is not DeviationKind.FLAKY:
        why = f"fixed upstream: delete the entry {deviation.id} from the ledger"
        return replace(result, verdict=Verdict.FAIL, reason=why)
    return result


def _items(document: Document, troubles: list[str]) -> list[Any]:
    root: dict[str, Any] = document.value or {}
    items = root.get("deviations")
    if document.value is not None and (not isinstance(items, list) or len(root) > 1):
        where = document.position(())
        troubles.append(f"{where}  a ledger is a mapping with the one key 'deviations', a list")
    return items if isinstance(items, list) else []


def _entry(document: Document, number: int, item: Any, troubles: list[str]) -> Entry | None:
    path = ("deviations", number)
    try:
        deviation = Deviation.model_validate(item)
        find(deviation.check)
    except ValidationError as error:
        for problem in error.errors():
            where = document.position((*path, *problem["loc"]))
            field = ".".join(map(str, problem["loc"])) or "entry"
            troubles.append(f"{where}  {field}: {problem['msg']}")
        return None
    except UnknownCheckError as error:
        where = document.position((*path, "check"))
        troubles.append(f"{where}  {error} An entry for no check excuses nothing.")
        return None
    return Entry(deviation, str(document.position(path)))


def _repeated(entries: Sequence[Entry]) -> list[str]:
    first: dict[str, str] = {}
    troubles = []
    for entry in entries:
        taken = first.setdefault(entry.deviation.id, entry.place)
        if taken != entry.place:
            troubles.append(f"{entry.place}  the id {entry.deviation.id} is taken at {taken}")
    return troubles
