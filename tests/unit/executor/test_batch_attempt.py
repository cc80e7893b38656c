"""``run_batch`` inside the child: an end for each job, whatever it answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jangada.algorithms import Context
from jangada.algorithms.schema import Signature, bind
from jangada.executor.attempt import AttemptRunner, Cancellation
from jangada.executor.batch_attempt import BatchRunner
from jangada.executor.messages import CANCEL, Canceled, Decoder, Failed, Log, Run, RunBatch, encode_run_batch


class Input(BaseModel):
    text: str = ""


class Output(BaseModel):
    text: str


class Algorithm:
    behave: Any = None

    def run(self, input: Input, context: Context) -> Output:
        return Output(text=f"alone {input.text}")

    def run_batch(self, inputs: list[Input], contexts: list[Context]) -> Any:
        if self.behave is not None:
            return self.behave(inputs, contexts)
        return [Output(text=each.text * len(inputs)) for each in inputs]


class Keyed(Algorithm):
    def batch_key(self, input: Input) -> int:
        return len(input.text)


class Unhashable(Algorithm):
    def batch_key(self, input: Input) -> Any:
        return [] if input.text == "b" else 1


class Bench:
    def __init__(self, folder: Path, made: type[Algorithm]) -> None:
        self.folder = folder
        read, self.write = os.pipe()
        os.set_blocking(read, False)
        self.descriptors = (read, self.write)
        self.cancellation = Cancellation(read)
        self.sent: list[Any] = []
        decoder = Decoder()
        self.algorithm = made()
        signature = Signature.of(made)
        self.attempts = AttemptRunner(
            bind(self.algorithm, signature),
            signature,
            send=lambda frame: self.sent.extend(decoder.feed(frame)),
            cancellation=self.cancellation,
            inline_bytes=100,
            short=False,
        )
        self.runner = BatchRunner(self.algorithm, signature, self.attempts, self.cancellation)

    def run(self, *texts: Any) -> dict[int, Any]:
        jobs = [
            Run(number, f"job_{number}", 1, str(self.folder / str(number)), None, {"text": text})
            for number, text in enumerate(texts, 1)
        ]
        decoder = Decoder()
        return {each.number: each for frame in self.runner.run(jobs) for each in decoder.feed(frame)}

    def cancel(self, number: int) -> None:
        os.write(self.write, CANCEL.pack(number))
        self.cancellation.on_signal(10, None)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path, getattr(request, "param", Algorithm))
    yield made
    for descriptor in made.descriptors:
        os.close(descriptor)


def test_each_has_its_output_and_its_share_of_what_was_used(bench: Bench) -> None:
    ends = bench.run("a", "b")
    assert [end.output for end in ends.values()] == [{"text": "aa"}, {"text": "bb"}]
    used = ends[1].metrics
    assert used["batch_jobs"] == 2
    assert used["slot_s"] == pytest.approx(used["run_s"] / 2, abs=1e-5)


@pytest.mark.parametrize("bench", [Keyed], indirect=True)
def test_only_those_of_one_key_go_together(bench: Bench) -> None:
    ends = bench.run("a", "bb", "c")
    assert [ends[number].output["text"] for number in (1, 2, 3)] == ["aa", "alone bb", "cc"]


@pytest.mark.parametrize("bench", [Unhashable], indirect=True)
def test_a_key_that_cannot_be_had_is_the_failure_of_its_own_job(bench: Bench) -> None:
    ends = bench.run("a", "b", "c")
    assert isinstance(ends[2], Failed)
    assert ends[1].output == {"text": "aa"}


@pytest.mark.parametrize("answer", [[], None, [1, 2, 3], {"a": 1, "b": 2}])
def test_an_answer_of_the_wrong_size_makes_each_run_alone(bench: Bench, answer: Any) -> None:
    bench.algorithm.behave = lambda _inputs, _contexts: answer
    assert [end.output["text"] for end in bench.run("a", "b").values()] == ["alone a", "alone b"]


def test_a_large_output_of_one_is_spilled_into_its_own_folder(bench: Bench) -> None:
    ends = bench.run("a", "b" * 60)
    assert ends[2].spilled is not None
    assert (bench.folder / "2" / ends[2].spilled).is_file()


def test_one_that_was_canceled_before_is_left_out(bench: Bench) -> None:
    bench.cancel(2)
    ends = bench.run("a", "b", "c")
    assert isinstance(ends[2], Canceled)
    assert ends[1].output == {"text": "aa"}
    # Nothing of it is remembered: numbers of ended jobs would gather for as long as the child lives.
    assert not bench.cancellation.is_canceled(2)


def test_the_cancel_of_one_interrupts_nothing_and_that_of_all_does(bench: Bench) -> None:
    def behave(inputs: list[Input], contexts: list[Context]) -> Any:
        bench.cancel(1)
        assert contexts[0].canceled
        contexts[0].progress(0.5)
        bench.cancel(2)
        raise AssertionError("both were canceled")

    bench.algorithm.behave = behave
    ends = bench.run("a", "b")
    assert [type(end) for end in ends.values()] == [Canceled, Canceled]
    bench.algorithm.behave = None
    assert not bench.cancellation.must_stop()
    assert [end.output for end in bench.run("a", "b").values()] == [{"text": "aa"}, {"text": "bb"}]


def test_what_an_error_of_all_says_is_told_to_none_of_them(bench: Bench) -> None:
    def behave(inputs: list[Input], contexts: list[Context]) -> Any:
        raise ValueError(f"secret of {inputs[0].text}")

    bench.algorithm.behave = behave
    bench.run("a", "b")
    lines = [each.text for each in bench.sent if isinstance(each, Log)]
    assert lines == ["run_batch raised ValueError with 2 jobs: this one runs by itself"] * 2


def test_a_gpu_that_is_full_ends_nothing_but_the_child(bench: Bench) -> None:
    def behave(inputs: list[Input], contexts: list[Context]) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")

    bench.algorithm.behave = behave
    assert bench.run("a", "b") == {}
    assert bench.attempts.leaving is not None
    assert bench.attempts.leaving.out_of_memory


def test_a_batch_crosses_the_pipe_as_it_was() -> None:
    jobs = [Run(1, "job_a", 1, "/w/1", None, None), Run(2, "job_b", 3, "/w/2", {"f": ["/w/2/in", "a/b"]}, None)]
    (message,) = Decoder().feed(encode_run_batch([(jobs[0], b'{"text":"a"}'), (jobs[1], b"[1]")]))
    assert isinstance(message, RunBatch)
    first, second = message.runs()
    assert (first.number, first.job_id, first.input) == (1, "job_a", {"text": "a"})
    assert (second.attempt, second.files, second.input) == (3, {"f": ["/w/2/in", "a/b"]}, [1])
