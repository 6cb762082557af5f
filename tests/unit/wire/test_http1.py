from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.wire import End, Exchange, Read, Request, Response, WireError, parse, serialise
from harness.wire.http1 import Endpoint, chunk_size, endpoint, sizes

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = (
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 5\r\n\r\nhel",
    OK + b"X: 1\r\n fold\r\n\r\nuntil close",
    CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n6",
    CHUNKED + b"5\r\nhelloXX",
    CHUNKED + b"zz\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx more",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 1, 2\r\n\r\nx",
    b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A known answer, with a few bytes replaced by others."""
    answer = bytearray(draw(st.sampled_from(ANSWERS)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(answer)))
        answer[at : at + draw(st.integers(0, 3))] = draw(
            st.sampled_from([b"", b"\r\n", b"\n", b"\0", b"0", b"f", b": ", b"\xff"])
        )
    return bytes(answer)


def recorded(*reads: bytes, end: End = End.EOF, method: str = "GET", detail: str = "") -> Exchange:
    return Exchange(
        id="one",
        request=Request(method=method, url="http://127.0.0.1/"),
        started_ns=0,
        ended_ns=1_000,
        reads=tuple(Read(at_ns, data) for at_ns, data in enumerate(reads, start=1)),
        end=end,
        detail=detail,
    )


def post(**changes: object) -> Request:
    return replace(Request(method="POST", url="http://127.0.0.1:8/v1"), **changes)  # type: ignore[arg-type]


def test_a_request_is_framed_by_its_body() -> None:
    request = post(headers=(("X-One", "a"), ("X-One", "b")), body=b"{}")

    assert serialise(request) == (
        b"POST /v1 HTTP/1.1\r\nHost: 127.0.0.1:8\r\nX-One: a\r\nX-One: b\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )


def test_a_get_has_no_length_and_a_post_always_has() -> None:
    assert b"Content-Length" not in serialise(post(method="GET"))
    assert b"Content-Length: 0\r\n" in serialise(post())


def test_a_given_host_is_left_as_it_is() -> None:
    sent = serialise(post(headers=(("hOst", "elsewhere"),)))

    assert b"hOst: elsewhere\r\n" in sent
    assert b"Host: 127" not in sent


@pytest.mark.parametrize("name", ["Content-Length", "connection", "TRANSFER-ENCODING"])
def test_headers_the_client_sets_are_refused(name: str) -> None:
    with pytest.raises(WireError, match="leave it out"):
        serialise(post(headers=((name, "1"),)))


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\0b", "\u20ac"])
def test_a_header_value_that_breaks_the_framing_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(WireError, match="value of header 'X-One'") as caught:
        serialise(post(headers=(("X-One", value),)))
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "\u20ac"])
def test_what_is_no_header_name_is_refused(name: str) -> None:
    with pytest.raises(WireError, match="not a header name"):
        serialise(post(headers=((name, "1"),)))


@pytest.mark.parametrize("method", ["", "GET /", "G\r\n"])
def test_what_is_no_method_is_refused(method: str) -> None:
    with pytest.raises(WireError, match="not an HTTP method"):
        serialise(post(method=method))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", Endpoint("localhost", 80, "localhost", "/")),
        ("http://127.0.0.1:8/a?b=c#d", Endpoint("127.0.0.1", 8, "127.0.0.1:8", "/a?b=c")),
        ("http://[::1]:8/a", Endpoint("::1", 8, "[::1]:8", "/a")),
        ("https://llm.example/v1", Endpoint("llm.example", 443, "llm.example", "/v1", tls=True)),
        ("HTTP://LocalHost:8?b", Endpoint("localhost", 8, "LocalHost:8", "/?b")),
    ],
)
def test_a_url_says_where_to_connect_and_what_to_ask(url: str, expected: Endpoint) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("127.0.0.1:8/v1", "write http://host:port/path"),
        ("ftp://127.0.0.1/", "write http://host:port/path"),
        ("http://", "write http://host:port/path"),
        ("http://127.0.0.1:0/", "write http://host:port/path"),
        ("http://127.0.0.1:70000/", "is not a URL"),
        ("http://127.0.0.1:port/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://a..b/", "is not a URL"),
        ("http://127.0.0.1/a b", "percent-encode"),
        ("http://127.0.0.1/\u20ac", "percent-encode"),
        ("http://127.0.0.1/\r\nX: y", "percent-encode"),
        ("http://user:pass@127.0.0.1/", "Authorization header"),
        ("", "percent-encode"),
    ],
)
def test_a_url_that_cannot_be_asked_says_what_to_do(url: str, remedy: str) -> None:
    with pytest.raises(WireError, match=remedy):
        endpoint(url)


def test_an_error_shows_neither_the_query_nor_a_password() -> None:
    for url in ("http://user:hunter22@127.0.0.1/", "ftp://127.0.0.1/?key=hunter22"):
        with pytest.raises(WireError) as caught:
            endpoint(url)
        assert "hunter22" not in str(caught.value)


def test_an_answer_by_content_length_is_whole_when_the_length_is_reached() -> None:
    response = parse(recorded(OK + b"Content-Length: 5\r\nX-Y: Z\r\n\r\nhello"))

    assert response == Response(
        status=200,
        reason="OK",
        headers=(("content-length", "5"), ("x-y", "Z")),
        head_ns=1,
        body=b"hello",
        pieces=(Read(1, b"hello"),),
        complete=True,
        fault="",
    )


def test_every_piece_of_the_body_keeps_the_stamp_of_its_read() -> None:
    response = parse(
        recorded(
            CHUNKED[:-2], b"\r\n5\r\nhello\r\n1\r\n", b" \r\n5\r\nwo", b"rld\r\n0\r\n", b"\r\n"
        )
    )

    assert response.pieces == (Read(2, b"hello"), Read(3, b" wo"), Read(4, b"rld"))
    assert response.head_ns == 2
    assert response.complete


def test_interim_responses_are_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"

    response = parse(recorded(b"HTTP/1.1 100 Continue\r\n\r\n" + early, OK + b"\r\nx"))

    assert (response.status, response.headers, response.body) == (200, (), b"x")


def test_the_answer_to_head_has_no_body_whatever_length_it_states() -> None:
    response = parse(recorded(OK + b"Content-Length: 5\r\n\r\n", method="HEAD"))

    assert (response.complete, response.body) == (True, b"")


def test_header_names_are_found_in_any_case_and_repeats_are_joined() -> None:
    response = parse(recorded(OK + b"Via: a\r\nVIA: b\r\n\r\n"))

    assert response.header("vIa") == "a, b"
    assert response.header("x") is None


def test_a_content_coding_is_left_as_it_is() -> None:
    response = parse(recorded(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b"))

    assert response.body == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("answer", "end", "fault"),
    [
        (b"Content-Length: 10\r\n\r\nhello", End.EOF, "5 of 10 bytes of body arrived (eof)"),
        (b"Content-Length: 10\r\n\r\n", End.RESET, "0 of 10 bytes of body arrived (reset)"),
        (
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            End.EOF,
            "the last chunk is missing after 5 bytes of body (eof)",
        ),
        (
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            End.TIMEOUT,
            "the last chunk is missing after 5 bytes of body (timeout)",
        ),
        (
            b"\r\nhello",
            End.RESET,
            "the body of unknown length stops after 5 bytes without an orderly close (reset)",
        ),
        (b"Content-Le", End.EOF, "the response head is cut short (eof)"),
    ],
)
def test_a_truncated_answer_says_what_is_missing(answer: bytes, end: End, fault: str) -> None:
    response = parse(recorded(OK + answer, end=end))

    assert (response.complete, response.fault) == (False, fault)


def test_no_answer_at_all_says_how_it_ended() -> None:
    response = parse(recorded(end=End.REFUSED, detail="cannot connect"))

    assert response == Response(fault="no answer (refused: cannot connect)")


@pytest.mark.parametrize("end", [End.TIMEOUT, End.RESET, End.CANCELLED])
def test_an_answer_that_reached_its_length_is_whole_however_it_ended(end: End) -> None:
    response = parse(recorded(OK + b"Content-Length: 5\r\n\r\nhello", end=end))

    assert (response.complete, response.fault) == (True, "")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "no HTTP status line at the start of b'SSH-2.0"),
        (CHUNKED + b"5\r\nhelloXX", "no line break at the end of a chunk"),
        (b"HTTP/1.1 OK\r\n\r\n", "no HTTP status line at the start of b'HTTP/1.1 OK"),
        (b"\r\n", "no HTTP status line at the start of b'\\r\\n'"),
        (b"HTTP/1.1 100 Continue\r\n\r\n\r\n", "no HTTP status line after an interim"),
        (OK + b"no colon\r\n\r\n", "illegal header line"),
        (OK + b"Content-Length: five\r\n\r\n", "Content-Length"),
        (CHUNKED + b"zz\r\n", "illegal chunk header"),
    ],
)
def test_a_malformed_answer_is_a_fault_and_no_exception(answer: bytes, fault: str) -> None:
    response = parse(recorded(answer))

    assert not response.complete
    assert fault in response.fault


def test_what_came_before_the_malformed_part_is_kept() -> None:
    response = parse(recorded(CHUNKED + b"5\r\nhello\r\nzz\r\n"))

    assert (response.status, response.body) == (200, b"hello")


def test_bytes_after_the_end_are_a_fault_of_a_whole_answer() -> None:
    response = parse(recorded(OK + b"Content-Length: 5\r\n\r\nhello, wor", b"ld"))

    assert (response.complete, response.body) == (True, b"hello")
    assert response.fault == "7 bytes after the end of the message"


def test_an_empty_read_is_not_taken_for_the_end() -> None:
    response = parse(recorded(OK + b"\r\nhel", b"", b"lo"))

    assert (response.body, response.complete) == (b"hello", True)


def test_a_head_of_any_size_is_read() -> None:
    response = parse(recorded(OK, b"X: " + b"y" * 1_000_000, b"\r\n\r\n"))

    assert len(response.header("x") or "") == 1_000_000


@given(answers(), st.lists(st.integers(1, 9)), st.sampled_from([End.EOF, End.RESET]))
def test_a_response_does_not_depend_on_how_it_was_cut(
    answer: bytes, lengths: list[int], end: End
) -> None:
    whole = parse(recorded(answer, end=end))
    pieces, rest = [], answer
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]

    response = parse(recorded(*pieces, rest, end=end))

    assert b"".join(piece.data for piece in response.pieces) == response.body
    assert replace(response, pieces=(), head_ns=None) == replace(whole, pieces=(), head_ns=None)


@given(
    st.lists(
        st.sampled_from([b"\r", b"\n", b" ", b"HTTP/1.1 ", b"100 C", b"200 K", b"x", b"a: 1"])
    ),
    st.lists(st.integers(1, 4)),
    st.sampled_from([End.EOF, End.RESET]),
)
def test_a_fault_does_not_depend_on_how_the_bytes_were_cut(
    words: list[bytes], lengths: list[int], end: End
) -> None:
    answer = b"".join(words)
    edges = [0, *accumulate(lengths)]
    pieces = [answer[a:b] for a, b in pairwise([*edges, len(answer)])]

    assert parse(recorded(*pieces, end=end)).fault == parse(recorded(answer, end=end)).fault


@given(st.binary(max_size=200), st.sampled_from(End))
def test_no_bytes_make_the_parser_raise(junk: bytes, end: End) -> None:
    response = parse(recorded(junk, end=end))

    assert response.complete or response.fault


def test_requests_that_share_a_head_have_each_their_own_length() -> None:
    asked = Request(method="POST", url="http://127.0.0.1:9/a", headers=(("X-Y", "z"),))
    for body, keep in ((b"", True), (b"12345", True), (b"123", False)):
        head, _, rest = serialise(replace(asked, body=body), keep=keep).partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head.split(b"\r\n")
        assert (b"Connection: close" in head) is not keep
        assert rest == body


def by_h11(exchange: Exchange) -> tuple[int | None, tuple[Read, ...], bool]:
    """The status, the body by reads and whether it is whole, as h11 alone has them."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=exchange.request.method, target="/", headers=[("Host", "-")]))
    parser.send(h11.EndOfMessage())
    status: int | None = None
    pieces: list[Read] = []
    whole = broken = False
    for at_ns, data in [*(read for read in exchange.reads if read.data), Read(0, b"")]:
        body = b""
        parser.receive_data(data)
        while not (whole or broken):
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                broken = True
                break
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                whole = True
            elif not isinstance(event, h11.InformationalResponse):
                break
        pieces += [Read(at_ns, body)] if body else []
        if whole or broken:
            break
    return status, tuple(pieces), whole


chunks = st.tuples(
    st.sampled_from([*[b"%x"] * 4, b"%X", b"%04x", b"%x;a=b", b"%x ", b"0x%x", b"-%x", b"%x_"]),
    st.sampled_from([b"data: a\n\n", b"x" * 17, b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n"]),
    st.sampled_from([*[b"\r\n"] * 8, b"\n", b"", b"XX"]),
).map(lambda one: one[0] % len(one[1]) + b"\r\n" + one[1] + one[2])
lasts = st.sampled_from(
    [
        *(b"0\r\n\r\n", b"0\r\n\r\nmore", b"0\r\nA: 1\r\n\r\n", b"0\r\nno trailer\r\n\r\n"),
        *(b"00\r\n\r\n", b"0;a\r\n\r\n", b"0\r\n", b"", b"5\r\nhel", b"zz\r\n", b"0\r\n\n"),
    ]
)


@given(
    st.sampled_from([b"", b"HTTP/1.1 103 Early\r\n\r\n"]),
    st.lists(chunks, max_size=8),
    lasts,
    st.lists(st.integers(0, 40)),
    st.sampled_from(["GET", "HEAD"]),
)
@example(b"", [b"5\r\nhello\r\n"] * 2, b"5\r\nhelloXX", [len(CHUNKED) + 12], "GET")
def test_chunks_are_those_that_h11_reads(
    early: bytes, parts: list[bytes], last: bytes, lengths: list[int], method: str
) -> None:
    raw = early + CHUNKED + b"".join(parts) + last
    edges = [0, *accumulate(lengths)]
    reads = [raw[a:b] for a, b in pairwise([*edges, max(edges[-1], len(raw))])]
    exchange = recorded(*reads, method=method)

    response = parse(exchange)

    assert (response.status, response.pieces, response.complete) == by_h11(exchange)


def test_a_read_that_ends_within_a_chunk_brings_one_piece() -> None:
    response = parse(recorded(CHUNKED + b"5\r\nhello\r\n5\r\nwo", b"rld\r\n0;x\r\n\r\n"))

    assert response.pieces == (Read(1, b"hellowo"), Read(2, b"rld"))
    assert response.complete


def test_what_h11_reads_on_joins_the_piece_of_its_read() -> None:
    response = parse(recorded(CHUNKED, b"5\r\nhello\r\n5\r\nwo", b"rld\r"))

    assert response.pieces == (Read(2, b"hellowo"), Read(3, b"rld"))
    assert response.fault == "the last chunk is missing after 10 bytes of body (eof)"


def test_sizes_of_chunks_are_not_remembered_without_end() -> None:
    for size in range(1, 10_000):
        assert chunk_size(b"%x" % size) == size

    assert len(sizes) < 5_000


def test_bytes_after_the_last_chunk_are_a_fault_of_a_whole_answer() -> None:
    response = parse(recorded(CHUNKED + b"5\r\nhello\r\n0\r\n\r\nmo", b"re"))

    assert (response.complete, response.body) == (True, b"hello")
    assert response.fault == "4 bytes after the end of the message"
