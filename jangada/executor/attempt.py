"""
One attempt inside the child: run user code, turn whatever it does into a message. Standard library and pydantic.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from jangada.algorithms.authoring import ON_CPU, AlgorithmFailure, Context, JobCanceled
from jangada.algorithms.device import Device
from jangada.algorithms.schema import InputRejectedError, OutputRejectedError, Signature, attach_files
from jangada.executor.gpu_faults import GpuFault, fault_of
from jangada.executor.messages import (
    CANCEL,
    Canceled,
    Done,
    Failed,
    Leaving,
    Log,
    Message,
    Progress,
    Run,
    encode,
    encode_done,
)

SPILL_NAME = "output.json"
MESSAGE_LENGTH = 1000


class Cancellation:
    """
    Which job was told to stop, and whether user code is running that may be interrupted.

    The parent writes job numbers to a pipe and then signals; reading them in the
    handler makes sure that a late signal for one job never stops the next.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._numbers: set[int] = set()
        self._running: int | None = None
        self._together: frozenset[int] = frozenset()
        self._shielded = False

    def on_signal(self, _signum: int, _frame: Any) -> None:
        """The handler: raises `JobCanceled` into the main thread when its job, or its whole batch, is to stop."""
        self._read()
        if not self._shielded and self.must_stop():
            raise JobCanceled

    def must_stop(self) -> bool:
        """Whether nothing of what runs is wanted any more."""
        if self._running is not None:
            return self._running in self._numbers
        return bool(self._together) and self._together <= self._numbers

    def is_canceled(self, number: int) -> bool:
        """Whether *number* was told to stop."""
        return number in self._numbers

    def enter(self, number: int) -> None:
        """User code of *number* begins; raises `JobCanceled` when it was stopped before."""
        self._running = number
        if number in self._numbers:
            raise JobCanceled

    def leave(self, number: int) -> None:
        """User code of *number* has ended: no signal interrupts any more."""
        self._running = None
        self._numbers.discard(number)

    def enter_all(self, numbers: frozenset[int]) -> None:
        """User code of all *numbers* begins at once: it is interrupted when every one of them was stopped."""
        self._together = numbers
        if self.must_stop():
            raise JobCanceled

    def leave_all(self, numbers: frozenset[int]) -> None:
        """The same as `leave`, for all of *numbers*."""
        self._together = frozenset()
        self._numbers -= numbers

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Let no cancel interrupt what is inside (half a frame would break the channel); it is raised right after."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self.must_stop():
            raise JobCanceled

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._pipe, 4096)
            self._numbers.update(number for (number,) in CANCEL.iter_unpack(data))


