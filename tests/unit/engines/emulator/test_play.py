from __future__ import annotations

import asyncio
from time import monotonic_ns

from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.pacing import FixedPacing
from harness.engines.emulator.play import Metronome, Play

MS = 1_000_000


class Sink:
    def __init__(self) -> None:
        self.blocked = False
        self.sent: list[tuple[int, bytes]] = []
        self.finished = 0

    def write(self, data: bytes, number: int = -1) -> None:
        del number
        self.sent.append((monotonic_ns(), data))

    def finish(self) -> None:
        self.finished += 1


def stream(*frames: Frame) -> Answer:
    return Answer(200, [], list(frames), stream=True, paced=True)


def tokens(count: int) -> Answer:
    return stream(*(Frame("token", b"%d" % k, k) for k in range(count)))


def test_a_late_token_does_not_delay_the_next() -> None:
    sink = Sink()
    play = Play(tokens(4), b"H", sink, chunked=True)
    hour = 3600 * 1000 * MS
    first = play.begin(FixedPacing(hour, hour))
    dues = []
    for _ in range(3):  # stepped at other times than the due ones
        due = play.step()
        assert due is not None
        dues.append(due)
    assert dues == [first + hour, first + 2 * hour, first + 3 * hour]


def test_what_is_due_together_leaves_in_one_step_but_in_writes_of_its_own() -> None:
    sink = Sink()
    frames = [Frame("role", b"r"), Frame("token", b"t"), Frame("done", b"d")]
    play = Play(stream(*frames), b"H", sink, chunked=True)
    play.begin(FixedPacing(0, 0))
    assert play.step() is None
    assert [data for _, data in sink.sent] == [
        b"H1\r\nr\r\n",
        b"1\r\nt\r\n",
        b"1\r\nd\r\n",
        b"0\r\n\r\n",
    ]
    assert sink.finished == 1


def test_an_early_head_is_not_sent_again() -> None:
    answer = tokens(1)
    answer.early_head = True
    sink = Sink()
    play = Play(answer, b"H", sink, chunked=False)
    play.step()
    assert [data for _, data in sink.sent] == [b"0"]


def test_a_cut_answer_has_no_last_chunk() -> None:
    answer = tokens(1)
    answer.ending = "rst"
    sink = Sink()
    Play(answer, b"", sink, chunked=True).step()
    assert [data for _, data in sink.sent] == [b"1\r\n0\r\n"]


def test_a_hold_moves_its_frame_and_all_that_follow() -> None:
    frames = [Frame("token", b"%d" % k, k) for k in range(3)]
    frames[1].hold_ns = 5000 * MS
    play = Play(stream(*frames), b"", Sink(), chunked=False)
    first = play.begin(FixedPacing(0, 1000 * MS))
    assert play.step() == first + 6000 * MS
    assert play.step() == first + 7000 * MS


def test_a_blocked_sink_stalls_and_nothing_is_sent_twice() -> None:
    sink = Sink()
    play = Play(tokens(3), b"", sink, chunked=False)
    play.begin(FixedPacing(0, 0))
    sink.blocked = True
    assert play.step() is None
    assert (play.stalled, sink.sent) == (True, [])
    sink.blocked = False
    play.step()
    assert ([data for _, data in sink.sent], play.stalled) == ([b"0", b"1", b"2"], False)
    assert sink.finished == 1


def test_it_is_finished_only_when_the_last_byte_was_taken() -> None:
    class Full(Sink):
        def write(self, data: bytes, number: int = -1) -> None:
            super().write(data, number)
            self.blocked = True

    sink = Full()
    play = Play(tokens(1), b"", sink, chunked=False)
    play.step()
    assert sink.finished == 0
    sink.blocked = False
    play.step()
    assert sink.finished == 1


def test_a_cancelled_play_sends_no_more() -> None:
    sink = Sink()
    play = Play(tokens(3), b"", sink, chunked=False)
    play.cancelled = True
    assert play.step() is None
    assert (sink.sent, sink.finished) == ([], 0)


def test_the_metronome_never_plays_early_and_keeps_the_order() -> None:
    async def scenario() -> list[tuple[int, int]]:
        metronome = Metronome(asyncio.get_running_loop())
        dues_and_stamps: list[tuple[int, int]] = []
        done = asyncio.Event()
        count = 5

        class Last(Sink):
            def finish(self) -> None:
                super().finish()
                done.set() if sum(sink.finished for sink in sinks) == len(sinks) else None

        sinks = [Last() for _ in range(3)]
        plays = [Play(tokens(count), b"", sink, chunked=False) for sink in sinks]
        starts = []
        for n, play in enumerate(reversed(plays)):  # the last entered is due first
            starts.append(play.begin(FixedPacing((3 - n) * MS, 2 * MS)))
            metronome.at(starts[-1], play)
        await done.wait()
        for sink, first in zip(reversed(sinks), starts, strict=True):
            assert [data for _, data in sink.sent] == [b"%d" % k for k in range(count)]
            dues_and_stamps += [(first + k * 2 * MS, at) for k, (at, _) in enumerate(sink.sent)]
        return dues_and_stamps

    assert all(at >= due for due, at in asyncio.run(scenario()))
