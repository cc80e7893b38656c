"""
Starts the parts, keeps them alive, stops them in order.

One thread, on purpose: the kernel ties "die with your parent" to the thread that
forked. The loop sleeps until a child ends, a signal comes, or something is due.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import psutil

from jangada.local.home import Home
from jangada.local.logfile import rotate
from jangada.local.part import Part, PartPlan, last_words
from jangada.local.state import PlatformState, function_rows

Observer = Callable[[PlatformState], None]


def unobserved(_: PlatformState) -> None:
    """The observer that looks away."""


_STARTING_TICK_S = 0.04
_CALM_TICK_S = 1.0
_ROTATE_EVERY_S = 5.0
_GIVE_UP_AFTER = 5
_START_WITHIN_S = 180.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StartFailedError(Exception):
    """Raised when a needed part does not come up: names it, its log and its last words."""


class Supervisor:
    """
    Runs *plans* until a signal says stop.

    Every change of any part is written to the state file and told to
    *observer*. A part that ends is started again with backoff; only a needed
    part that has never been ready may end the whole. *look*, asked each
    *look_every_s* once all is up, names parts to start again.
    """

    def __init__(
        self,
        plans: Sequence[PartPlan],
        home: Home,
        url: str,
        observer: Observer,
        *,
        look: Callable[[], Collection[str]] | None = None,
        look_every_s: float = 0.3,
    ) -> None:
        self._look = look
        self._look_every_s = look_every_s
        self._parts = {plan.name: Part(plan) for plan in plans}
        self._home = home
        self._observer = observer
        self._state = PlatformState("starting", os.getpid(), url, str(home.path), psutil.Process().create_time())
        self._stop_signals = 0
        self._last_written: PlatformState | None = None
        self._next_rotation = 0.0

    def run(self, before_stop: Callable[[], None] = lambda: None) -> None:
        """
        Bring everything up and keep it up; returns after SIGINT, SIGTERM or SIGHUP, everything stopped.

        *before_stop* is called when stopping begins. Raises `StartFailedError`,
        everything stopped too. To be called from the main thread.
        """
        with _wakened() as wake, _handled(self._on_signal):
            try:
                self._keep_up(wake)
            except StartFailedError as error:
                self._state.state, self._state.note = "failed", str(error)
                self._publish()
                raise
            finally:
                before_stop()
                self._stop(wake)

    def _on_signal(self, *_: object) -> None:
        self._stop_signals += 1

    def _keep_up(self, wake: int) -> None:
        begun = time.monotonic()
        deadline = begun + _START_WITHIN_S
        while not self._stop_signals:
            self._tick()
            if self._state.state == "starting":
                if not any(part.is_awaited(time.monotonic() - begun) for part in self._parts.values()):
                    self._state.state = "ready"
                elif time.monotonic() > deadline:
                    waiting = [part for part in self._parts.values() if part.plan.needed and not part.is_up]
                    raise self._failure(waiting[0], f"is not ready after {_START_WITHIN_S:.0f} s")
            elif self._look is not None:
                for name in self._look():
                    if name in self._parts:
                        self._parts[name].restart()
            self._publish()
            self._sleep(wake)

    def _tick(self) -> None:
        now = time.monotonic()
        for part in self._parts.values():
            part.watch()
            due = part.state == "waiting" or (part.state == "backoff" and now >= part.next_start)
            if due and all(self._parts[name].is_up for name in part.plan.after):
                part.start()
            if part.plan.needed and (part.is_misconfigured or part.failures_before_ready >= _GIVE_UP_AFTER):
                raise self._failure(part, part.note)
        if self._state.state == "starting":
            self._look_at_functions()
        if now >= self._next_rotation:
            self._next_rotation = now + _ROTATE_EVERY_S
            rotate(self._home.logs_dir)

    def _look_at_functions(self) -> None:
        """The gateway is not ready while a function is not; say which one cannot start instead of waiting on."""
        for row in function_rows(self._home):
            if row.needed and row.state == "backoff" and row.restarts >= _GIVE_UP_AFTER:
                log = self._home.log_file(row.part)
                raise StartFailedError(f"{row.part} ends at once: {_said(last_words(log))} (log: {log})")

    def _failure(self, part: Part, what: str) -> StartFailedError:
        words = last_words(part.plan.log)
        said = f": {words}" if words else ""
        return StartFailedError(f"{part.plan.name} {what}{said} (log: {part.plan.log})")

    def _sleep(self, wake: int) -> None:
        now = time.monotonic()
        timeout_s = _CALM_TICK_S if self._look is None else self._look_every_s
        for part in self._parts.values():
            if part.state == "starting" and not part.plan.once:
                timeout_s = min(timeout_s, _STARTING_TICK_S)
            elif part.state == "backoff":
                timeout_s = min(timeout_s, max(0.0, part.next_start - now))
        _drain(wake, timeout_s)

    def _stop(self, wake: int) -> None:
        if self._state.state != "failed":
            self._state.state = "stopping"
        for stage in sorted({part.plan.stage for part in self._parts.values()}):
            self._stop_stage([part for part in self._parts.values() if part.plan.stage == stage], wake)
        if self._state.state != "failed":
            self._state.state = "stopped"
        self._publish()

    def _stop_stage(self, parts: Sequence[Part], wake: int) -> None:
        asked = self._stop_signals
        begun = time.monotonic()
        for part in parts:
            if not part.has_ended():
                part.state = "stopping"
                part.tell(signal.SIGTERM)
        self._publish()
        while any(not part.has_ended() for part in parts):
            waited_s = time.monotonic() - begun
            for part in parts:
                # A second Ctrl-C is somebody who will not wait.
                if waited_s > part.plan.stop_within_s or self._stop_signals > max(asked, 1):
                    part.kill_group()
            _drain(wake, _STARTING_TICK_S)

    def _publish(self) -> None:
        self._state.parts = [part.row() for part in self._parts.values()]
        snapshot = PlatformState(**{name: getattr(self._state, name) for name in PlatformState.__slots__})
        if snapshot == self._last_written:
            return
        self._last_written = snapshot
        snapshot.write(self._home)
        self._observer(snapshot)


def _said(line: str) -> str:
    """A line of a function's log without the time and the replica that stand before it."""
    return line.split(" ", 2)[-1]


def _drain(wake: int, timeout_s: float) -> None:
    if select.select([wake], [], [], timeout_s)[0]:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)


@contextlib.contextmanager
def _wakened() -> Iterator[int]:
    """A descriptor that becomes readable when any handled signal comes, so that no tick is waited for."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def _handled(on_stop: Callable[..., None]) -> Iterator[None]:
    before = {number: signal.signal(number, on_stop) for number in _STOP_SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
