from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.wire import Frame, Read, frames

PIECES = (
    *(b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n"),
    *(b"\xef\xbb\xbf", "\u2028".encode(), "\u20ac".encode(), b"\x85", b"\0", b"\xe2\x82", b"x"),
    *(b"data: {}\n\n", b"data: [DONE]\n\n", b": ping\n\n"),
)
bodies = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def cut(body: bytes, *lengths: int) -> list[Read]:
    """Cut ``body`` into reads of these lengths and the rest, one nanosecond apart."""
    reads = []
    for at_ns, length in enumerate([*lengths, len(body)], start=1):
        reads.append(Read(at_ns, body[:length]))
        body = body[length:]
    return reads


def data(*bodies: bytes) -> list[bytes]:
    """The data of the events in ``bodies``, one read each."""
    return [frame.data for frame in read_in(*bodies) if not frame.comment]


def read_in(*bodies: bytes) -> tuple[Frame, ...]:
    return frames([Read(at_ns, body) for at_ns, body in enumerate(bodies, start=1)])


def said(frame: Frame) -> tuple[object, ...]:
    """What a frame says, without when."""
    return (
        *(frame.data, frame.event, frame.id, frame.raw),
        *(frame.comment, frame.terminated),
    )


def by_the_letter(body: bytes) -> list[tuple[str, str, str | None]]:
    """Section 9.2.6 as a machine over decoded characters: (data, type, last event id)."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    events: list[tuple[str, str, str | None]] = []
    buffer, kind, last_id = "", "", None
    for line in text.split("\n")[:-1]:
        if not line:
            if buffer:
                events.append((buffer.removesuffix("\n"), kind or "message", last_id))
            buffer, kind = "", ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            buffer += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


@given(bodies)
def test_terminated_events_are_those_of_the_specification(body: bytes) -> None:
    found = [
        (frame.data.decode("utf-8", "replace"), frame.event, frame.id)
        for frame in frames([Read(0, body)])
        if frame.terminated and not frame.comment
    ]

    assert found == by_the_letter(body)


@given(bodies, st.lists(st.integers(0, 12), max_size=30))
def test_frames_do_not_depend_on_how_the_body_was_cut(body: bytes, lengths: list[int]) -> None:
    whole = [said(frame) for frame in frames([Read(0, body)])]

    assert [said(frame) for frame in frames(cut(body, *lengths))] == whole


@given(bodies, st.lists(st.integers(0, 12), max_size=30))
@example(b"data\n:", [5])
def test_stamps_are_those_of_reads_and_never_run_backwards(body: bytes, lengths: list[int]) -> None:
    reads = [read for read in cut(body, *lengths) if read.data]
    before = {later.at_ns: earlier.at_ns for earlier, later in pairwise(reads)}

    found = frames(reads, since_ns=-5)

    for frame in found:
        assert frame.at_ns in {read.at_ns for read in reads}
        assert frame.after_ns == before.get(frame.at_ns, -5)
    assert [frame.at_ns for frame in found] == sorted(frame.at_ns for frame in found)


class Line(NamedTuple):
    """A line of a body: where it starts, what it says and what ends it."""

    start: int
    text: bytes
    eol: bytes

    @property
    def last(self) -> int:
        """The byte that completed it."""
        return self.start + len(self.text) - (0 if self.eol else 1)


def lines_of(body: bytes) -> list[Line]:
    """The lines of a body, from a walk over single bytes."""
    found: list[Line] = []
    start, text = (3 if body.startswith(b"\xef\xbb\xbf") else 0), b""
    for at in range(start, len(body)):
        byte = body[at : at + 1]
        if byte == b"\n" and at == start and found and found[-1].eol == b"\r":
            found[-1] = found[-1]._replace(eol=b"\r\n")
            start = at + 1
        elif byte in {b"\r", b"\n"}:
            found.append(Line(start, text, byte))
            start, text = at + 1, b""
        else:
            text += byte
    return [*found, Line(start, text, b"")] if text else found


def by_the_line(lines: list[Line]) -> list[tuple[int, Frame]]:
    """The frames without stamps, each with the byte that completed it, in that order."""
    found: list[tuple[int, Frame]] = []
    block: list[Line] = []
    blank = Frame(b"", "message", None, 0, 0, False, True, False, b"")
    frame = blank
    for line in lines:
        name, _, value = line.text.partition(b":")
        value = value.removeprefix(b" ")
        if line.text.startswith(b":"):
            said = blank._replace(id=frame.id, raw=line.text + line.eol, comment=True)
            found.append((line.last, said._replace(terminated=line.eol != b"")))
            continue
        block.append(line)
        frame = frame._replace(raw=frame.raw + line.text + line.eol)
        values = [one.text.partition(b":") for one in block]
        data = [rest.removeprefix(b" ") for name, _, rest in values if name == b"data"]
        frame = frame._replace(data=b"\n".join(data))
        if name == b"event":
            frame = frame._replace(event=value.decode("utf-8", "replace") or "message")
        elif name == b"id" and b"\0" not in value:
            frame = frame._replace(id=value.decode("utf-8", "replace"))
        elif not line.text:
            found += [(line.last, frame)] if data else []
            frame, block = blank._replace(id=frame.id), []
    if any(one.text.partition(b":")[0] == b"data" for one in block):
        found.append((block[-1].last, frame._replace(terminated=False)))
    return sorted(found, key=itemgetter(0))


def by_the_byte(reads: list[Read], since_ns: int) -> list[Frame]:
    """The frames with their stamps, in the words of `Frame`."""
    carriers = [place for place, read in enumerate(reads) for _ in read.data]
    stamps = [since_ns, *(read.at_ns for read in reads)]
    lines = lines_of(b"".join(read.data for read in reads))
    found = by_the_line(lines)

    def merged(last: int, frame: Frame) -> bool:
        others = [end for end, other in found if other is not frame and not other.comment]
        later = [line.start for line in lines if line.text and line.start > last]
        return carriers[last] in {carriers[at] for at in others + later}

    return [
        frame._replace(
            at_ns=stamps[carriers[last] + 1],
            after_ns=stamps[carriers[last]],
            merged=merged(last, frame),
        )
        for last, frame in found
    ]


@given(bodies, st.lists(st.integers(0, 12), max_size=30))
@example(b"data: a\n: b\n\n", [9])
@example(b"data: a\n: b", [])
@example(b"data: a\r\n\r\n", [8, 1])
def test_frames_and_stamps_are_those_of_a_walk_over_bytes(body: bytes, lengths: list[int]) -> None:
    reads = [read for read in cut(body, *lengths) if read.data]

    assert list(frames(reads, since_ns=-5)) == by_the_byte(reads, -5)


def test_data_lines_are_joined_and_one_space_is_dropped() -> None:
    assert data(b"data: a\ndata:b\ndata:  c\ndata\n\n") == [b"a\nb\n c\n"]


@pytest.mark.parametrize("eol", [b"\n", b"\r", b"\r\n"])
def test_each_kind_of_line_end_ends_a_line(eol: bytes) -> None:
    assert data(b"data: a" + eol + eol + b"data: b" + eol + eol) == [b"a", b"b"]


@pytest.mark.parametrize("no_eol", ["\u2028", "\u2029", "\x85", "\v", "\f"])
def test_nothing_else_ends_a_line(no_eol: str) -> None:
    separator = no_eol.encode()

    assert data(b"data: a" + separator + b"b\n\n") == [b"a" + separator + b"b"]


def test_a_crlf_split_across_reads_is_one_line_end() -> None:
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\ndata: c\n\n") == [b"a\nb", b"c"]


def test_a_frame_is_complete_with_its_cr_whether_or_not_an_lf_follows() -> None:
    (frame,) = read_in(b"data: a\r\n\r", b"\n")

    assert (frame.at_ns, frame.merged, frame.raw) == (1, False, b"data: a\r\n\r\n")


def test_a_code_point_split_across_reads_stays_whole() -> None:
    euro = "\u20ac".encode()

    assert data(b"data: " + euro[:1], euro[1:2], euro[2:] + b"\n\n") == [euro]


def test_broken_utf8_in_data_is_left_to_be_seen() -> None:
    assert data(b"data: \xff\xfe\n\n") == [b"\xff\xfe"]


def test_one_byte_order_mark_at_the_start_is_dropped() -> None:
    bom = b"\xef\xbb\xbf"

    assert data(bom[:2], bom[2:] + b"data: a\n\n") == [b"a"]
    assert data(bom + bom + b"data: a\n\ndata: b\n\n") == [b"b"]


def test_comments_are_frames_of_their_own_and_never_data() -> None:
    ping, event = read_in(b"data: a\n: ping\ndata: b\n\n")

    assert (ping.comment, ping.data, ping.raw) == (True, b"", b": ping\n")
    assert (event.comment, event.data, event.raw) == (False, b"a\nb", b"data: a\ndata: b\n\n")


def test_a_block_without_data_is_not_dispatched_but_its_id_stays() -> None:
    (frame,) = read_in(b"event: x\nid: 7\n\ndata: a\n\n")

    assert (frame.data, frame.event, frame.id) == (b"a", "message", "7")


def test_an_empty_data_line_is_an_event() -> None:
    assert data(b"data\n\ndata:\n\n") == [b"", b""]


def test_type_and_id_are_read_and_an_id_with_nul_is_ignored() -> None:
    first, second = read_in(b"id: 1\nevent: x\ndata: a\n\nid: 2\0\ndata: b\n\n")

    assert (first.event, first.id) == ("x", "1")
    assert (second.event, second.id) == ("message", "1")


@pytest.mark.parametrize("tail", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n"])
def test_a_last_event_without_its_blank_line_is_reported_as_unterminated(tail: bytes) -> None:
    whole, last = read_in(b"data: a\n\n", tail)

    assert (whole.terminated, whole.at_ns) == (True, 1)
    assert (last.terminated, last.data, last.at_ns) == (False, b"[DONE]", 2)


def test_a_comment_cut_short_is_reported_as_unterminated() -> None:
    (frame,) = read_in(b": pi")

    assert (frame.comment, frame.terminated) == (True, False)


def test_a_frame_alone_in_its_read_arrived_then() -> None:
    first, second = read_in(b"data: a\n\n", b"data: b\n", b"\n")

    assert (first.at_ns, first.after_ns, first.merged) == (1, 0, False)
    assert (second.at_ns, second.after_ns, second.merged) == (3, 2, False)


def test_events_completed_by_one_read_are_merged() -> None:
    found = read_in(b"data: a\n\n", b"data: b\n\ndata: c\n\n")

    assert [frame.merged for frame in found] == [False, True, True]
    assert [(frame.after_ns, frame.at_ns) for frame in found[1:]] == [(1, 2), (1, 2)]


def test_an_event_followed_by_part_of_the_next_is_merged() -> None:
    first, second = read_in(b"data: a\n\nda", b"ta: b\n\n")

    assert (first.merged, second.merged) == (True, False)


def test_an_event_that_only_brings_a_comment_before_it_is_not_merged() -> None:
    ping, event = read_in(b": ping\n\ndata: a\n\n")

    assert (ping.merged, event.merged) == (True, False)


def test_an_event_and_the_comment_behind_it_are_merged() -> None:
    event, ping = read_in(b"data: a\n\n: ping\n\n")

    assert (event.merged, ping.merged) == (True, True)


def test_the_first_frame_arrived_after_the_moment_given() -> None:
    (frame,) = frames([Read(9, b"data: a\n\n")], since_ns=4)

    assert frame.after_ns == 4


def test_empty_reads_carry_nothing() -> None:
    (frame,) = read_in(b"", b"data: a\n", b"", b"\n", b"")

    assert (frame.at_ns, frame.after_ns) == (4, 2)


def test_an_empty_body_has_no_frames() -> None:
    assert frames([]) == ()
