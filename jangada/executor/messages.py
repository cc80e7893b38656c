"""
Everything that may cross between an executor and its child. Standard library only.

A frame is four bytes of length (big endian) and a JSON array ``[tag, field, …]``
over a socket pair of its own: what user code prints cannot disturb it. The
parent refuses a child of another `PROTOCOL`.

    parent → child   Run, RunBatch, Stop
    child → parent   Hello | SetupFailed, then Progress, Log, and one of Done, Failed, Canceled for each job
                     Leaving instead of what is left, when it is no good any more

A cancel does not travel here but as eight bytes of job number on a pipe,
followed by `CANCEL_SIGNAL`: the child must see it in the middle of user code.
"""

from __future__ import annotations

import contextlib
import json
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

PROTOCOL = 2
CANCEL_SIGNAL = signal.SIGUSR1
CANCEL = struct.Struct("!Q")
_LENGTH = struct.Struct("!I")


@dataclass(slots=True)
class Run:
    """Run a job. *files* maps a file id or URL to ``[path, media type]``; *number* counts per child from 1."""

    number: int
    job_id: str
    attempt: int
    work_dir: str
    files: dict[str, list[str | None]] | None
    input: Any


@dataclass(slots=True)
class RunBatch:
    """Run several jobs together, each with a number of its own. *jobs*: lists of the fields of `Run`."""

    jobs: list[list[Any]]

    def runs(self) -> list[Run]:
        """The jobs as records."""
        return [Run(*values) for values in self.jobs]


@dataclass(slots=True)
class Stop:
    """End after the jobs that were sent before."""


@dataclass(slots=True)
class Hello:
    """
    The child is ready. *phases*: seconds of ``environment`` (interpreter), ``import`` and ``setup``.

    *batches*: it takes `RunBatch`.
    """

    protocol: int
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    phases: dict[str, float]
    batches: bool = False


@dataclass(slots=True)
class SetupFailed:
    """The child could not get ready and exits."""

    message: str


@dataclass(slots=True)
class Progress:
    """The running job says how far it is."""

    number: int
    fraction: float
    message: str | None


@dataclass(slots=True)
class Log:
    """One line through ``context.log``."""

    number: int
    text: str


@dataclass(slots=True)
class Done:
    """
    The job's output. *saved*: ``[name in the work folder, file name, media type]``. *spilled* names
    the file in the work folder that holds an output too large for a message (then *output* is null).
    """

    number: int
    metrics: dict[str, float]
    saved: list[list[str]]
    spilled: str | None
    output: Any


@dataclass(slots=True)
class Failed:
    """The attempt failed; fields as in `jobs.job.AttemptFailure`."""

    number: int
    metrics: dict[str, float]
    code: str
    message: str
    retryable: bool
    retry_after_s: float | None


@dataclass(slots=True)
class Canceled:
    """The job ended because it was told to."""

    number: int
    metrics: dict[str, float]


@dataclass(slots=True)
class Leaving:
    """The child exits now. What it was sent and has not answered has not begun, or is a batch that did not fit."""

    reason: str
    out_of_memory: bool


Message = Run | RunBatch | Stop | Hello | SetupFailed | Progress | Log | Done | Failed | Canceled | Leaving
_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Run, RunBatch, Stop, Hello, SetupFailed, Progress, Log, Done, Failed, Canceled, Leaving)
}
_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in _TYPES.values()}


def encode(message: Message) -> bytes:
    """One frame."""
    kind = type(message)
    body = _dumps([kind.__name__, *(getattr(message, name) for name in _FIELDS[kind])])
    return _LENGTH.pack(len(body)) + body


def encode_run(job: Run, input_json: bytes) -> bytes:
    """A `Run` frame around an input that is JSON already (*job*.input is not looked at)."""
    body = b"%s,%s]" % (
        _dumps_order(["Run", job.number, job.job_id, job.attempt, job.work_dir, job.files])[:-1],
        input_json,
    )
    return _LENGTH.pack(len(body)) + body


def encode_run_batch(jobs: list[tuple[Run, bytes]]) -> bytes:
    """The same for a `RunBatch`: each job with its input as JSON."""
    items = [
        b"%s,%s]" % (_dumps_order([job.number, job.job_id, job.attempt, job.work_dir, job.files])[:-1], input_json)
        for job, input_json in jobs
    ]
    body = b'["RunBatch",[%s]]' % b",".join(items)
    return _LENGTH.pack(len(body)) + body


def encode_done(number: int, metrics: dict[str, float], saved: list[list[str]], output: bytes) -> bytes:
    """A `Done` frame around an *output* that is JSON already."""
    body = b'["Done",%d,%s,%s,null,%s]' % (number, _dumps(metrics), _dumps(saved) if saved else b"[]", output)
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that *data* completes. Raises `ValueError` on what is no message."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                end = start + 4 + _LENGTH.unpack_from(buffer, start)[0]
                if len(buffer) < end:
                    break
                values = _loads(bytes(buffer[start + 4 : end]))
                start = end
                yield _TYPES[values[0]](*values[1:])
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not a message of protocol {PROTOCOL}: {error}") from error
        finally:
            del buffer[:start]


# Made once: `json.dumps` with options of one's own builds an encoder for each call.
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _dumps(value: Any) -> bytes:
    return _to_json(value).encode("utf-8", "replace")


_loads: Callable[[bytes], Any] = json.loads
_dumps_order: Callable[[Any], bytes] = _dumps
with contextlib.suppress(ImportError):  # the parent has it, an algorithm's environment need not
    import orjson

    _loads = orjson.loads
    _dumps_order = orjson.dumps
