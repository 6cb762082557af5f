"""The search against queues whose truth is known, and against samples that lie."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from harness.evidence import Verdict
from harness.load.finding.level import Stretch, Visit, grows, judge
from harness.load.finding.search import Plan, Play, following, found, search
from harness.load.goodput import Met, objectives
from harness.load.playing import WARM_UP

if TYPE_CHECKING:
    from collections.abc import Callable

MU = 100.0
"""Answers a second of one server."""
RUNS = 40


def answered(ms: float) -> Met:
    return Met(whole=True, why="", ttft_ms=ms, e2e_ms=ms, tokens=1)


def queue(*, servers: int = 1, slower: Callable[[random.Random], float] = lambda _: 1.0) -> Play:
    """M/M/c, first come first served, begun empty; ``slower`` is how slow a stretch is."""

    def play(level: float, seconds: float, seed: int) -> Stretch:
        source = random.Random(f"{seed}/{level}")
        by = slower(source)
        free, now, end, mets = [0.0] * servers, 0.0, 0.0, []
        warm_s = 0.2 * seconds
        while True:
            now += source.expovariate(level)
            if now >= warm_s + seconds:
                break
            done = max(now, heapq.heappop(free)) + by * source.expovariate(MU)
            heapq.heappush(free, done)
            end = max(end, done)
            if now >= warm_s:
                mets.append(answered((done - now) * 1000))
        return Stretch(mets=tuple(mets), seconds=seconds, took_s=max(end, warm_s + seconds))

    return play


def mm1(q: float, limit_s: float) -> float:
    """Time in the system is exponential with rate mu - lambda (Kleinrock 1975, 3.2)."""
    return MU - math.log(1 / (1 - q)) / limit_s


def mmc(q: float, limit_s: float, servers: int) -> float:
    """The arrival rate at which a share ``q`` is answered in time, by halves (Erlang C)."""

    def late(rate: float) -> float:
        load = rate / MU
        last = load**servers / math.factorial(servers) * servers / (servers - load)
        wait = last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)
        gap = servers * MU - rate
        served, waited = math.exp(-MU * limit_s), math.exp(-gap * limit_s)
        return served * (1 - wait) + wait * (gap * served - MU * waited) / (gap - MU)

    low, high = 0.1, servers * MU * 0.999
    for _ in range(60):
        middle = (low + high) / 2
        if abs(servers * MU - middle - MU) < 1e-9:
            middle += 1e-6
        low, high = (middle, high) if late(middle) < 1 - q else (low, middle)
    return low


def coverage(plan: Plan, play: Play, truth: float, *, runs: int = RUNS) -> tuple[float, float]:
    """Of those searches that are sure, the share with the truth in the bracket; and how many."""
    inside = sure = 0
    for seed in range(runs):
        end = found(plan, search(plan, play, seed=seed))
        if end.sure:
            sure += 1
            inside += (end.held or 0.0) <= truth <= (end.broke or math.inf)
    return inside / max(1, sure), sure / runs


def plan(slo: str = "p80 ttft < 40ms", **more: float) -> Plan:
    settings: dict[str, float] = {"least": 3, "most": 60, "resolution": 0.15, "stretch_s": 4}
    return Plan(slo=objectives(slo), **(settings | more))  # type: ignore[arg-type]


def test_a_single_server() -> None:
    """The bracket holds the truth at least as often as is said: 95 % of the searches."""
    held, sure = coverage(plan(least=15, most=200), queue(), mm1(0.8, 0.04))
    assert held >= 0.95
    assert sure > 0.9


def test_four_servers() -> None:
    held, sure = coverage(
        plan("p80 ttft < 25ms", least=40, most=800),
        queue(servers=4),
        mmc(0.8, 0.025, 4),
        runs=12,
    )
    assert held >= 0.95
    assert sure > 0.9


def test_one_stretch_in_ten_is_three_times_slower() -> None:
    """A neighbour that comes and goes, longer than a measurement: the truth is without it."""

    def neighbour(source: random.Random) -> float:
        return 3.0 if source.random() < 0.1 else 1.0

    held, _ = coverage(plan(least=15, most=200), queue(slower=neighbour), mm1(0.8, 0.04), runs=30)
    assert held >= 0.9


def told(plan_: Plan, *said: tuple[float, Verdict]) -> list[Visit]:
    """Visits that say so, at the levels nearest to these."""
    visits = []
    for level, verdict in said:
        at = min(plan_.levels, key=lambda one, level=level: abs(one - level))  # type: ignore[misc]
        visits.append(
            Visit(
                level=at,
                verdict=verdict,
                why="",
                kept=(),
                requests=1,
                failed=0,
                seconds=1,
                took_s=1,
                per_s=1,
                good_per_s=1,
                good_low_per_s=1,
                good_high_per_s=1,
                tokens_per_s=1,
                e2e_ms=1,
                e2e_error_ms=0,
            )
        )
    return visits


def oracle(truth: float, lies: frozenset[int] = frozenset()) -> Play:
    """Holds up to ``truth`` in every request, but for the ``lies``, by number of the visit."""
    calls = {"n": -1}

    def play(level: float, seconds: float, seed: int) -> Stretch:
        del seed
        calls["n"] += 1
        holds = (level <= truth) != (calls["n"] in lies)
        return Stretch(
            mets=(answered(1 if holds else 9999),) * 200, seconds=seconds, took_s=seconds
        )

    return play


@pytest.mark.parametrize("lie", range(10))
def test_one_lie_at_any_time_misleads_nothing(lie: int) -> None:
    end = found(plan(), search(plan(), oracle(17.0, frozenset({lie})), seed=1))
    assert end.sure
    assert end.held is not None
    assert end.broke is not None
    assert end.held <= 17.0 < end.broke
    assert end.broke / end.held < 1.4


def test_without_lies_the_bracket_is_as_narrow_as_asked() -> None:
    end = found(plan(), search(plan(), oracle(17.0), seed=1))
    assert end.held is not None
    assert end.broke is not None
    assert end.broke / end.held <= 1.1500001


def test_what_never_breaks_is_a_lower_bound_and_what_never_holds_is_said() -> None:
    high = found(plan(), search(plan(), oracle(1e9), seed=1))
    assert (high.held, high.broke, high.sure) == (60, None, True)
    assert "lower bound" in high.text
    low = found(plan(), search(plan(), oracle(0), seed=1))
    assert (low.held, low.broke, low.sure) == (None, 3, True)
    assert "not even 3 holds" in low.text


def test_a_saturated_client_decides_nothing() -> None:
    def play(level: float, seconds: float, seed: int) -> Stretch:
        del level, seed
        met = (answered(1),) * 500
        return Stretch(mets=met, seconds=seconds, took_s=seconds, excuse="client saturated: …")

    visits = search(plan(), play, seed=1)
    assert {visit.verdict for visit in visits} == {Verdict.INCONCLUSIVE}
    assert visits[0].why.startswith("client saturated")
    end = found(plan(), visits)
    assert (end.held, end.broke, end.sure) == (None, None, False)


def test_never_is_only_said_where_the_lowest_level_itself_broke() -> None:
    seen = told(plan(), (30, Verdict.FAIL), (30, Verdict.FAIL), (5, Verdict.INCONCLUSIVE))
    end = found(plan(), seen)
    assert (end.held, end.sure) == (None, False)
    assert "is not sure" in end.text
    low = told(plan(), (30, Verdict.PASS), (30, Verdict.PASS))
    assert not found(plan(), low).sure


def test_a_client_that_saturates_once_is_asked_again() -> None:
    """The level is written off when it happens a second time; a spent budget writes off none."""
    low, middle, high = plan().levels[8:11]
    seen = told(plan(), (low, Verdict.PASS), (middle, Verdict.INCONCLUSIVE), (high, Verdict.FAIL))
    short = {why: [replace(one, short=why) for one in seen[1:2]] for why in ("client", "budget")}
    for why, visits in short.items():
        once = [seen[0], *visits, seen[2]]
        assert following(plan(), once) == seen[1].level, why
    assert following(plan(), [seen[0], *short["client"] * 2, seen[2]]) != seen[1].level


def test_a_search_goes_on_where_it_stopped() -> None:
    """Fed with its own first visits it makes the others, and none of them again."""
    whole = search(plan(), queue(), seed=7)
    for kept in range(len(whole)):
        assert search(plan(), queue(), seed=7, visits=whole[:kept]) == whole


def test_a_budget_ends_it_unsure() -> None:
    visits = search(plan(budget_s=10), queue(), seed=1)
    assert sum(visit.took_s for visit in visits) < 20
    assert not found(plan(budget_s=10), visits).sure


def test_an_end_that_cannot_be_repeated_is_no_end() -> None:
    seen = told(plan(), (5, Verdict.PASS), (10, Verdict.PASS), (10, Verdict.INCONCLUSIVE))
    end = found(plan(), seen)
    assert end.held == told(plan(), (5, Verdict.PASS))[0].level
    assert following(plan(), seen) is not None


def test_levels_rise_in_equal_steps_and_users_are_whole() -> None:
    levels = plan().levels
    assert levels[0] == pytest.approx(3)
    assert levels[-1] == 60
    assert max(b / a for a, b in pairwise(levels)) <= 1.15
    users = Plan(slo=objectives("p90 ttft < 1s"), least=1, most=40, whole=True).levels
    assert users[:4] == (1, 2, 3, 4)
    assert all(level == int(level) for level in users)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"least": 0}, "give 0 < least"),
        ({"most": 2}, "give 0 < least"),
        ({"most": math.inf}, "give 0 < least"),
        ({"resolution": 0}, "a resolution of 0"),
        ({"confidence": 1}, "a confidence of 1"),
        ({"budget_s": 1}, "budget"),
        ({"slo": objectives("ttft < 1s")}, "percentile"),
        ({"whole": True, "least": 0.5}, "give at least 1"),
        ({"whole": True, "most": 5000.0}, "at most 4096"),
        ({"most": 1e9}, "at most 100000"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, float], said: str) -> None:
    good = {"slo": objectives("p90 ttft < 1s"), "least": 3.0, "most": 60.0}
    with pytest.raises(ValueError, match=said):
        Plan(**(good | settings))  # type: ignore[arg-type]


def test_failed_requests_missed_every_limit() -> None:
    failed = Met(whole=False, why="cut short")
    seen = judge(
        5,
        [Stretch(mets=((answered(1),) * 4 + (failed,)) * 20, seconds=10, took_s=10)],
        objectives("p95 ttft < 1s"),
        error=0.01,
    )
    assert seen.verdict is Verdict.FAIL
    assert (seen.failed, seen.per_s, seen.good_per_s) == (20, 8, 8)
    assert (seen.kept[0].share, seen.kept[0].value_ms) == (0.8, None)
    assert Visit.from_json(seen.to_json()) == seen


def test_a_queue_that_grows_does_not_pass() -> None:
    rising = tuple(answered(1 + at) for at in range(200))
    slo = objectives("p40 ttft < 1s")
    flat = judge(5, [Stretch(mets=(answered(1),) * 200, seconds=9, took_s=9)], slo, error=0.3)
    grown = judge(5, [Stretch(mets=rising, seconds=9, took_s=9)], slo, error=0.3)
    assert flat.verdict is Verdict.PASS
    assert grown.verdict is Verdict.INCONCLUSIVE
    assert "still grew" in grown.why


def growing(count: int, *, by_ms: float, base_ms: float) -> tuple[Met, ...]:
    """Each waits a little longer than the one before; its tokens then come as fast as ever."""
    return tuple(
        Met(
            whole=True,
            why="",
            ttft_ms=base_ms + at * by_ms,
            due_ttft_ms=base_ms + at * by_ms,
            e2e_ms=base_ms + at * by_ms + 400,
            due_e2e_ms=base_ms + at * by_ms + 400,
            tpot_ms=20,
            itl_ms=20,
            stall_ms=25,
            tokens=20,
        )
        for at in range(count)
    )


@pytest.mark.parametrize("slo", ["p95 tpot < 50ms", "p95 itl < 50ms", "p95 stall < 50ms"])
def test_a_queue_that_grows_does_not_pass_by_the_pace_of_its_tokens(slo: str) -> None:
    """A full batch decodes as fast as ever, and the queue before it has no end."""
    for mets, verdict in (
        (growing(200, by_ms=20, base_ms=10), Verdict.INCONCLUSIVE),
        (growing(200, by_ms=0, base_ms=10), Verdict.PASS),
    ):
        seen = judge(
            5, [Stretch(mets=mets, seconds=8, took_s=9, warm_s=2)], objectives(slo), error=0.02
        )
        assert seen.verdict is verdict, seen.why
        assert ("still grew" in seen.why) is (verdict is not Verdict.PASS)


def test_a_queue_that_grew_long_before_has_grown_less_since() -> None:
    """Asked 1.5 times what it does for 8 s, and measured for 8 s more: 8 s / 1.5 to 8 s."""
    mets = growing(200, by_ms=20, base_ms=4000)
    before = {warm_s: Stretch(mets=mets, seconds=8, took_s=9, warm_s=warm_s) for warm_s in (2, 8)}
    slo = objectives("p95 tpot < 50ms")
    assert not grows(before[2], slo)
    assert grows(before[8], slo)


def test_what_is_still_filling_does_not_pass() -> None:
    """Before an answer's time is over fewer are under way than the level brings with it."""
    slow = Met(whole=True, why="", ttft_ms=90, due_ttft_ms=90, e2e_ms=20_000, due_e2e_ms=20_000)
    slo = objectives("p95 ttft < 500ms")

    def seen(warm_s: float | None) -> Visit:
        stretch = Stretch(mets=(slow,) * 200, seconds=8, took_s=30, warm_s=warm_s)
        return judge(5, [stretch], slo, error=0.02)

    assert seen(2.0).verdict is Verdict.INCONCLUSIVE
    assert "answers take 20 s and the level was on for only 2 s before" in seen(2.0).why
    assert seen(25.0).verdict is Verdict.PASS
    assert seen(None).verdict is Verdict.PASS  # as many users as there are


