"""Heads and bodies as bytes: what is read, and what is refused because two readers could differ over it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jangada.gateway.http1 import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    MAX_TRAILER_BYTES,
    Body,
    HeadTooLargeError,
    UnreadableError,
    find_head,
    parse_answer,
    parse_request,
)


def head(*fields: bytes, line: bytes = b"POST /x HTTP/1.1", host: bytes = b"Host: h\r\n") -> bytes:
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def test_a_head_is_read():
    found = parse_request(
        head(b"Content-Length: 5 ", b"X-A:  b c\t", b"Connection: Keep-Alive, X-A", b"Expect: 100-Continue", b"Empty:")
    )
    assert (found.method, found.target, found.is_11, found.length, found.chunked) == (b"POST", b"/x", True, 5, False)
    assert found.connection == {b"keep-alive", b"x-a"}
    assert found.expects_continue
    assert found.has_body
    assert found.first(b"empty") == b""
    assert found.first(b"x-a") == b"b c\t"
    assert found.first(b"none") is None


@pytest.mark.parametrize(
    ("line", "connection", "keeps"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Close", False),
        (b"GET / HTTP/1.1", b"x, close", False),
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"keep-alive", True),
        (b"GET / HTTP/1.0", b"keep-alive, close", False),
    ],
)
def test_who_keeps_the_connection(line, connection, keeps):
    assert parse_request(head(b"Connection: " + connection, line=line)).keeps_alive is keeps


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 3", b"Content-Length: 3"],
        [b"Content-Length: 3", b"Content-Length: 4"],
        [b"Content-Length: 3, 3"],
        [b"Content-Length: +3"],
        [b"Content-Length: -3"],
        [b"Content-Length: 0x3"],
        [b"Content-Length: 3_0"],
        [b"Content-Length: "],
        [b"Content-Length: 9999999999999999999"],
        [b"Content-Length: \xb2"],
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Transfer-Encoding:"],
        [b"Transfer-Encoding : chunked"],
        [b"Content-Length : 3"],
        [b" Content-Length: 3"],
        [b"X-A: b\r\n folded"],
        [b"X-A: b\nContent-Length: 3"],
        [b"X-A: b\rContent-Length: 3"],
        [b"X-A: b\x00"],
        [b"X-\xe9: b"],
        [b": b"],
        [b"no colon"],
        [b"Host: again"],
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(fields):
    with pytest.raises(UnreadableError):
        parse_request(head(*fields))


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/2.0",
        b"GET / http/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /",
        b" GET / HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"",
    ],
)
def test_a_line_that_is_no_request_line_is_refused(line):
    with pytest.raises(UnreadableError):
        parse_request(head(line=line))


def test_a_request_of_11_names_one_host_and_chunks_are_of_11():
    for host in (b"", b"Host: a/b\r\n", b"Host: a b\r\n", b"Host: a@b\r\n"):
        with pytest.raises(UnreadableError):
            parse_request(head(host=host))
    assert parse_request(head(line=b"GET / HTTP/1.0", host=b"")).first(b"host") is None
    with pytest.raises(UnreadableError):
        parse_request(head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_refused(data):
    try:
        end = find_head(data)
        if end:
            parse_request(data[:end])
    except UnreadableError:
        pass


@pytest.mark.parametrize("whole", [head(), head(b"A: b", line=b"GET http://h/x?y HTTP/1.0")])
def test_a_head_that_comes_in_pieces_is_waited_for(whole):
    assert [find_head(whole[:size]) for size in range(len(whole))] == [0] * len(whole)
    assert find_head(whole + b"body") == len(whole)


@pytest.mark.parametrize(
    "begin", [b"\x16\x03\x01", b"GET / HTTP/1.1\nHost: x\n", b"(", b"GET  /", b"GET / HTTQ", b"G\r\n", b"GET /\x01"]
)
def test_what_can_no_longer_become_a_head_is_refused_at_once(begin):
    with pytest.raises(UnreadableError):
        find_head(begin)


@pytest.mark.parametrize(
    "large",
    [
        b"GET /" + b"x" * MAX_LINE_BYTES,
        b"GET /" + b"x" * MAX_LINE_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_LINE_BYTES,
        b"GET / HTTP/1.1\r\n" + (b"X: " + b"x" * 1000 + b"\r\n") * (MAX_HEAD_BYTES // 1000 + 1),
    ],
)
def test_a_head_has_limits(large):
    with pytest.raises(HeadTooLargeError):
        find_head(large)


def test_fields_have_a_number():
    parse_request(head(*[b"X: y"] * (MAX_FIELDS - 1)))
    with pytest.raises(HeadTooLargeError):
        parse_request(head(*[b"X: y"] * MAX_FIELDS))


def test_an_answers_head_is_read():
    found = parse_answer(b"HTTP/1.1 404 Not there \r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: Chunked\r\n\r\n")
    assert (found.status, found.reason, found.chunked, found.length) == (404, b"Not there ", True, None)
    assert found.keep_alive == b"timeout=5"
    assert parse_answer(b"HTTP/1.0 200\r\n\r\n").reason == b""
    for line in (b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/2 200 OK", b"hello", b"HTTP/1.1 099 OK"):
        with pytest.raises(UnreadableError):
            parse_answer(line + b"\r\n\r\n")


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def fed(body: Body, data: bytes, sizes: list[int]) -> bytes:
    taken, at = [], 0
    for size in (*sizes, len(data)):
        taken.append(body.feed(data[at : at + size]))
        at += size
    return b"".join(taken)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 7), max_size=80), st.binary())
def test_chunks_are_the_same_however_they_come(pieces, sizes, after):
    body = Body(None, chunked=True)
    assert fed(body, chunked(pieces) + b"0;a=b\r\nTrailer: x\r\n\r\n" + after, sizes) == b"".join(pieces)
    assert body.done
    assert body.rest == after


@given(st.binary(max_size=60), st.integers(0, 60), st.lists(st.integers(1, 9), max_size=20))
def test_a_length_is_kept_to(data, length, sizes):
    body = Body(length, chunked=False)
    assert fed(body, data, sizes) == data[:length]
    assert body.done is (len(data) >= length)
    assert body.rest == data[length:]


@pytest.mark.parametrize(
    "broken",
    [
        b"zz\r\n",
        b"-1\r\nx",
        b"+1\r\nx",
        b"0x1\r\nx",
        b"1 1\r\nx",
        b"\r\n",
        b"1\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n0\r\n",
        b"1\r\nxxx",
        b"ffffffffffffffff\r\n",
        b"1" * 300,
        b"1;" + b"a" * 300 + b"\r\n",
        b"1;\x00\r\n",
        b"0\r\nno trailer\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n folded\r\n",
        b"0\r\n" + b"A: b\r\n" * MAX_TRAILER_BYTES,
        b"0\r\nA: " + b"b" * MAX_TRAILER_BYTES * 2,
    ],
)
def test_a_broken_chunk_is_refused(broken):
    with pytest.raises(UnreadableError):
        Body(None, chunked=True).feed(broken)


def test_without_length_and_chunks_the_connection_ends_the_body():
    body = Body(None, chunked=False)
    assert body.ends_with_connection
    assert body.feed(b"abc") == b"abc"
    assert not body.done
