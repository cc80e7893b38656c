"""A child process as its parent holds it: started, spoken to, told to cancel, killed, and asked why it died."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from jangada.executor.devices import SlotDevice
from jangada.executor.memory import tree
from jangada.executor.messages import CANCEL, CANCEL_SIGNAL


@dataclass(frozen=True, slots=True)
class ChildRecipe:
    """How to start children of one algorithm. *package* holds nothing but ``jangada``."""

    python: Path
    package: Path
    class_name: str
    import_folders: tuple[Path, ...]
    environ: dict[str, str]
    inline_bytes: int
    short: bool
    model: str | None = None
    devices: tuple[SlotDevice, ...] = ()
    """One for each slot; empty: whatever the environment shows."""
    _begun: dict[Path, ChildProcess] = field(default_factory=dict, init=False, repr=False, compare=False)

    def begin(self, folder: Path, slot: int = 0) -> None:
        """Start the child of *folder* before it is asked for; should that fail, it is tried again then."""
        with contextlib.suppress(OSError):
            self._begun[folder] = ChildProcess(self, folder, slot)

    def child(self, folder: Path, slot: int) -> ChildProcess:
        """The child that was begun in *folder*, else a new one. Raises `OSError` when it cannot be started."""
        return self._begun.pop(folder, None) or ChildProcess(self, folder, slot)

    def device(self, slot: int) -> SlotDevice | None:
        """What the children of that slot have for themselves; None: nobody said."""
        return self.devices[slot] if self.devices else None


def slot_folder(folder: Path, index: int) -> Path:
    """Where the children of a slot live, in an executor's *folder*."""
    return folder / f"slot-{index}"


class ChildProcess:
    """One started child with its four descriptors. Not safe to use from several threads."""

    def __init__(self, recipe: ChildRecipe, folder: Path, slot: int = 0) -> None:
        """Start it in *folder* for that slot; raises `OSError` when it cannot be started."""
        folder.mkdir(parents=True, exist_ok=True)
        self.nonce = secrets.token_hex(8)
        self.started = time.monotonic()
        self.killed = False
        device = recipe.device(slot)
        environ = {**recipe.environ, "PYTHONPATH": str(recipe.package), "PYTHONUNBUFFERED": ""}
        if device is not None:
            environ |= device.environ(environ)
        ours, theirs = socket.socketpair()
        cancel_out, self._cancel = os.pipe()
        self.stdout, child_out = os.pipe()
        self.stderr, child_err = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*self._command(recipe, theirs.fileno(), cancel_out), *(device.options() if device else [])],
                stdin=subprocess.DEVNULL,
                stdout=child_out,
                stderr=child_err,
                cwd=folder,
                env=environ,
                pass_fds=(theirs.fileno(), cancel_out),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            for fd in (self._cancel, self.stdout, self.stderr):
                os.close(fd)
            raise
        finally:
            theirs.close()
            for fd in (cancel_out, child_out, child_err):
                os.close(fd)
        self.socket = ours
        ours.setblocking(False)
        for fd in (self.stdout, self.stderr, self._cancel):
            os.set_blocking(fd, False)
        self._unsent = bytearray()

    def _command(self, recipe: ChildRecipe, channel: int, cancel: int) -> list[str]:
        # -P and -s: neither the working folder nor the user's packages may shadow the environment's.
        command = [str(recipe.python), "-P", "-s", "-m", "jangada.executor.child"]
        command += ["--algorithm", recipe.class_name, "--socket", str(channel), "--cancel", str(cancel)]
        command += ["--nonce", self.nonce, "--parent", str(os.getpid()), "--spawned", f"{self.started:.6f}"]
        command += ["--inline-bytes", str(recipe.inline_bytes)]
        for folder in recipe.import_folders:
            command += ["--path", str(folder)]
        if recipe.model is not None:
            command.append(f"--model={recipe.model}")
        return [*command, "--short"] if recipe.short else command

    @property
    def pid(self) -> int:
        """Its process id, also the id of its session and process group."""
        return self._process.pid

    def send(self, frame: bytes) -> bool:
        """Send, or keep for `flush` what the socket does not take now; True when all is out."""
        self._unsent += frame
        return self.flush()

    def flush(self) -> bool:
        """Send what was kept; True when nothing is left. A dead child swallows everything."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError:
                self._unsent.clear()
                return True
            del self._unsent[:sent]
        return True

    def cancel(self, number: int) -> None:
        """Ask for the end of job *number*: `JobCanceled` is raised in its code at the next bytecode."""
        with contextlib.suppress(OSError):
            os.write(self._cancel, CANCEL.pack(number))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, CANCEL_SIGNAL)

    def kill(self) -> None:
        """Kill it and every process it started, at once. Safe to repeat."""
        self.killed = True
        if self._process.returncode is None:
            # Those that left the group by a session of their own would outlive it otherwise.
            for pid in tree(self.pid)[1:]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self.kill_group()

    def kill_group(self) -> None:
        """The same for a child that has closed its channel: its exit code, set before, is not changed by that."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """
        Wait for the end of a killed child or one that has closed its channel; its exit code, negative for a signal.

        Whatever it left running in its group is killed.
        """
        self.kill_group()
        code = self._process.wait()
        self.socket.close()
        for fd in (self.stdout, self.stderr, self._cancel):
            os.close(fd)
        return code


def describe_exit(code: int) -> str:
    """``exit code 3`` or ``SIGSEGV``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
