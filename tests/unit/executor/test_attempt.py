from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jangada.algorithms import Context
from jangada.algorithms.schema import Signature
from jangada.executor.attempt import SPILL_NAME, AttemptRunner, Cancellation
from jangada.executor.messages import CANCEL, Canceled, Decoder, Done, Failed, Log, Progress, Run


class Input(BaseModel):
    text: str = ""


class Output(BaseModel):
    text: str


class Algorithm:
    behave: Any = staticmethod(lambda context: None)

    def run(self, input: Input, context: Context) -> Output:
        type(self).behave(context)
        return Output(text=input.text)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        read, self.write = os.pipe()
        os.set_blocking(read, False)
        self.descriptors = (read, self.write)
        self.cancellation = Cancellation(read)
        self.sent: list[Any] = []
        self.decoder = Decoder()
        self.runner = AttemptRunner(
            Algorithm().run,
            Signature.of(Algorithm),
            send=lambda frame: self.sent.extend(self.decoder.feed(frame)),
            cancellation=self.cancellation,
            inline_bytes=100,
            short=True,
        )

    def run(self, value: Any, number: int = 1) -> Any:
        (answer,) = Decoder().feed(
            self.runner.run(Run(number, "job_1", 1, str(self.folder / str(number)), None, value))
        )
        return answer

    def cancel(self, number: int) -> None:
        os.write(self.write, CANCEL.pack(number))
        self.cancellation.on_signal(10, None)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for descriptor in made.descriptors:
        os.close(descriptor)


def behave(monkeypatch: pytest.MonkeyPatch, how: Any) -> None:
    monkeypatch.setattr(Algorithm, "behave", staticmethod(how))


def test_an_output_is_sent_inline_and_a_large_one_is_spilled(bench: Bench) -> None:
    small, large = bench.run({"text": "a"}), bench.run({"text": "a" * 200}, 2)
    assert isinstance(small, Done)
    assert (small.output, small.spilled) == ({"text": "a"}, None)
    assert isinstance(large, Done)
    assert (large.output, large.spilled) == (None, SPILL_NAME)
    assert len((bench.folder / "2" / SPILL_NAME).read_bytes()) > 200
    assert not (bench.folder / "1").exists()


def test_a_short_job_has_a_working_folder_only_when_it_asks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(monkeypatch, lambda context: (context.work_dir / "x").write_text(""))
    assert isinstance(bench.run({}), Done)
    assert (bench.folder / "1" / "x").exists()


def test_progress_logs_and_saved_files_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def how(context: Context) -> None:
        context.progress(0.5, "half")
        context.log("a line")
        context.save("a b.txt", b"bytes", "text/plain")

    behave(monkeypatch, how)
    done = bench.run({})
    assert bench.sent == [Progress(1, 0.5, "half"), Log(1, "a line")]
    assert done.saved == [["out-001-a_b.txt", "a_b.txt", "text/plain"]]


def test_a_cancel_interrupts_its_own_job_and_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(monkeypatch, lambda context: bench.cancel(2))
    assert isinstance(bench.run({}, 1), Done)
    assert isinstance(bench.run({}, 2), Canceled)
    behave(monkeypatch, lambda context: bench.cancel(3))
    assert isinstance(bench.run({}, 3), Canceled)
    behave(monkeypatch, lambda context: None)
    assert isinstance(bench.run({}, 4), Done)


def test_a_cancel_never_cuts_a_message_in_half(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(frame: bytes) -> None:
        bench.cancel(1)
        bench.sent.extend(bench.decoder.feed(frame))

    monkeypatch.setattr(bench.runner, "_send", send)
    behave(monkeypatch, lambda context: context.log("whole"))
    assert isinstance(bench.run({}), Canceled)
    assert bench.sent == [Log(1, "whole")]


def test_a_bug_is_told_without_its_traceback(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def how(context: Context) -> None:
        raise ZeroDivisionError("by nothing")

    behave(monkeypatch, how)
    failed = bench.run({})
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == ("algorithm_error", "ZeroDivisionError: by nothing")
    assert "Traceback" in capsys.readouterr().err


def test_a_message_of_several_lines_becomes_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def how(context: Context) -> None:
        raise ValueError("first\n\tsecond\r\n")

    behave(monkeypatch, how)
    assert bench.run({}).message == "ValueError: first second"


def test_a_very_long_message_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def how(context: Context) -> None:
        raise ValueError("x" * 100_000)

    behave(monkeypatch, how)
    assert len(bench.run({}).message) <= 1000