def slots(count: int, answer_s: float, asked: list[Stretch]) -> Play:
    """A batch of so many slots; asked as `Session.play` does, in virtual time."""

    def play(level: float, seconds: float, seed: int) -> Stretch:
        source = random.Random(f"{seed}/{level}")
        warm_s = max(WARM_UP * seconds, 1.25 * answer_s)
        free, now, end, mets, came = [0.0] * count, 0.0, 0.0, [], 0
        while (now := now + source.expovariate(level)) < warm_s + seconds:
            begun = max(now, heapq.heappop(free))
            done = begun + answer_s * source.uniform(0.8, 1.2)
            heapq.heappush(free, done)
            end, came = max(end, done), came + (warm_s <= done < warm_s + seconds)
            if now >= warm_s:
                first, last = (begun - now + 0.2) * 1000, (done - now) * 1000
                answer = replace(answered(first), tpot_ms=20.0, e2e_ms=last)
                mets.append(replace(answer, due_ttft_ms=first, due_e2e_ms=last))
        asked.append(
            Stretch(
                mets=tuple(mets),
                seconds=seconds,
                took_s=max(end, warm_s + seconds),
                warm_s=warm_s,
                answers_per_s=came / seconds,
            )
        )
        return asked[-1]

    return play


@pytest.mark.parametrize("slo", ["p95 ttft < 500ms", "p95 tpot < 50ms"])
def test_no_more_than_the_capacity_ever_holds_for_sure(slo: str) -> None:
    """100 slots, answers of 20 s: longer than a measurement is."""
    capacity = 100 / 20
    searched = Plan(slo=objectives(slo), least=capacity / 4, most=capacity * 4, budget_s=2000)
    asked: list[Stretch] = []
    visits = search(searched, slots(100, 20.0, asked), seed=1)
    end = found(searched, visits)
    if slo.startswith("p95 ttft"):
        assert (end.held or 0) < capacity
        assert end.sure
    else:
        assert not end.sure
    # What is asked of an overloaded server is not what it does.
    assert max(visit.level for visit in visits) >= 2 * capacity or end.sure
    assert all(visit.per_s < 1.5 * capacity for visit in visits)


