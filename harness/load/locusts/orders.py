"""What every process of a run is told before it begins, and what it tells in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from harness.evidence import Evidence
from harness.load.profiles import Exact, Setting, SettingError, Target
from harness.load.trust import Trusted
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.load.profiles import Plan, Profile
    from harness.wire.engine import Vitals

ORDERS = "harness-orders"
"""Master to worker: get ready for this share of a run."""
READY = "harness-ready"
"""Worker to master: it is, and has measured itself."""
START = "harness-start"
"""Master to worker: when the run begins."""
FINISH = "harness-finish"
"""Master to worker: ask nothing more and hand in what there is."""
ROWS = "harness-rows"
"""Worker to master: rows that did not fit into Locust's own reports."""
DONE = "harness-done"
"""Worker to master: these were the last rows, and what there is to say of them."""

_LATECOMERS = 1_000_000_000
"""Numbers of a worker that joins late start at a multiple of it: no number is given twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """One process's share of a run."""

    profile: str
    setting: Setting
    base_url: str
    """The API of the target, with its path (``.../v1``)."""
    key: str | None
    timeout_s: float
    error_bar: bool = True
    """Whether the client is measured before and beside the load."""
    tokens_per_s: float = 50.0
    """What an answer is expected to bring a second: so fast is what the client is held against."""
    index: int = 0
    of: int = 1
    first: int = 0
    """The number its requests start at."""
    exact: Mapping[str, Exact] = field(default_factory=dict)
    """How prompts of exact counts are written, by the name that is asked; empty: as words."""

    def share(self, index: int, of: int) -> Orders:
        """The orders of process ``index`` of ``of``."""
        return replace(self, index=index, of=of)

    def late(self, place: int) -> Orders:
        """The orders of the worker that joined as number ``place`` after the beginning."""
        return replace(self, index=0, of=1, first=place * _LATECOMERS)

    def plan(self, profiles: Mapping[str, Profile]) -> Plan:
        """What is to be played. Raises SettingError where this process cannot know it."""
        if self.profile not in profiles:
            raise SettingError(
                f"this worker was started without the profile {self.profile!r}: give all of them "
                "the same -f."
            )
        return profiles[self.profile].plan(self.setting)

    def dump(self) -> dict[str, Any]:
        """Ready for a message."""
        return asdict(self)

    @classmethod
    def load(cls, said: Mapping[str, Any]) -> Self:
        """What `dump` made."""
        targets = tuple(
            Target(**{**target, "providers": tuple(target["providers"])})
            for target in said["setting"]["targets"]
        )
        setting = Setting(**{**said["setting"], "targets": targets})
        exact = {name: Exact.load(told) for name, told in said["exact"].items()}
        return cls(**{**said, "setting": setting, "exact": exact})


def vitals_said(vitals: Vitals) -> dict[str, Any]:
    """How an engine fares, ready for a message or a file."""
    return {
        "loop_lag": _lags_said(vitals.loop_lag),
        "dispatch_lag": _lags_said(vitals.dispatch_lag),
        "exchanges": vitals.exchanges,
        "most_in_flight": vitals.most_in_flight,
        "opened": vitals.opened,
        "cpu_s": vitals.cpu_s,
        "slice_ns": vitals.slice_ns,
    }


def _lags_said(lags: Lags) -> dict[str, Any]:
    return {"most_ns": lags.most_ns, "counts": [list(pair) for pair in lags.counts.items()]}


def trusted_said(trusted: Trusted) -> list[dict[str, Any]]:
    """A judgement of the client, ready for a message or a file."""
    return [row.model_dump(mode="json") for row in trusted.evidence]


def trusted_of(said: Iterable[Mapping[str, Any]]) -> Trusted:
    """The judgement that `trusted_said` put into a message."""
    return Trusted(evidence=tuple(Evidence.model_validate(row) for row in said))


def lags_of(said: Mapping[str, Any]) -> Lags:
    """The lags that `vitals_said` put into a message."""
    return Lags(dict(said["counts"]), said["most_ns"])
