"""A process, started here or by an earlier gateway: known by pid and kernel start time, watched, signalled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOOK_EVERY_S = 0.2


def kernel_start(pid: int) -> str | None:
    """
    When the kernel started *pid*, as a text that no other process ever has; None when it is gone or a zombie.

    Clock ticks since the boot and the boot's own id: neither a clock that is set
    nor a restart of the machine makes two processes look alike.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else f"{_boot_id()}/{fields[19]}"
    except OSError:
        if _BOOT_ID.exists():
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"at {process.create_time():.3f}"
    except psutil.Error:
        return None


class RunningProcess:
    """
    One process, our own child or not. `wait` may be awaited by several; `close` releases what the kernel keeps for us.

    *started* is what `kernel_start` said of it.
    """

    def __init__(self, pid: int, started: str, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.started = started
        self._child = child
        # From here on a signal reaches this process or nobody, whatever becomes of its number.
        self._handle = _open_handle(pid)
        self._ended = asyncio.create_task(self._watch())

    @classmethod
    def find(cls, pid: int, started: str) -> RunningProcess | None:
        """The process *pid* if it is still the one that was *started* then."""
        if kernel_start(pid) != started:
            return None
        found = cls(pid, started)
        if kernel_start(pid) == started:
            return found
        found.close()
        return None

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return not self._ended.done()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended; False when *timeout_s* passed first."""
        done, _ = await asyncio.wait([self._ended], timeout=timeout_s)
        return bool(done)

    @property
    def ending(self) -> str:
        """How it ended; who was no child of ours tells no exit code."""
        code = self._child.poll() if self._child is not None else None
        return "ended" if code is None else f"ended with exit code {code}"

    @property
    def exit_code(self) -> int | None:
        """Of a child of ours that has ended."""
        return self._child.poll() if self._child is not None else None

    def terminate(self) -> None:
        """SIGTERM, if it lives."""
        if not self.is_running:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGTERM)
            elif kernel_start(self.pid) == self.started:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, also to what it started in its session."""
        if self.is_running and kernel_start(self.pid) == self.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Watch no more; the process goes on."""
        self._ended.cancel()

    async def _watch(self) -> None:
        try:
            if self._handle is None:
                await self._poll()
            else:
                await _readable(self._handle)
            if self._child is not None:
                # It has ended: this only fetches its exit code.
                self._child.wait()
        finally:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    async def _poll(self) -> None:
        while kernel_start(self.pid) == self.started:
            if self._child is not None:
                self._child.poll()
            await asyncio.sleep(_LOOK_EVERY_S)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _open_handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # Not Linux, an old kernel, or a sandbox without the call: we look instead of being told.
        return None


@functools.cache
def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
