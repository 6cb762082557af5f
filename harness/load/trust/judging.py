"""Whether what a client measured may be believed: a pure function of what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.load.trust.errors import Errors, Figure, Signs
    from harness.load.trust.search import Safe
    from harness.statistics import Estimate
    from harness.wire.engine import Lags

_MS = 1e6
_SUMMARY = {
    "ttft.p50": "TTFT p50 {:+.2f} %",
    "ttft.p99": "p99 {:+.2f} %",
    "itl.p50": "ITL p50 {:+.2f} %",
    "itl-error.p99": "gaps off by {:.2f} ms (p99)",
    "merged": "{:.1f} % merged",
    "loop-lag": "loop lag {:.2f} ms (p99)",
    "dispatch-lag": "dispatch lag {:.2f} ms (p99)",
    "receive-lag": "receive lag {:.2f} ms (p99)",
    "cpu": "{:.0f} % of a core",
    "safe-streams": "{:.0f} streams a process are safe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From which error on a client is not believed."""

    ttft_p50: float = 0.01
    """Share of the truth."""
    ttft_p99: float = 0.05
    itl_p50: float = 0.01
    itl_error: float = 0.25
    """Error of single gaps at the 99th percentile, as a share of the gap."""
    lag: float = 0.75
    """Loop and receive lag at the 99th percentile, as a share of the gap between tokens: where it
    is reached, tokens share reads."""
    own_lag: float = 0.25
    """The same where the stamps are the client's own, and the lag is an error of each."""
    dispatch_ms: float = 100.0
    """Dispatch lag at the 99th percentile."""
    cpu: float = 0.95
    merged: float = 0.05
    delivered: float = 0.9
    """Share of the rate asked for that the reference server must have sent."""
    answers: int = 3
    """Least number of answers."""
    p99_answers: int = 100
    """Below so many answers the 99th percentile is the worst of them, and is not limited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What may be said of the figures of a load: pass, or inconclusive and why."""

    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """Pass only if the client was measured and nothing speaks against it."""
        return Verdict.PASS if self.evidence and not self.why else Verdict.INCONCLUSIVE

    @property
    def why(self) -> tuple[str, ...]:
        """What speaks against the client, the remedy last; empty if nothing does."""
        return tuple(dict.fromkeys(row.reason for row in self.evidence if row.reason))

    def summary(self) -> str:
        """The error bar in one line: of each check the value that is worst."""
        said = []
        for check, words in _SUMMARY.items():
            values = [row.value for row in self.evidence if row.check == f"load.client.{check}"]
            numbers = [value for value in values if isinstance(value, int | float)]
            if numbers:
                worst = min(numbers) if check == "safe-streams" else max(numbers, key=abs)
                said.append(words.format(worst))
        return ", ".join(said) or "the client was not measured"

    def lines(self) -> list[str]:
        """A table for a person: what is off, by how much, and its limit."""
        found = []
        for row in self.evidence:
            value = f"{row.value:.4g}" if isinstance(row.value, float) else str(row.value)
            said = f"{row.check:<32} {row.subject:<14} {value:>10} {row.unit or '':<8}"
            if row.interval is not None:
                said += f" [{row.interval[0]:.4g}, {row.interval[1]:.4g}]"
            if row.bound is not None:
                said += f" limit {row.bound:.4g}"
            found.append(said.rstrip() + (f"  {row.reason}" if row.reason else ""))
        return found


def together(parts: Iterable[Trusted]) -> Trusted:
    """The rows of several workers; one that is not believed spoils the whole."""
    return Trusted(evidence=tuple(row for part in parts for row in part.evidence))


def judge(
    before: Errors | None,
    during: Errors | None,
    signs: Signs | None,
    *,
    rate: float,
    safe: Safe | None = None,
    limits: Limits | None = None,
    name: str = "client",
    why_not: str = "",
) -> Trusted:
    """Judge a client by reference answers ``before`` and ``during`` a load, and its own ``signs``.

    ``rate`` is tokens a second of each stream of the load. ``why_not`` says why something was
    not measured. What is missing is inconclusive.
    """
    limits = limits or Limits()
    judged = _Judged(limits, 1000 / rate, _remedy(safe, rate, before, limits))
    rows: list[Evidence] = []
    for phase, found in (("before", before), ("during", during)):
        rows += judged.errors(f"{name}:{phase}", found, why_not)
    if signs is None:
        rows.append(judged.missing(f"{name}:load", why_not or "the load has no signs of its own"))
    else:
        own = any(found is not None and found.user_clock for found in (before, during))
        rows += judged.signs(f"{name}:load", signs, own_clock=own)
    if safe is not None:
        rows.append(
            Evidence(
                check="load.client.safe-streams",
                subject=name,
                asked=f"How many streams can one process measure here? Found: {safe}",
                verdict=Verdict.PASS,
                value=safe.streams,
                unit="streams",
                interval=(safe.streams, float("inf") if safe.above is None else safe.above),
            )
        )
    return Trusted(evidence=tuple(rows))


def believable(errors: Errors | None, limits: Limits | None = None) -> bool | None:
    """Whether the client was right; None where its reference answers say too little to tell."""
    rows = _Judged(limits or Limits(), 1000 / errors.rate if errors else 1.0, "")
    doubts = [
        row.check for row in rows.errors("client", errors, "") if row.verdict is not Verdict.PASS
    ]
    return None if "load.client.reference" in doubts else not doubts