def test_what_came_is_not_what_was_due() -> None:
    """Asked 20 a second of a server of 10: all 160 came, in 16 s."""
    slo = objectives("p95 ttft < 5ms")
    due = (answered(1),) * 160
    stretch = Stretch(mets=due, seconds=8, took_s=16)
    assert judge(20, [stretch], slo, error=0.02).per_s == 20
    told = replace(stretch, answers_per_s=10.0, tokens_per_s=70.0)
    seen = judge(20, [told, replace(told, answers_per_s=8.0, seconds=24)], slo, error=0.02)
    assert (seen.per_s, seen.tokens_per_s) == (8.5, 70)


def test_an_answer_of_one_token_has_no_gap_that_is_too_long() -> None:
    one = Met(whole=True, why="", ttft_ms=9, e2e_ms=9, tokens=1)
    many = Met(whole=True, why="", ttft_ms=9, e2e_ms=99, tpot_ms=20, itl_ms=20, tokens=9)
    buffered = Met(whole=True, why="", ttft_ms=9, e2e_ms=99, tokens=9)

    def said(*mets: Met) -> Verdict:
        stretch = Stretch(mets=mets * 150, seconds=9, took_s=9)
        return judge(5, [stretch], objectives("p95 tpot < 50ms"), error=0.02).verdict

    assert said(one, many) is Verdict.PASS
    assert said(buffered, many) is Verdict.FAIL  # its gaps are not known


def test_all_objectives_must_hold_and_one_may_break() -> None:
    mets = tuple(Met(whole=True, why="", ttft_ms=1, e2e_ms=900, tokens=1) for _ in range(300))
    stretch = [Stretch(mets=mets, seconds=9, took_s=9)]
    assert judge(1, stretch, objectives("p95 ttft < 5ms, p95 e2e < 1s"), error=0.02).verdict == (
        Verdict.PASS
    )
    broken = judge(1, stretch, objectives("p95 ttft < 5ms, p95 e2e < 800ms"), error=0.02)
    assert broken.verdict is Verdict.FAIL
    assert broken.why.startswith("p95 e2e < 800ms: 0.0% within")
