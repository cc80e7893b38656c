"""A function's log: lines out of chunks, a ring for readers, a file for the next gateway."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jangada.gateway import function_log
from jangada.gateway.function_log import FunctionLog, LineFeed


def pumped(path, *chunks: bytes, instance: str = "f-1-0") -> FunctionLog:
    """A log that has taken *chunks*; told on an event loop that has ended since."""

    async def pumping() -> FunctionLog:
        log = FunctionLog("f", "openfaas-fn", path)
        feed = LineFeed(log, instance)
        for chunk in chunks:
            feed.take(chunk)
        feed.end()
        log.flush()
        return log

    return asyncio.run(pumping())


def read(log: FunctionLog, **wanted):
    async def reading():
        given = {"tail": None, "follow": False, "since": None, "instance": None} | wanted
        return [message async for message in log.messages(**given)]

    return asyncio.run(reading())


def test_lines_are_put_together_from_what_comes(tmp_path):
    log = pumped(tmp_path / "f.log", b"one\ntw", b"o\r\n\nthree")
    assert [message.text for message in read(log)] == ["one", "two", "", "three"]


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path):
    assert read(pumped(tmp_path / "f.log", b"\xff\x00ok\n"))[0].text == "\ufffd\x00ok"


def test_a_line_without_end_is_cut_and_not_kept_for_ever(tmp_path):
    log = pumped(tmp_path / "f.log", *[b"x" * 50_000] * 4)
    assert sum(len(message.text) for message in read(log)) == 200_000
    assert len(read(log)) > 1


def test_tail_since_and_instance_choose(tmp_path):
    log = pumped(tmp_path / "f.log", b"a\nb\nc\n")
    lines = read(log)
    assert [message.text for message in read(log, tail=2)] == ["b", "c"]
    assert read(log, tail=99) == lines
    assert read(log, since=lines[0].at) == lines
    assert read(log, since=lines[0].at + timedelta(microseconds=1)) == []
    assert read(log, instance="f-1-0") == lines
    assert read(log, instance="f-1-1") == []


def test_the_ring_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(function_log, "RING_BYTES", 1000)

    async def adding():
        log = FunctionLog("f", "openfaas-fn", tmp_path / "f.log")
        for number in range(100):
            log.add("i", b"%05d" % number * 10)
        return log

    kept = read(asyncio.run(adding()))
    assert 15 <= len(kept) <= 20
    assert kept[-1].text.startswith("00099")


def test_the_next_gateway_reads_what_the_last_one_kept(tmp_path):
    path = tmp_path / "f.log"
    before = read(pumped(path, b"one\ntwo words\n"))
    path.write_bytes(b"no time here\n" + path.read_bytes() + b"\xff\n")
    assert read(pumped(path)) == before


def test_a_full_file_moves_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(function_log, "FILE_BYTES", 100)
    path = tmp_path / "f.log"
    pumped(path, b"x" * 200 + b"\n")
    pumped(path, b"y\n")
    assert b"xxx" in (tmp_path / "f.log.1").read_bytes()
    assert path.read_bytes().endswith(b"y\n")


def test_a_folder_that_is_gone_stops_nobody(tmp_path):
    log = pumped(tmp_path / "none" / "f.log", b"one\n")
    assert [message.text for message in read(log)] == ["one"]


def test_who_follows_gets_what_is_kept_and_then_what_comes(tmp_path):
    async def following():
        log = FunctionLog("f", "openfaas-fn", tmp_path / "f.log")
        log.add("i", b"before")
        messages = log.messages(tail=None, follow=True, since=None, instance=None)
        seen = [(await anext(messages)).text]
        log.add("i", b"after\nand more")
        seen += [(await anext(messages)).text, (await anext(messages)).text]
        await messages.aclose()
        log.add("i", b"nobody listens")
        return seen

    assert asyncio.run(following()) == ["before", "after", "and more"]