def _remedy(safe: Safe | None, rate: float, before: Errors | None, limits: Limits) -> str:
    if before is not None and believable(before, limits):
        return (
            f"alone it carried {before.streams} streams of {rate:g} tokens/s, beside the load it "
            "did not: lower users, or add processes (`--processes N`) where cores are free"
        )
    known = (
        f" (this machine carries {safe.streams} streams of {rate:g} tokens/s a process)"
        if safe is not None and safe.streams
        else ""
    )
    return f"add processes (`--processes N`) or lower users{known}"


class _Judged:
    """Rows of evidence under one set of limits."""

    def __init__(self, limits: Limits, gap_ms: float, remedy: str) -> None:
        self._limits, self._gap_ms, self._remedy = limits, gap_ms, remedy

    def missing(self, subject: str, why: str) -> Evidence:
        return Evidence(
            check="load.client.reference",
            subject=subject,
            asked="Was the client held against a known timing?",
            verdict=Verdict.INCONCLUSIVE,
            reason=f"not measured: {why}",
        )

    def errors(self, subject: str, found: Errors | None, why_not: str) -> Iterator[Evidence]:
        limits = self._limits
        if found is None:
            yield self.missing(subject, why_not or "no reference answers were asked for")
            return
        good = found.answers - found.lost
        if good < limits.answers:
            why = f"{good} whole reference answers, at least {limits.answers} are needed"
            yield self.missing(subject, why)
            return
        if found.delivered < limits.delivered:
            yield self.missing(
                subject,
                f"the reference server itself sent only {found.delivered:.0%} of the rate asked "
                "for: this machine is too busy for it",
            )
        elif found.lost:
            why = f"{found.lost} of {found.answers} reference answers were not read whole"
            yield self.missing(subject, why)
        else:
            yield self._row("reference", subject, 100 * found.delivered, "%", n=good)
        enough = good >= limits.p99_answers
        yield from self._figure("ttft.p50", subject, found.ttft_p50, limits.ttft_p50)
        yield from self._figure(
            "ttft.p99", subject, found.ttft_p99, limits.ttft_p99 if enough else None
        )
        yield from self._figure("itl.p50", subject, found.itl_p50, limits.itl_p50)
        yield from self._error("ttft-error.p50", subject, found.ttft_error_p50, None)
        yield from self._error("ttft-error.p99", subject, found.ttft_error_p99, None)
        yield from self._error("itl-error.p50", subject, found.itl_error_p50, None)
        yield from self._error(
            "itl-error.p99", subject, found.itl_error_p99, limits.itl_error * 1000 / found.rate
        )
        yield self._share("merged", subject, found.merged_share, limits.merged, "were merged")

    def signs(self, subject: str, signs: Signs, *, own_clock: bool) -> Iterator[Evidence]:
        limits = self._limits
        lag_ms = (limits.own_lag if own_clock else limits.lag) * self._gap_ms
        yield from self._lag("loop-lag", subject, signs.loop_lag, lag_ms)
        yield from self._lag("dispatch-lag", subject, signs.dispatch_lag, limits.dispatch_ms)
        yield from self._lag("receive-lag", subject, signs.receive_lag, lag_ms)
        if signs.cpu_share is not None:
            yield self._share("cpu", subject, signs.cpu_share, limits.cpu, "of a core was used")

    def _figure(
        self, name: str, subject: str, figure: Figure | None, limit: float | None
    ) -> Iterator[Evidence]:
        if figure is None:
            return
        against = ""
        if limit is not None and abs(figure.off) > limit:
            against = (
                f"the client says {figure.said_ms:.4g} ms for a true {figure.true_ms:.4g} "
                f"({name.replace('.', ' ')}, {subject})"
            )
        yield self._row(
            name,
            subject,
            100 * figure.off,
            "%",
            n=figure.n,
            interval=figure.interval and (100 * figure.interval[0], 100 * figure.interval[1]),
            bound=None if limit is None else 100 * limit,
            against=against,
        )

    def _error(
        self, name: str, subject: str, error: Estimate | None, limit_ms: float | None
    ) -> Iterator[Evidence]:
        if error is None:
            return
        against = ""
        if limit_ms is not None and error.value > limit_ms:
            against = f"gaps are off by {error.value:.4g} ms at the 99th percentile ({subject})"
        yield self._row(
            name,
            subject,
            error.value,
            "ms",
            n=error.n,
            interval=error.interval,
            bound=limit_ms,
            against=against,
        )

    def _lag(self, name: str, subject: str, lags: Lags, limit_ms: float) -> Iterator[Evidence]:
        worst = lags.quantile_ns(0.99)
        if worst is None:
            return
        against = ""
        if worst / _MS > limit_ms:
            against = f"its {name.replace('-', ' ')} was {worst / _MS:.4g} ms (p99, {subject})"
        yield self._row(
            name,
            subject,
            worst / _MS,
            "ms",
            n=lags.count,
            bound=limit_ms,
            against=against,
        )

    def _share(self, name: str, subject: str, share: float, limit: float, what: str) -> Evidence:
        against = f"{share:.1%} {what} ({subject})" if share > limit else ""
        return self._row(name, subject, 100 * share, "%", bound=100 * limit, against=against)

    def _row(
        self,
        name: str,
        subject: str,
        value: float,
        unit: str,
        *,
        bound: float | None = None,
        against: str = "",
        n: int | None = None,
        interval: tuple[float, float] | None = None,
    ) -> Evidence:
        return Evidence(
            check=f"load.client.{name}",
            subject=subject,
            asked="Is what the client measures right?",
            verdict=Verdict.INCONCLUSIVE if against else Verdict.PASS,
            reason=f"client saturated: {against}; {self._remedy}" if against else "",
            value=value,
            unit=unit,
            n=n,
            interval=interval,
            bound=bound,
        )
