from __future__ import annotations

import sys

import pytest

from harness.engines.emulator import http
from harness.engines.emulator.answer import Frame
from harness.engines.emulator.connection import Record
from harness.engines.emulator.packed import Packed


def frames(count: int, text: str = "word{}") -> list[Frame]:
    around = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","delta":"%b"}\n\n'
    return [
        Frame("role", around % b""),
        *(Frame("token", around % text.format(k).encode(), k) for k in range(count)),
        Frame("done", b"data: [DONE]\n\n", count),
    ]


def plain(all_: list[Frame], *, chunked: bool, head: bytes, last: bytes) -> list[bytes]:
    writes = [http.chunk(each.data) if chunked else each.data for each in all_]
    if head:
        writes[:1] = [head + b"".join(writes[:1])]
    return [*writes, *([last] if last else [])]


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("head", "last"), [(b"HTTP/1.1 200 OK", b"0"), (b"", b"0"), (b"H", b"")])
@pytest.mark.parametrize(
    "all_",
    [
        [],
        frames(0),
        frames(3),
        frames(40),
        frames(40, "alike"),
        frames(40, "{0}{0}{0}"),
        frames(40)[1:],
        [Frame("token", b"")] * 20,
        [Frame("token", b"a" * k) for k in range(20)],
    ],
    ids=lambda value: f"{len(value)} frames" if isinstance(value, list) else None,
)
def test_every_byte_comes_back(all_: list[Frame], head: bytes, last: bytes, chunked: bool) -> None:
    packed = Packed(all_, chunked=chunked, head=head, last=last)
    assert list(packed) == plain(all_, chunked=chunked, head=head, last=last)
    assert packed[:] == list(packed)
    with pytest.raises(IndexError):
        packed[len(packed)]


def test_what_frames_share_is_kept_once() -> None:
    packed = Packed(frames(1000), chunked=True)
    held = sum(sys.getsizeof(getattr(packed, name)) for name in Packed.__slots__)
    assert held < sum(map(len, packed)) / 4


def test_a_record_knows_what_went_out_as_planned_and_what_did_not() -> None:
    record = Record()
    record.planned = Packed(frames(10), chunked=True)
    record.wrote(5, b"early")
    record.wrote(6, record.planned[0], 0)
    record.wrote(7, record.planned[1][:4])
    record.wrote(9, record.planned[1][4:])
    record.wrote(11, record.planned[2], 2)
    assert b"".join(record.chunks) == b"early" + b"".join(record.planned[:3])
    assert record.chunks[1:3] == [record.planned[0], record.planned[1][:4]]
    assert record.size == sum(map(len, record.chunks))
    assert list(record.at_ns) == [5, 6, 7, 9, 11]
