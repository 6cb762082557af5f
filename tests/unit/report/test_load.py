"""The page of a load: what it draws is what was measured, and what is missing it says aloud."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from harness.engines.metrics import Quantity
from harness.evidence import Evidence, Verdict
from harness.load.goodput import Met
from harness.load.journal.journal import Facts
from harness.load.journal.rows import Row
from harness.load.overview.overview import Failure, Overview, watched
from harness.load.overview.staircase import staircase
from harness.load.overview.timeline import timeline
from harness.load.sampling.sampling import Sample, Sampled
from harness.report import ReportError
from harness.report.load import load_page, write_load_page
from harness.report.load_levels import level_charts
from harness.report.load_time import LEFT, RIGHT, fits, panels

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
T0 = 1_795_000_000 * S
LEVELS = (1, 8, 32, 40)
HOLD = 30
ATTACK = "</script></style><img src=http://evil.example/x onerror=alert(1)>{{ 7 * 7 }}"


def rows() -> list[Row]:
    found = []
    for step, users in enumerate(LEVELS):
        for user in range(users):
            for turn in range(HOLD):
                number = step * HOLD + turn
                failed = users == 40 and user == 3
                ttft = 90.0 if users < 40 else 3000.0
                met = Met(
                    whole=True,
                    why="",
                    queue_ms=0.2,
                    ttft_ms=ttft + user,
                    itl_ms=10.0 + users,
                    stall_ms=40.0,
                    e2e_ms=950.0,
                    tokens=30,
                    chunks=30,
                )
                due = T0 + number * S + user * 1_000_000
                found.append(
                    Row(
                        due_unix_ns=due,
                        ended_unix_ns=due + 950_000_000,
                        number=number,
                        name="coder",
                        load=users,
                        worker="0",
                        failure="reset" if failed else "",
                        met=Met(whole=False, why=ATTACK) if failed else met,
                    )
                )
    return found


def engine(**changes: object) -> Sampled:
    """Full from the third level on; silent from 40 to 45 s."""
    samples = []
    for second in range(-1, HOLD * len(LEVELS) + 2):
        users = LEVELS[min(max(second // HOLD, 0), len(LEVELS) - 1)]
        at = T0 + second * S
        said = {
            Quantity.RUNNING: float(min(users, 33)),
            Quantity.WAITING: float(max(0, users - 33)),
            Quantity.KV: min(users, 33) / 33.63,
            Quantity.PREEMPTIONS: float(second > 100),
            Quantity.GENERATED: 1e6 + second * 100.0,
        }
        silent = 40 <= second < 45
        samples.append(
            Sample(
                asked_unix_ns=at,
                at_unix_ns=at + 2_000_000,
                every_s=1.0,
                said={} if silent else said,
                why="no answer" if silent else "",
            )
        )
    made = Sampled(
        name="vllm",
        url="http://127.0.0.1:8001/metrics",
        samples=tuple(samples),
        dialect="vllm",
        facts={"kv_cache_max_concurrency": "33.6328125", "num_gpu_blocks": "8610"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def seen(*engines: Sampled, evidence: tuple[Evidence, ...] = ()) -> Overview:
    kept = rows()
    steps = staircase(kept)
    return Overview(
        facts=Facts(
            profile="staircase",
            seed=7,
            host="http://127.0.0.1:4000",
            engine="emulated",
            begun_unix_ns=T0,
            workers=("0",),
            notes={"limit": ATTACK},
            partial=None,
        ),
        due=len(kept),
        whole=sum(each.met.whole for each in kept),
        given_up=0,
        merged=3,
        chunks=1000,
        bins=timeline(kept),
        flow=timeline(kept, each=4),
        staircase=steps,
        failures=(Failure(kind="reset", n=30, example=ATTACK, first_unix_ns=T0 + S, load=40),),
        engines=tuple(watched(kept, each, steps) for each in engines),
        evidence=evidence,
        cut_evidence=False,
    )


def judged(verdict: Verdict, reason: str = "") -> Evidence:
    return Evidence(
        check="load.client.lag",
        subject="client",
        asked="the client kept up",
        verdict=verdict,
        reason=reason,
        value=1.5,
        unit="ms",
        n=900,
        interval=(1.0, 2.0),
    )


@pytest.fixture(scope="module")
def whole() -> Overview:
    return seen(engine(), evidence=(judged(Verdict.PASS),))


class Outline(HTMLParser):
    """Ids, links, labels and addresses; unbalanced tags are an error."""

    VOID = frozenset({"meta", "link", "line", "circle", "path", "rect", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(found["href"])] if tag == "a" else []
        self.images += [found] if tag == "svg" and "aria-hidden" not in found else []
        self.sources += [
            str(found[name]) for name in ("src", "href") if tag != "a" and name in found
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def loud(text: str) -> list[str]:
    return re.findall(r'class="loud [^"]*" role="note"><b>([^<]*)</b>', text)


def test_the_page_is_well_formed_leads_somewhere_and_loads_nothing(whole: Overview) -> None:
    text = load_page(whole)
    outline = Outline(text)

    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert set(outline.sources) == {"data:,"}
    assert "url(" not in text.replace("url(#no-samples)", "")
    assert "<script" not in text


def test_every_drawing_has_a_title_and_the_page_a_table_of_the_same(whole: Overview) -> None:
    outline = Outline(text := load_page(whole))

    assert len(outline.images) >= 9
    for image in outline.images:
        assert image["role"] == "img"
        assert image["aria-labelledby"] in outline.ids
    assert text.count("<tr>") > len(whole.bins)


def test_what_strangers_wrote_stays_text(whole: Overview) -> None:
    text = load_page(whole)

    assert "<img" not in text
    assert "{{ 7 * 7 }}" in text
    assert " 49 " not in text


def test_a_whole_load_that_passed_is_a_pass_and_nothing_is_loud(whole: Overview) -> None:
    text = load_page(whole)

    assert '<h1 id="verdict">Pass</h1>' in text
    assert loud(text) == []


def test_a_partial_load_is_never_a_pass_and_says_so_first(whole: Overview) -> None:
    facts = replace(whole.facts, partial="interrupted by Ctrl-C")
    text = load_page(replace(whole, facts=facts))

    assert '<h1 id="verdict">Inconclusive</h1>' in text
    assert loud(text) == ["? Partial: requests are missing"]
    assert "interrupted by Ctrl-C" in text


@pytest.mark.parametrize(
    ("verdict", "word"),
    [(Verdict.FAIL, "Fail"), (Verdict.INCONCLUSIVE, "Inconclusive"), (Verdict.NOT_RUN, "Not run")],
)
def test_what_was_judged_doubtful_is_said_aloud(
    whole: Overview, verdict: Verdict, word: str
) -> None:
    text = load_page(replace(whole, evidence=(judged(Verdict.PASS), judged(verdict, "lag"))))

    assert f'<h1 id="verdict">{word}</h1>' in text
    assert len(loud(text)) == 1
    assert "the client kept up" in loud(text)[0]


def test_a_load_that_nobody_judged_is_no_pass() -> None:
    text = load_page(seen())

    assert '<h1 id="verdict">Not judged</h1>' in text
    assert "No engine was sampled" in text
    assert "Nothing was judged." in text


def test_cut_samples_are_said_aloud_and_an_engine_without_metrics_by_name() -> None:
    text = load_page(
        seen(engine(cut=True), Sampled(name="openai", url="", absent="engines have no page"))
    )

    assert loud(text) == ["? The samples of vllm break off"]
    assert "Engines have no page" in text


def test_an_empty_load_is_drawn_as_one() -> None:
    found = replace(seen(), due=0, whole=0, bins=(), flow=(), failures=(), staircase=staircase([]))

    text = load_page(replace(found, facts=replace(found.facts, partial="the target went away")))

    assert "No request of this load was kept." in text
    assert "Whether any failed is not known." in text
    Outline(text)


def test_what_was_given_up_on_purpose_is_no_failure_of_the_server(whole: Overview) -> None:
    kept = [
        replace(each, failure="cancelled", labels={"given-up": "1"}) if each.failure else each
        for each in rows()
    ]
    cut = replace(
        whole,
        given_up=sum(bool(each.labels) for each in kept),
        bins=timeline(kept),
        flow=timeline(kept, each=4),
        staircase=staircase(kept),
        failures=(),
    )
    text = load_page(cut)

    Outline(text)
    assert "<dt>Failed</dt><dd>0<small>" in text
    assert "<dt>Given up</dt><dd>30<small>" in text
    assert "<small>cut short</small>" in text
    assert "No answer failed." in text
    assert "cancelled" not in text
    assert panels(cut, None, None)[-1].title == "Not answered"
    assert [line.label for line in panels(cut, None, None)[-1].lines] == ["given up"]
    assert "Given up" not in load_page(whole)


def test_every_step_stands_in_the_table_with_interval_and_samples(whole: Overview) -> None:
    text = load_page(whole)

    for step in whole.staircase.steps:
        assert re.search(rf'<th scope="row">{step.load:g}[<]', text)
        figure = step.figures["ttft", 0.5]
        assert f"n = {figure.n}" in text
    assert text.count("past capacity") == 1


def test_the_capacity_line_stands_where_the_engine_says_or_where_it_is_told(
    whole: Overview,
) -> None:
    said = panels(whole, whole.engines[0], whole.engines[0].capacity)[0].rule
    text = load_page(whole)

    assert said is not None
    assert said.text == "33.63 of full length fit the KV cache"
    assert text.count("33.63 fit</text>") == 4
    assert "20.5 fit</text>" in load_page(whole, capacity=20.5)
    assert (fits(33.6328125), fits(269.0), fits(8.4)) == ("33.63", "269", "8.4")


def test_only_engines_that_ran_something_are_drawn_each_with_its_own_capacity() -> None:
    idle = tuple(
        replace(sample, said=dict.fromkeys(sample.said, 0.0)) for sample in engine().samples
    )
    busy = engine(name="llama", facts={})
    text = load_page(seen(busy, engine(name="idle", samples=idle)))

    assert "Beside <code>llama</code>" in text
    assert "Beside <code>idle</code>" not in text
    assert "of full length fit the KV cache</text>" not in text
    assert "fit</text>" not in text
    assert text.count("holds 33.63 requests") == 1


def test_what_the_client_alone_shows_is_drawn_once() -> None:
    text = load_page(seen(engine(), engine(name="other")))

    assert text.count("<h3>Beside ") == 2
    assert text.count("<h3>KV cache") == 2
    assert text.count("over time: p50, p95. The table") == 1


def test_what_workers_said_of_themselves_is_no_wall_of_numbers(whole: Overview) -> None:
    notes = {"users": 4, "workers": {"local": {"vitals": {"counts": [[30720, 161]]}}}}
    text = load_page(replace(whole, facts=replace(whole.facts, notes=notes)))

    assert "<dt>users</dt>" in text
    assert "30720" not in text


def test_all_panels_share_one_axis_of_time_and_stay_on_the_drawing(whole: Overview) -> None:
    drawn = panels(whole, whole.engines[0], None)

    assert [panel.title for panel in drawn] == [
        "Requests",
        "Time to first token (TTFT)",
        "Gap between tokens (ITL)",
        "Throughput",
        "KV cache",
        "Failures",
    ]
    assert len({panel.x for panel in drawn}) == 1
    for panel in drawn:
        for line in panel.lines:
            xs = [float(x) for x in re.findall(r"[MH]([\d.]+)", line.path)]
            assert min(xs) >= LEFT
            assert max(xs) <= RIGHT
    assert drawn[1].y.log
    assert drawn[1].unit == "ms, logarithmic"


def test_nothing_is_drawn_where_no_sample_is(whole: Overview) -> None:
    requests = panels(whole, whole.engines[0], None)[0]
    running = next(line for line in requests.lines if line.label == "engine: running")
    begin, width = requests.gaps[0]

    pieces = running.path.split("M")[1:]
    spans = [[float(x) for x in re.findall(r"(?:^|H)([\d.]+)", piece)] for piece in pieces]

    assert len(requests.gaps) == 1
    assert requests.x.at(40) == pytest.approx(begin, abs=8)
    assert requests.x.at(45) == pytest.approx(begin + width, abs=9)
    assert all(max(span) <= begin + 1 or min(span) >= begin + width - 9 for span in spans)


def test_waiting_is_shaded_and_preemptions_are_marked(whole: Overview) -> None:
    drawn = panels(whole, whole.engines[0], None)
    ((begin, width),) = drawn[0].spells
    (mark,) = drawn[4].marks

    assert begin == pytest.approx(drawn[0].x.at(90), abs=1)
    assert begin + width > drawn[0].x.at(118)
    assert mark.text.startswith("1 preempted, 100.0 to 101.0 s")


def test_an_engine_that_tells_no_cache_has_no_panel_for_it() -> None:
    samples = tuple(replace(sample, said={Quantity.RUNNING: 1.0}) for sample in engine().samples)
    found = seen(engine(samples=samples))

    assert "KV cache" not in [panel.title for panel in panels(found, found.engines[0], None)]


def test_level_charts_have_a_dot_for_each_level_and_whiskers_around_it(whole: Overview) -> None:
    charts = level_charts(whole, 33.63)

    assert [chart.title for chart in charts][:2] == ["Throughput", "Time to first token (TTFT)"]
    for chart in charts:
        assert chart.x.log
        for series in chart.series:
            assert len(series.dots) == len(LEVELS)
            for dot in series.dots:
                if dot.whisker:
                    assert dot.whisker[0] >= dot.y >= dot.whisker[1]
    assert charts[0].ideal
    assert level_charts(replace(whole, staircase=staircase([])), None) == ()


def test_the_page_is_written_whole_beside_the_rows(whole: Overview, tmp_path: Path) -> None:
    path = write_load_page(tmp_path, whole)

    assert path == tmp_path / "index.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(ReportError, match="harness load report"):
        write_load_page(tmp_path / "nowhere", whole)