class JobContext(Context):
    """A `Context` whose working folder is made when it is first asked for: most short jobs never need one."""

    _folder: str

    @property
    def work_dir(self) -> Path:
        """A folder of this attempt alone, empty when it begins; what is left in it is removed."""
        folder = Path(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @work_dir.setter
    def work_dir(self, folder: str | Path) -> None:
        # A path only when it is asked for: most short jobs never do.
        self._folder = str(folder)


class AttemptRunner:
    """
    Runs attempts one after another on one set-up algorithm.

    *leaving* is set when a GPU's fault has made this process useless: it is to say so and end.
    """

    def __init__(
        self,
        run: Callable[[Any, Context], Any],
        signature: Signature,
        *,
        send: Callable[[bytes], None],
        cancellation: Cancellation,
        inline_bytes: int,
        short: bool,
        model: str | None = None,
        device: Device = ON_CPU,
    ) -> None:
        self.leaving: Leaving | None = None
        self._run = run
        self._signature = signature
        self._send = send
        self._cancellation = cancellation
        self._inline_bytes = inline_bytes
        self._short = short
        self._model = model
        self._device = device
        self._reaped_cpu_s = _reaped_cpu_s()
        self._memory = None if short else PeakMemory()

    def run(self, job: Run, before: dict[str, float] | None = None) -> bytes:
        """
        Run *job* to its end; the frame that tells of it. Never raises an `Exception`.

        *before* is what was used for it in vain, in a batch, and counts too.
        """
        try:
            return self._attempt(job, before)
        except JobCanceled:
            # The signal came in the few instructions around user code.
            self._cancellation.leave(job.number)
            return encode(Canceled(job.number, {}))

    def _attempt(self, job: Run, before: dict[str, float] | None) -> bytes:
        saved: list[list[str]] = []
        context = self.context(job, saved)
        if self._memory is not None:
            # Often there already, left empty by an earlier job: making and removing it would cost more than all else.
            try:
                os.chdir(job.work_dir)
            except FileNotFoundError:
                os.chdir(context.work_dir)
            self._memory.reset()
        began, used = time.perf_counter(), time.process_time()
        try:
            output = self._call(job, context)
        except JobCanceled:
            return encode(Canceled(job.number, _with(before, self.used(began, used))))
        except BaseException as error:  # noqa: BLE001 — the child's edge: whatever user code raises becomes a value
            return self.failed(job.number, _with(before, self.used(began, used)), error, sys.stderr)
        finally:
            self._cancellation.leave(job.number)
        metrics = self.used(began, used)
        return self.done(job, context, metrics if before is None else _with(before, metrics), saved, output)

    def done(
        self, job: Run, context: Context, metrics: dict[str, float], saved: list[list[str]], output: bytes
    ) -> bytes:
        """The frame for an *output*; one too large for a message is written into the work folder."""
        if len(output) > self._inline_bytes:
            (context.work_dir / SPILL_NAME).write_bytes(output)
            return encode(Done(job.number, metrics, saved, SPILL_NAME, None))
        return encode_done(job.number, metrics, saved, output)

    def _call(self, job: Run, context: Context) -> bytes:
        self._cancellation.enter(job.number)
        return self._signature.write(self._run(self.read(job, context), context))

    def read(self, job: Run, context: Context) -> Any:
        """The input of *job* as the declared type, its files in place; raises `InputRejectedError`."""
        value = self._signature.read(job.input)
        if self._signature.takes_files:
            placed = {key: (Path(str(path)), media) for key, (path, media) in (job.files or {}).items()}
            attach_files(value, placed, context.work_dir)
        return value

    def context(self, job: Run, saved: list[list[str]], made: type[JobContext] = JobContext) -> JobContext:
        """A *made* for *job*; what it saves is added to *saved*."""

        def emit(kind: str, data: dict[str, Any]) -> None:
            message: Message
            if kind == "file":
                saved.append([data["path"], data["name"], data["media_type"]])
                return
            if kind == "progress":
                message = Progress(job.number, data["progress"], _text(data["message"]))
            else:
                message = Log(job.number, str(data["text"]))
            frame = encode(message)
            with self._cancellation.shield():
                self._send(frame)

        return made(
            work_dir=job.work_dir,  # type: ignore[arg-type]
            job_id=job.job_id,
            attempt=job.attempt,
            emit=emit,
            canceled=lambda: self._cancellation.is_canceled(job.number),
            model=self._model,
            device=self._device,
        )

    def failed(self, number: int, metrics: dict[str, float], error: BaseException, said: TextIO) -> bytes:
        """The frame for *error*; its traceback goes to *said*, unless the author raised it on purpose."""
        if isinstance(error, AlgorithmFailure):
            # No traceback, as the author says all there is to say.
            message = _text(error) or error.code
            return encode(Failed(number, metrics, error.code, message, error.retryable, error.retry_after_s))
        fault = self.notice(error)
        return encode(_failed(number, metrics, error, fault, said))

    def notice(self, error: BaseException) -> GpuFault | None:
        """The GPU's fault behind *error*, if any; this process is *leaving* then."""
        fault = fault_of(error, has_gpu=bool(self._device.gpus))
        if fault is not None:
            self.leaving = Leaving(f"the GPU is {fault}", fault is GpuFault.OUT_OF_MEMORY)
        return fault

    def begin(self) -> tuple[float, float]:
        """Begin to count for `used`."""
        if self._memory is not None:
            self._memory.reset()
        return time.perf_counter(), time.process_time()

    def used(self, began: float, used: float) -> dict[str, float]:
        """What was used since those readings of the clock and of the processor's time."""
        run_s = time.perf_counter() - began
        # Processes that a job started are counted when they have ended; between jobs none does.
        reaped, before = _reaped_cpu_s(), self._reaped_cpu_s
        self._reaped_cpu_s = reaped
        return {
            "run_s": round(run_s, 6),
            "cpu_s": round(time.process_time() - used + reaped - before, 6),
            "peak_rss_bytes": _most_ever() if self._memory is None else self._memory.read(),
        }


def _with(before: dict[str, float] | None, used: dict[str, float]) -> dict[str, float]:
    if before is None:
        return used
    return used | {"cpu_s": used["cpu_s"] + before["cpu_s"], "slot_s": used["run_s"] + before["slot_s"]}


def _failed(
    number: int, metrics: dict[str, float], error: BaseException, fault: GpuFault | None, said: TextIO
) -> Failed:
    if isinstance(error, InputRejectedError):
        return Failed(number, metrics, "invalid_input", _text(error) or "", False, None)
    if isinstance(error, OutputRejectedError):
        message = f"the output is not what run declares: {_text(error)}"
        return Failed(number, metrics, "algorithm_error", message, False, None)
    traceback.print_exception(error, file=said)
    # First, as some libraries' errors of the kind are MemoryErrors too.
    if fault is GpuFault.OUT_OF_MEMORY:
        return Failed(number, metrics, "gpu_oom", "the GPU has not enough memory for this job", True, None)
    if isinstance(error, MemoryError):
        return Failed(number, metrics, "oom", "run needed more memory than there is", True, None)
    if isinstance(error, SystemExit):
        return Failed(number, metrics, "algorithm_error", f"run called sys.exit({error.code!r})", False, None)
    # One line: libraries' errors carry line breaks, and the traceback is in the log.
    message = " ".join(f"{type(error).__name__}: {_text(error)}".split()).removesuffix(":")
    # A CUDA context that is lost may have been lost to an earlier job: in a new process it may go well.
    return Failed(number, metrics, "algorithm_error", message[:MESSAGE_LENGTH], fault is GpuFault.BROKEN, None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:MESSAGE_LENGTH]


def _reaped_cpu_s() -> float:
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return reaped.ru_utime + reaped.ru_stime


def _most_ever() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


class PeakMemory:
    """The most memory that this process used since `reset`. Keeps its files of /proc open: every job asks."""

    def __init__(self) -> None:
        self._clear = _kept_open("/proc/self/clear_refs", os.O_WRONLY)
        self._status = _kept_open("/proc/self/status", os.O_RDONLY)

    def reset(self) -> None:
        """Begin anew."""
        if self._clear is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._clear, b"5", 0)

    def read(self) -> float:
        """Bytes; since the process began where the kernel does not tell."""
        try:
            if self._status is not None:
                said = os.pread(self._status, 4096, 0)
                _, found, rest = said.partition(b"VmHWM:")
                if found:
                    return float(rest.split(None, 1)[0]) * 1024
        except OSError:
            pass
        return _most_ever()


def _kept_open(path: str, flags: int) -> int | None:
    try:
        opened = os.open(path, flags)
    except OSError:
        return None
    try:
        # Out of the way of user code that closes or takes the low numbers.
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 64)
    finally:
        os.close(opened)
