from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import End, Exchange, Read, Request, parse
from harness.wire.redaction import SECRET_HEADERS, Redactor

KEY = "sk-0123456789abcdef"
COVER = b"[redacted]*********"
assert len(COVER) == len(KEY)


def exchange(*reads: bytes, **changes: object) -> Exchange:
    plain = Exchange(
        id="one",
        request=Request(method="GET", url="http://127.0.0.1/"),
        started_ns=0,
        ended_ns=9,
        reads=tuple(Read(at_ns, data) for at_ns, data in enumerate(reads)),
        end=End.EOF,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def reads_of(secrets: tuple[str, ...], *reads: bytes) -> list[bytes]:
    return [read.data for read in Redactor(secrets).exchange(exchange(*reads)).reads]


def heads(*reads: bytes) -> bytes:
    return b"".join(reads_of((), *reads))


@pytest.mark.parametrize("name", sorted(SECRET_HEADERS))
def test_the_value_of_a_secret_header_is_never_kept(name: str) -> None:
    request = Request(
        method="GET", url="http://127.0.0.1/", headers=((name.title(), "x"), ("Accept", "x"))
    )

    stored = Redactor().exchange(
        exchange(
            f"HTTP/1.1 200 OK\r\n{name.title()}: y\r\nVia: y\r\n\r\n".encode(), request=request
        )
    )

    assert stored.request.headers == ((name.title(), "[redacted]"), ("Accept", "x"))
    assert stored.reads[0].data == (
        f"HTTP/1.1 200 OK\r\n{name.title()}: [redacted]\r\nVia: y\r\n\r\n".encode()
    )


def test_a_secret_header_is_found_in_every_shape_of_head() -> None:
    ok = b"HTTP/1.1 200 OK"

    assert heads(ok + b"\nset-cookie:a\n\ncookie: b") == (
        ok + b"\nset-cookie:[redacted]\n\ncookie: b"
    )
    assert heads(ok + b"\r\nCookie: a\r\n\tb\r\nVia: c\r\n\r\n") == (
        ok + b"\r\nCookie: [redacted]\r\nVia: c\r\n\r\n"
    )
    assert heads(ok + b"\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n") == (
        ok + b"\r\nSet-Cookie: [redacted]\r\nSet-Cookie: [redacted]\r\n\r\n"
    )


def test_a_secret_header_cut_off_by_the_end_is_found() -> None:
    assert heads(b"HTTP/1.1 200 OK\r\nSet-Cookie: abc") == (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: [redacted]"
    )


def test_the_heads_of_interim_responses_are_searched_too() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\nSet-Cookie: b\r\n\r\n"

    assert heads(early + final).count(b"Set-Cookie: [redacted]\r\n") == 2


def test_what_looks_like_a_header_in_the_body_is_left_alone() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nCookie: recipe\r\n\r\nCookie: recipe"

    assert heads(answer) == answer


def test_a_secret_header_split_across_reads_keeps_the_reads_and_their_stamps() -> None:
    plain = exchange(b"HTTP/1.1 200 OK\r\nSet-Co", b"okie: ab", b"cd", b"ef\r", b"\n\r\nx")

    stored = Redactor().exchange(plain)

    assert [read.data for read in stored.reads] == [
        *(b"HTTP/1.1 200 OK\r\nSet-Co", b"okie: ", b"", b"[redacted]\r", b"\n\r\nx"),
    ]
    assert [read.at_ns for read in stored.reads] == [read.at_ns for read in plain.reads]


def test_a_named_secret_is_replaced_wherever_it_stands() -> None:
    plain = exchange(
        b"HTTP/1.1 500 X\r\n\r\nbad key " + KEY.encode() + b"!",
        request=Request(
            method="POST",
            url=f"http://127.0.0.1/?key={KEY}",
            headers=(("X-Custom", f"<{KEY}>"),),
            body=json.dumps({"key": KEY}).encode(),
        ),
        detail=f"said {KEY}",
        labels={"key": KEY},
        id=f"{KEY}-1",
    )

    stored = Redactor([KEY]).exchange(plain)

    assert stored.request.url == "http://127.0.0.1/?key=[redacted]"
    assert stored.request.headers == (("X-Custom", "<[redacted]>"),)
    assert stored.request.body == b'{"key": "' + COVER + b'"}'
    assert stored.reads[0].data == b"HTTP/1.1 500 X\r\n\r\nbad key " + COVER + b"!"
    assert (stored.detail, stored.labels) == ("said [redacted]", {"key": "[redacted]"})
    assert stored.id == "[redacted]-1"


def test_bytes_keep_their_length_so_that_framing_stays_true() -> None:
    body = b'{"error": "bad key ' + KEY.encode() + b'"}'
    answer = b"HTTP/1.1 401 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    response = parse(Redactor([KEY]).exchange(exchange(answer)))

    assert (response.complete, response.fault) == (True, "")
    assert response.body == b'{"error": "bad key ' + COVER + b'"}'


def test_a_secret_shorter_than_the_mark_is_covered_as_far_as_it_goes() -> None:
    assert reads_of(("s3cret",), b"<s3cret>") == [b"<[redac>"]


def test_a_secret_split_across_chunks_is_covered_and_the_chunks_stay() -> None:
    key = KEY.encode()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = b"6;x=y\r\n<%b\r\n%x\r\n%b>\r\n0\r\n\r\n" % (key[:5], len(key) - 4, key[5:])

    response = parse(Redactor([KEY]).exchange(exchange(chunked + answer)))

    assert (response.body, response.complete) == (b"<" + COVER + b">", True)


def test_other_spellings_of_a_secret_are_replaced() -> None:
    secret = 'p"ss w\u00f6rd/1'
    escaped = json.dumps(secret)[1:-1]

    redactor = Redactor([secret])

    for spelling in (escaped, quote(secret, safe=""), secret):
        stored = redactor.exchange(exchange(spelling.encode(), detail=spelling))
        assert stored.reads[0].data == b"[redacted]".ljust(len(spelling.encode()), b"*")
        assert stored.detail == "[redacted]"


def test_the_longer_of_two_secrets_is_replaced_first() -> None:
    assert reads_of(("abcdefgh", "abcdefghijklmnop"), b"abcdefghijklmnop") == [
        b"[redacted]******",
    ]


def test_a_key_of_the_request_is_replaced_where_the_server_echoes_it() -> None:
    request = Request(
        method="GET", url="http://127.0.0.1/", headers=(("Authorization", f"Bearer {KEY}"),)
    )

    stored = Redactor().exchange(exchange(b"bad key " + KEY.encode(), request=request))

    assert stored.reads[0].data == b"bad key " + COVER


def test_a_placeholder_key_does_not_blot_out_ordinary_words() -> None:
    request = Request(
        method="GET", url="http://127.0.0.1/", headers=(("Authorization", "Bearer ollama"),)
    )

    stored = Redactor().exchange(exchange(b"owned by ollama", request=request))

    assert stored.reads[0].data == b"owned by ollama"


def test_an_exchange_without_secrets_is_left_as_it_is() -> None:
    plain = exchange(b"HTTP/1.1 200 OK\r\n\r\n", b"hello", b"")

    assert Redactor([KEY]).exchange(plain) == plain


def test_an_unset_secret_hides_nothing() -> None:
    plain = exchange(b"HTTP/1.1 200 OK\r\n\r\nhello")

    assert Redactor(["", ""]).exchange(plain) == plain


@pytest.mark.parametrize("secret", ["a", "key"])
def test_a_secret_too_short_to_be_one_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="give the whole key") as caught:
        Redactor([secret])
    assert repr(secret) not in str(caught.value)


@given(
    around=st.lists(st.text("abc<>\r\n0123sk-", max_size=8), min_size=1, max_size=6),
    lengths=st.lists(st.integers(0, 9), max_size=40),
)
def test_no_cut_lets_a_secret_through(around: list[str], lengths: list[int]) -> None:
    rest = KEY.join(around).encode()
    reads = []
    for length in lengths:
        reads.append(rest[:length])
        rest = rest[length:]

    stored = reads_of((KEY,), *reads, rest)

    assert KEY.encode() not in b"".join(stored)
    assert [len(data) for data in stored] == [len(data) for data in (*reads, rest)]
