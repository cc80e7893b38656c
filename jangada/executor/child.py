"""
The process that holds user code: ``<environment>/bin/python -m jangada.executor.child …``.

Imports the algorithm, sets it up once, then runs what comes through its socket
until that closes. It may crash, hang, leak or be killed: the parent lives on.
Only the standard library and pydantic are imported here.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jangada.algorithms.authoring import SetupContext
from jangada.algorithms.device import Device
from jangada.algorithms.schema import DeclarationError, Signature, bind
from jangada.executor.attempt import AttemptRunner, Cancellation
from jangada.executor.messages import CANCEL_SIGNAL, PROTOCOL, Decoder, Hello, Run, RunBatch, SetupFailed, Stop, encode

if TYPE_CHECKING:
    from jangada.executor.batch_attempt import BatchRunner

_PR_SET_PDEATHSIG = 1
_CHUNK = 64 * 1024


class Streams:
    """The child's own standard streams, which the parent reads."""

    def __init__(self, nonce: str, *, marked: bool) -> None:
        self._marked = marked
        self._mark = b"\x00" + nonce.encode() + b"%d\n"
        # Private copies: user code may close or redirect 1 and 2.
        self._copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (1, 2)]
        self._flush_all = ctypes.CDLL(None).fflush
        # Line by line, so that a log can be followed and keeps its order with what sub-processes say.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def end_of(self, number: int) -> None:
        """Push out everything buffered; where jobs follow one another unasked, mark the end of *number* (0: set-up)."""
        for stream in (sys.stdout, sys.stderr):
            # Not contextlib.suppress, here and below: this runs for every job.
            try:  # noqa: SIM105
                stream.flush()
            except Exception:  # noqa: BLE001, S110 — user code may have closed or replaced it
                pass
        self._flush_all(None)
        if not self._marked:
            return
        mark = self._mark % number
        for fd in self._copies:
            try:  # noqa: SIM105
                os.write(fd, mark)
            except OSError:
                pass


def main(arguments: list[str]) -> int:
    """Live as a child; the exit code. Called by the executor, not by people."""
    options = _parse(arguments)
    environment_s = time.monotonic() - options.spawned
    _die_with(options.parent)
    channel = socket.socket(fileno=options.socket)
    for fd in (options.socket, options.cancel):
        os.set_inheritable(fd, False)
    os.set_blocking(options.cancel, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cancellation = Cancellation(options.cancel)
    signal.signal(CANCEL_SIGNAL, cancellation.on_signal)
    streams = Streams(options.nonce, marked=options.short)
    send = _sender(channel)
    try:
        algorithm, signature, phases = _set_up(options)
    except BaseException as error:  # noqa: BLE001 — the child's edge: the parent is told, then we end
        traceback.print_exc()
        streams.end_of(0)
        send(encode(SetupFailed(_describe(error))))
        return 1
    gc.collect()
    gc.freeze()
    streams.end_of(0)
    phases["environment"] = round(environment_s, 4)
    batches = callable(getattr(algorithm, "run_batch", None))
    send(encode(Hello(PROTOCOL, signature.input_schema, signature.output_schema, phases, batches)))
    runner = AttemptRunner(
        bind(algorithm, signature),
        signature,
        send=send,
        cancellation=cancellation,
        inline_bytes=options.inline_bytes,
        short=options.short,
        model=options.model,
        device=_device(options),
    )
    batch_runner = None
    if batches:
        # Not for every child: a cold start is counted in milliseconds.
        from jangada.executor.batch_attempt import BatchRunner

        batch_runner = BatchRunner(algorithm, signature, runner, cancellation)
    _serve(channel, runner, batch_runner, streams, send)
    return 0


def _serve(
    channel: socket.socket,
    runner: AttemptRunner,
    batches: BatchRunner | None,
    streams: Streams,
    send: Callable[[bytes], None],
) -> None:
    base = str(Path.cwd())
    decoder = Decoder()
    while data := channel.recv(_CHUNK):
        for message in decoder.feed(data):
            if isinstance(message, Run):
                frame = runner.run(message)
                os.chdir(base)
                streams.end_of(message.number)
                send(frame)
            elif isinstance(message, Stop):
                return
            else:
                # The protocol has nothing else in this direction, and we said whether we take it.
                assert isinstance(message, RunBatch)  # noqa: S101
                assert batches is not None  # noqa: S101
                jobs = message.runs()
                for frame in batches.run(jobs):
                    streams.end_of(jobs[-1].number)
                    send(frame)
            if runner.leaving is not None:
                send(encode(runner.leaving))
                return


def _set_up(options: argparse.Namespace) -> tuple[Any, Signature, dict[str, float]]:
    began = time.monotonic()
    sys.path[:0] = options.path
    module, _, name = options.algorithm.partition(":")
    declared = getattr(importlib.import_module(module), name, None)
    if not isinstance(declared, type):
        raise DeclarationError(f"{module} has no class {name}")
    signature = Signature.of(declared)
    imported = time.monotonic()
    device = _device(options)
    device.limit_torch()
    algorithm = declared()
    if hasattr(algorithm, "setup"):
        taken = inspect.signature(algorithm.setup).parameters.values()
        wants_context = any(each.default is inspect.Parameter.empty for each in taken)
        algorithm.setup(*([SetupContext(options.model, device)] if wants_context else []))
    phases = {"import": round(imported - began, 4), "setup": round(time.monotonic() - imported, 4)}
    return algorithm, signature, phases


def _device(options: argparse.Namespace) -> Device:
    gpus = tuple(options.gpus.split(",")) if options.gpus else ()
    return Device(gpus, options.gpu_memory_fraction, options.gpu_memory_bytes, options.gpu_required)


def _sender(channel: socket.socket) -> Callable[[bytes], None]:
    # User code may report progress from threads of its own.
    lock = threading.Lock()

    def send(frame: bytes) -> None:
        with lock:
            channel.sendall(frame)

    return send


def _die_with(parent: int) -> None:
    """Be killed by the kernel when the parent dies, however it dies and whatever we are doing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _describe(error: BaseException) -> str:
    if isinstance(error, DeclarationError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"set-up called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:1000]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jangada.executor.child", description="Started by the executor.")
    parser.add_argument("--algorithm", required=True, metavar="MODULE:CLASS")
    parser.add_argument("--path", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--cancel", type=int, required=True)
    parser.add_argument("--nonce", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--spawned", type=float, required=True)
    parser.add_argument("--inline-bytes", type=int, required=True)
    parser.add_argument("--model")
    parser.add_argument("--gpus", metavar="UUIDS")
    parser.add_argument("--gpu-memory-fraction", type=float, default=1.0)
    parser.add_argument("--gpu-memory-bytes", type=int)
    parser.add_argument("--gpu-required", action="store_true")
    parser.add_argument("--short", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
