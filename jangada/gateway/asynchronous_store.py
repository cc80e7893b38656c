"""Where asynchronous calls are kept from their acceptance on: the protocol, and the memory implementation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from jangada.gateway.asynchronous_call import Answer, AsyncCall, CallbackState
from jangada.jobs.job import EPOCH_SHIFT, fence

__all__ = ["AsyncCallStore", "MemoryAsyncCallStore", "outcome_status"]


class AsyncCallStore(Protocol):
    """
    The truth about calls. Thread-safe. Raises `StoreUnavailableError` when its server is away.

    A call gets one result: only the attempt with the highest fence may write it, and only once.
    """

    def insert(self, calls: Sequence[AsyncCall]) -> list[bool]:
        """Keep them; durable when this returns. False where the id is taken."""
        ...

    def get(self, call_id: str) -> AsyncCall | None:
        """The call with that id."""
        ...

    def begin(self, call_id: str, fence: int) -> AsyncCall | None:
        """Raise its fence and mark it running; None when it is final, gone, or has that fence or a higher one."""
        ...

    def again(self, call: AsyncCall, attempt: dict[str, Any]) -> bool:
        """Note *attempt* and mark the call queued; False when the fence of *call* is no longer the highest."""
        ...

    def complete(self, call: AsyncCall, answer: Answer | None, attempt: dict[str, Any] | None, now_ms: int) -> bool:
        """Write the one result, with a pending callback where one is wanted. False: another attempt or a cancel won."""
        ...

    def cancel(self, call_id: str, now_ms: int) -> AsyncCall | None:
        """Make it canceled unless it is final; the call as it was before, None when there is none."""
        ...

    def callback(self, call_id: str, state: CallbackState, attempts: int) -> None:
        """Note how far the callback is."""
        ...

    def delete(self, call_ids: Sequence[str]) -> None:
        """Forget calls."""
        ...

    def unfinished(self, after: tuple[int, str] | None, before_ms: int, limit: int) -> list[AsyncCall]:
        """Without result, or with a pending callback; accepted before *before_ms*, oldest first, beyond *after*."""
        ...

    def next_epoch(self, call: AsyncCall) -> int | None:
        """Raise the fence of *call* to a new epoch, in which no earlier attempt can write; None when it moved on."""
        ...

    def expired(self, completed_before_ms: int, limit: int) -> list[AsyncCall]:
        """Calls that ended before that instant and have no callback pending."""
        ...


def outcome_status(answer: Answer | None) -> str:
    """The final status that *answer* means."""
    return "succeeded" if answer is not None and answer.status < 400 else "failed"


class MemoryAsyncCallStore:
    """In one process' memory; dies with it."""

    def __init__(self) -> None:
        self._calls: dict[str, AsyncCall] = {}
        self._lock = threading.Lock()

    def insert(self, calls: Sequence[AsyncCall]) -> list[bool]:
        """See `AsyncCallStore.insert`."""
        with self._lock:
            answer = []
            for call in calls:
                answer.append(call.id not in self._calls)
                self._calls.setdefault(call.id, call)
            return answer

    def get(self, call_id: str) -> AsyncCall | None:
        """See `AsyncCallStore.get`."""
        with self._lock:
            return self._calls.get(call_id)

    def begin(self, call_id: str, fence: int) -> AsyncCall | None:
        """See `AsyncCallStore.begin`."""
        with self._lock:
            call = self._calls.get(call_id)
            if call is None or call.is_final or call.fence >= fence:
                return None
            return self._put(replace(call, fence=fence, status="running"))

    def again(self, call: AsyncCall, attempt: dict[str, Any]) -> bool:
        """See `AsyncCallStore.again`."""
        with self._lock:
            if (now := self._current(call)) is None:
                return False
            self._put(replace(now, status="queued", attempts=(*call.attempts, attempt)))
            return True

    def complete(self, call: AsyncCall, answer: Answer | None, attempt: dict[str, Any] | None, now_ms: int) -> bool:
        """See `AsyncCallStore.complete`."""
        with self._lock:
            if (now := self._current(call)) is None:
                return False
            self._put(
                replace(
                    now,
                    status="succeeded" if outcome_status(answer) == "succeeded" else "failed",
                    answer=answer,
                    attempts=call.attempts if attempt is None else (*call.attempts, attempt),
                    completed_ms=now_ms,
                    callback="pending" if call.callback_url else "none",
                )
            )
            return True

    def cancel(self, call_id: str, now_ms: int) -> AsyncCall | None:
        """See `AsyncCallStore.cancel`."""
        with self._lock:
            call = self._calls.get(call_id)
            if call is not None and not call.is_final:
                self._put(replace(call, status="canceled", completed_ms=now_ms))
            return call

    def callback(self, call_id: str, state: CallbackState, attempts: int) -> None:
        """See `AsyncCallStore.callback`."""
        with self._lock:
            if call_id in self._calls:
                self._put(replace(self._calls[call_id], callback=state, callback_attempts=attempts))

    def delete(self, call_ids: Sequence[str]) -> None:
        """See `AsyncCallStore.delete`."""
        with self._lock:
            for call_id in call_ids:
                self._calls.pop(call_id, None)

    def unfinished(self, after: tuple[int, str] | None, before_ms: int, limit: int) -> list[AsyncCall]:
        """See `AsyncCallStore.unfinished`."""
        with self._lock:
            found = [
                call
                for call in self._calls.values()
                if (not call.is_final or call.callback == "pending")
                and call.created_ms < before_ms
                and (after is None or (call.created_ms, call.id) > after)
            ]
        return sorted(found, key=lambda call: (call.created_ms, call.id))[:limit]

    def next_epoch(self, call: AsyncCall) -> int | None:
        """See `AsyncCallStore.next_epoch`."""
        with self._lock:
            if (now := self._current(call)) is None:
                return None
            epoch = (call.fence >> EPOCH_SHIFT) + 1
            self._put(replace(now, fence=fence(epoch, 0), status="queued"))
            return epoch

    def expired(self, completed_before_ms: int, limit: int) -> list[AsyncCall]:
        """See `AsyncCallStore.expired`."""
        with self._lock:
            old = [
                call
                for call in self._calls.values()
                if call.completed_ms is not None
                and call.completed_ms < completed_before_ms
                and call.callback != "pending"
            ]
        return old[:limit]

    def _current(self, call: AsyncCall) -> AsyncCall | None:
        now = self._calls.get(call.id)
        return now if now is not None and not now.is_final and now.fence == call.fence else None

    def _put(self, call: AsyncCall) -> AsyncCall:
        self._calls[call.id] = call
        return call
