"""
Several jobs at once inside the child: ``run_batch``, with an end of its own for each. Standard library and pydantic.
"""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from jangada.algorithms.authoring import Context, JobCanceled
from jangada.algorithms.schema import OutputRejectedError, Signature
from jangada.executor.attempt import AttemptRunner, Cancellation, JobContext
from jangada.executor.messages import Canceled, Run, encode

RunTogether = Callable[[list[Any], list[Context]], Sequence[Any]]


class BatchContext(JobContext):
    """The context of one job among others: its cancel alone stops nobody else's work."""

    _all_stopped: Callable[[], bool]

    def raise_if_canceled(self) -> None:
        """Raise `JobCanceled` when every job of the batch was canceled."""
        if self._all_stopped():
            raise JobCanceled


@dataclass(slots=True)
class _Item:
    job: Run
    context: BatchContext
    saved: list[list[str]]
    value: Any = None


@dataclass(slots=True)
class _Said(io.TextIOBase):
    """Lines that go to the log of one job."""

    context: Context
    text: list[str] = field(default_factory=list)

    def write(self, text: str) -> int:
        self.text.append(text)
        return len(text)

    def tell_all(self) -> None:
        for line in "".join(self.text).splitlines():
            self.context.log(line)


class BatchRunner:
    """Runs batches on an algorithm that has ``run_batch``, by *attempts* where a job has to run by itself."""

    def __init__(
        self, algorithm: Any, signature: Signature, attempts: AttemptRunner, cancellation: Cancellation
    ) -> None:
        self._run_together = _bind(algorithm)
        self._key = _key_of(algorithm)
        self._signature = signature
        self._attempts = attempts
        self._cancellation = cancellation
        self._base = str(Path.cwd())

    def run(self, jobs: list[Run]) -> Iterator[bytes]:
        """
        Run *jobs*, those of one key together; frames of those that ended, as they end.

        When `AttemptRunner.leaving` is set on the way, the rest has not ended.
        """
        groups: dict[Hashable, list[_Item]] = {}
        for job in jobs:
            saved: list[list[str]] = []
            item = _Item(job, self._attempts.context(job, saved, BatchContext), saved)  # type: ignore[arg-type]
            item.context._all_stopped = self._cancellation.must_stop
            try:
                item.value = self._attempts.read(job, item.context)
                groups.setdefault(self._key(item.value), []).append(item)
            except Exception as error:  # noqa: BLE001 — the child's edge: what one input does is that job's failure
                yield self._failed(item, {}, error)
        for group in groups.values():
            if self._attempts.leaving is None:
                yield from self._run_group(group)

    def _run_group(self, items: list[_Item]) -> Iterator[bytes]:
        wanted = [item for item in items if not self._cancellation.is_canceled(item.job.number)]
        yield from (self._canceled(item, {}) for item in items if item not in wanted)
        if len(wanted) < 2:
            yield from (self._alone(item, None) for item in wanted)
            return
        began = self._attempts.begin()
        numbers = frozenset(item.job.number for item in wanted)
        try:
            answers = self._answers(wanted, numbers)
        except JobCanceled:
            # Once more: the signal may have come in the few instructions after user code.
            self._cancellation.leave_all(numbers)
            used = self._share(began, len(wanted))
            yield from (self._canceled(item, used) for item in wanted)
            return
        except BaseException as error:  # noqa: BLE001 — as above; who of them it was, each shows by itself
            used = self._share(began, len(wanted))
            if self._attempts.notice(error) is None:
                yield from self._each_alone(wanted, error, used)
            return
        used = self._share(began, len(wanted))
        for item, answer in zip(wanted, answers, strict=True):
            yield self._ended(item, answer, used)

    def _answers(self, items: list[_Item], numbers: frozenset[int]) -> Sequence[Any]:
        try:
            self._cancellation.enter_all(numbers)
            answers = self._run_together([item.value for item in items], [item.context for item in items])
        finally:
            self._cancellation.leave_all(numbers)
        if not isinstance(answers, list | tuple) or len(answers) != len(items):
            got = f"{len(answers)} outputs" if isinstance(answers, list | tuple) else type(answers).__name__
            raise OutputRejectedError(f"run_batch returned {got} for {len(items)} inputs")
        return answers

    def _each_alone(self, items: list[_Item], error: BaseException, used: dict[str, float]) -> Iterator[bytes]:
        # Its message may tell of another job's input: the kind must do, and each one's own failure follows.
        kind = type(error).__name__
        why = str(error) if isinstance(error, OutputRejectedError) else f"run_batch raised {kind}"
        for item in items:
            if self._attempts.leaving is None:
                item.context.log(f"{why} with {len(items)} jobs: this one runs by itself")
                yield self._alone(item, used)

    def _alone(self, item: _Item, before: dict[str, float] | None) -> bytes:
        frame = self._attempts.run(item.job, before)
        os.chdir(self._base)
        return frame

    def _ended(self, item: _Item, answer: Any, used: dict[str, float]) -> bytes:
        if isinstance(answer, JobCanceled):
            return self._canceled(item, used)
        if isinstance(answer, BaseException):
            return self._failed(item, used, answer)
        try:
            output = self._signature.write(answer)
        except OutputRejectedError as error:
            return self._failed(item, used, error)
        return self._attempts.done(item.job, item.context, used, item.saved, output)

    def _failed(self, item: _Item, used: dict[str, float], error: BaseException) -> bytes:
        said = _Said(item.context)
        frame = self._attempts.failed(item.job.number, used, error, said)  # type: ignore[arg-type]
        said.tell_all()
        return frame

    def _canceled(self, item: _Item, used: dict[str, float]) -> bytes:
        self._cancellation.leave(item.job.number)
        return encode(Canceled(item.job.number, used))

    def _share(self, began: tuple[float, float], jobs: int) -> dict[str, float]:
        """What each of *jobs* used: all of the time, its share of the slot and of the processor."""
        used = self._attempts.used(*began)
        return {
            **used,
            "cpu_s": round(used["cpu_s"] / jobs, 6),
            "slot_s": round(used["run_s"] / jobs, 6),
            "batch_jobs": float(jobs),
        }


def _bind(algorithm: Any) -> RunTogether:
    if len(inspect.signature(algorithm.run_batch).parameters) > 1:
        return cast("RunTogether", algorithm.run_batch)
    return lambda values, _contexts: algorithm.run_batch(values)


def _key_of(algorithm: Any) -> Callable[[Any], Hashable]:
    """The author's ``batch_key``: a method of the input, or the name of one of its fields; else all go together."""
    key = getattr(algorithm, "batch_key", None)
    if key is None:
        return lambda _value: None
    if isinstance(key, str):
        return lambda value: cast("Hashable", getattr(value, key))
    return cast("Callable[[Any], Hashable]", key)
