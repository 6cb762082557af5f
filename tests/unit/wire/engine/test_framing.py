from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import End, Exchange, Read, Request, parse
from harness.wire.engine.framing import Framing
from harness.wire.engine.recorded import UNSTAMPED

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 5\r\n\r\nhello"
EMPTY = OK + b"content-length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
TRAILER = OK + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-End: 1\r\n\r\n"
CRLF_EVENTS = OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\ndata: 1\r\n\r\n\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + LENGTH
BARE = b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
WHOLE = [LENGTH, EMPTY, CHUNKED, TRAILER, CRLF_EVENTS, INTERIM, BARE, NO_CONTENT]

OPEN_ENDED = {
    "the peer says close": OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    "close among options": OK + b"Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "no length": OK + b"\r\nhello",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "no number": OK + b"Content-Length: +5\r\n\r\nhello",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "more than promised": LENGTH + b"!",
    "more after the last chunk": CHUNKED + b"GET / HTTP/1.1\r\n\r\n",
    "no chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n0\r\n\r\n",
    "body of a bodiless answer": NO_CONTENT + b"hello",
}


def cut(whole: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({position for position in at if 0 < position < len(whole)}), len(whole)]
    return [whole[a:b] for a, b in pairwise(edges)]


def ends(pieces: list[bytes], *, head_only: bool = False) -> list[bool]:
    """What the framing says after each piece."""
    received: list[bytes | int] = []
    framing = Framing(received, head_only=head_only)
    said = []
    for piece in pieces:
        received += (piece, 0, UNSTAMPED)
        said.append(framing.ends())
    return said


cuts = st.lists(st.integers(1, 200), max_size=12)


@given(whole=st.sampled_from(WHOLE), at=cuts)
def test_a_message_ends_with_its_last_byte_however_it_is_cut(whole: bytes, at: list[int]) -> None:
    pieces = cut(whole, at)
    assert ends(pieces) == [False] * (len(pieces) - 1) + [True]


@pytest.mark.parametrize("whole", WHOLE)
def test_a_message_ends_also_when_it_comes_byte_by_byte(whole: bytes) -> None:
    assert ends([bytes([byte]) for byte in whole]).index(True) == len(whole) - 1


@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20), at=cuts)
def test_many_chunks_of_any_size_end_with_the_last(sizes: list[int], at: list[int]) -> None:
    chunks = b"".join(b"%X\r\n%b\r\n" % (size, (b"\r\n\r\n" * size)[:size]) for size in sizes)
    pieces = cut(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", at)
    assert ends(pieces) == [False] * (len(pieces) - 1) + [True]


@pytest.mark.parametrize("whole", OPEN_ENDED.values(), ids=OPEN_ENDED.keys())
@given(data=st.data())
def test_what_only_the_close_can_end_never_ends(whole: bytes, data: st.DataObject) -> None:
    surplus = whole in (OPEN_ENDED["more than promised"], OPEN_ENDED["more after the last chunk"])
    pieces = [whole] if surplus else cut(whole, data.draw(cuts))
    if whole == OPEN_ENDED["body of a bodiless answer"]:
        pieces = [whole]
    assert not any(ends(pieces))


@given(
    whole=st.sampled_from(WHOLE),
    at=cuts,
    flips=st.dictionaries(st.integers(0, 120), st.integers(0, 255), max_size=3),
)
def test_an_end_is_one_for_the_parser_too(
    whole: bytes, at: list[int], flips: dict[int, int]
) -> None:
    """Never early: where the framing sees an end, the judge misses nothing."""
    damaged = bytes(flips.get(index, byte) for index, byte in enumerate(whole))
    pieces = cut(damaged, at)
    said = ends(pieces)
    if True not in said:
        return
    reads = tuple(Read(n, piece) for n, piece in enumerate(pieces[: said.index(True) + 1]))
    request = Request(method="GET", url="http://a.test/")
    response = parse(
        Exchange(id="x", request=request, started_ns=0, ended_ns=99, reads=reads, end=End.KEPT)
    )
    assert response.complete or "kept" not in response.fault


def test_an_answer_to_head_has_no_body_whatever_it_promises() -> None:
    assert ends([OK + b"Content-Length: 5\r\n\r\n"], head_only=True) == [True]
    assert ends([OK + b"Content-Length: 5\r\n\r\n"]) == [False]
