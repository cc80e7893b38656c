"""Concurrent submits share one write: whoever comes first leads, the others follow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Turn(Generic[T, R]):
    """One caller's item and, later, its answer. *woken*: it is done, or it is this caller's turn to lead."""

    __slots__ = ("answer", "done", "error", "item", "woken")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R
        self.error: Exception | None = None
        self.done = False
        self.woken = threading.Event()


class Grouped(Generic[T, R]):
    """
    Calls `write` with the items of all callers that wait at that moment.

    A lone caller waits for nobody: it leads a group of one at once. While a group
    is being written the next one gathers, so the groups grow with the load. A
    leader writes one group, its own, and passes the lead on.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]], *, most: int = 256) -> None:
        self._write = write
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Turn[T, R]] = []
        self._leading = False

    def __call__(self, item: T) -> R:
        """The answer that `write` gave for *item*; what it raised is raised to every caller of the group."""
        turn = _Turn[T, R](item)
        with self._lock:
            self._waiting.append(turn)
            leads = not self._leading
            self._leading = True
        if not leads:
            turn.woken.wait()
        if not turn.done:
            self._lead()
        if turn.error is not None:
            raise turn.error
        return turn.answer

    def _lead(self) -> None:
        with self._lock:
            group = self._waiting[: self._most]
            del self._waiting[: self._most]
        try:
            answers = self._write([turn.item for turn in group])
            for turn, answer in zip(group, answers, strict=True):
                turn.answer = answer
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it, none may be left waiting
            for turn in group:
                turn.error = error
        with self._lock:
            self._leading = bool(self._waiting)
            heir = self._waiting[0] if self._waiting else None
        for turn in group:
            turn.done = True
            turn.woken.set()
        if heir is not None:
            heir.woken.set()
