from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from jangada.executor.capture import LINE_BYTES, ChildOutput, JobLog, StreamCapture

NONCE = "0123456789abcdef"


def mark(number: int) -> bytes:
    return b"\x00" + NONCE.encode() + b"%d\n" % number


def captured(*chunks: bytes, close: bool = True) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    capture = StreamCapture("stdout", NONCE, lambda number, _stream, text: lines.append((number, text)))
    for chunk in chunks:
        capture.feed(chunk)
    if close:
        capture.close()
    return lines


def test_lines_belong_to_the_job_before_whose_mark_they_came() -> None:
    lines = captured(b"loading\n" + mark(0) + b"one\nno end" + mark(1) + mark(2) + b"three\n" + mark(3))
    assert lines == [(0, "loading"), (1, "one"), (1, "no end"), (3, "three")]


@given(cuts=st.lists(st.integers(1, 40), max_size=20))
def test_cutting_the_stream_anywhere_changes_nothing(cuts: list[int]) -> None:
    data = b"loading\n" + mark(0) + b"a\r\nb\x00c\n" + mark(1) + b"half" + mark(2) + b"end\n"
    chunks, rest = [], data
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert captured(*chunks, rest) == [(0, "loading"), (1, "a"), (1, "b\ufffdc"), (2, "half"), (3, "end")]


def test_a_mark_of_another_nonce_is_text() -> None:
    assert captured(mark(0), b"\x00fedcba98765432101\nx\n") == [(1, "\ufffdfedcba98765432101"), (1, "x")]


def test_a_line_without_end_is_cut_and_memory_stays_bounded() -> None:
    lines: list[str] = []
    capture = StreamCapture("stdout", NONCE, lambda _number, _stream, text: lines.append(text))
    for _ in range(100):
        capture.feed(b"\x00" * 10_000)
        assert len(capture._pending) <= LINE_BYTES
    capture.feed(mark(0))
    assert capture.ended == 0
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) <= LINE_BYTES


def test_a_log_keeps_head_and_tail_and_says_what_it_dropped() -> None:
    log = JobLog(attempt=2, limit_bytes=2000)
    for number in range(1000):
        log.add("stdout", f"line {number:04}", number)
    lines = log.lines()
    assert lines[0].text == "line 0000"
    assert lines[-1].text == "line 0999"
    (note,) = [line for line in lines if line.stream == "system"]
    dropped = 1000 - (len(lines) - 1)
    assert note.text == f"{dropped} lines ({dropped * 9} bytes) were dropped here"
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert {line.attempt for line in lines} == {2}


def test_a_flood_of_empty_lines_is_bounded_too() -> None:
    log = JobLog(attempt=1, limit_bytes=3200)
    for _ in range(10_000):
        log.add("stdout", "", 0)
    assert len(log.lines()) <= 102


def test_everything_of_a_job_is_read_before_it_counts_as_complete() -> None:
    lines: list[tuple[int, str]] = []
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    for descriptor in (out_read, err_read):
        os.set_blocking(descriptor, False)
    output = ChildOutput(
        {"stdout": out_read, "stderr": err_read},
        NONCE,
        lambda number, _stream, text: lines.append((number, text)),
        marked=True,
    )
    os.write(out_write, mark(0) + b"last words" + mark(1))
    os.write(err_write, mark(0))
    assert not output.has_all_of(1)
    os.write(err_write, b"more" + mark(1))
    assert output.has_all_of(1)
    assert lines == [(1, "last words"), (1, "more")]
    for descriptor in (out_read, out_write, err_read, err_write):
        os.close(descriptor)


def test_what_a_child_without_marks_printed_is_taken_in_when_its_job_ends() -> None:
    lines: list[tuple[int, str, str]] = []
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    for descriptor in (out_read, err_read):
        os.set_blocking(descriptor, False)
    output = ChildOutput(
        {"stdout": out_read, "stderr": err_read},
        NONCE,
        lambda number, stream, text: lines.append((number, stream, text)),
        marked=False,
    )
    os.write(out_write, b"set-up")
    assert output.has_all_of(0)
    os.write(out_write, b"one\nno end")
    os.write(err_write, b"error\n")
    assert output.read(out_read)
    assert output.has_all_of(1)
    os.write(out_write, b"two\n")
    os.close(err_write)
    assert output.has_all_of(2)
    assert lines == [
        (0, "stdout", "set-up"), (1, "stdout", "one"), (1, "stdout", "no end"), (1, "stderr", "error"),
        (2, "stdout", "two"),
    ]  # fmt: skip
    for descriptor in (out_read, out_write, err_read):
        os.close(descriptor)
