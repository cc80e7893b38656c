"""Asynchronous calls in MongoDB: collection `async_calls`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pymongo import ASCENDING, ReturnDocument
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from jangada.gateway.asynchronous_call import Answer, AsyncCall, Body, CallbackState, RetryPolicy
from jangada.gateway.asynchronous_store import outcome_status
from jangada.jobs.job import EPOCH_SHIFT, fence
from jangada.mongo_client import translated

_DUPLICATE_KEY = 11000
# Yes and no are 1 and 0: nx-27017 makes them numbers in a $set, and then True matches no more.
_OPEN = 1
_DONE = 0


class MongoAsyncCallStore:
    """Implements `AsyncCallStore`. `open` is 1 while there is something to do: no result, or a pending callback."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._calls = database["async_calls"]

    def create_indexes(self) -> None:
        """Create what `unfinished` and `expired` read by. Idempotent."""
        with translated():
            self._calls.create_index([("open", ASCENDING), ("created_ms", ASCENDING), ("order", ASCENDING)])
            self._calls.create_index([("completed_ms", ASCENDING)])

    def insert(self, calls: Sequence[AsyncCall]) -> list[bool]:
        """See `AsyncCallStore.insert`."""
        if not calls:
            return []
        with translated():
            try:
                self._calls.insert_many([_to_document(call) for call in calls], ordered=False)
            except BulkWriteError as error:
                errors = (error.details or {}).get("writeErrors", [])
                if any(one.get("code") != _DUPLICATE_KEY for one in errors):
                    raise
                there = {one["index"] for one in errors}
                return [index not in there for index in range(len(calls))]
        return [True] * len(calls)

    def get(self, call_id: str) -> AsyncCall | None:
        """See `AsyncCallStore.get`."""
        with translated():
            found = self._calls.find_one({"_id": call_id})
        return None if found is None else _from_document(found)

    def begin(self, call_id: str, fence: int) -> AsyncCall | None:
        """See `AsyncCallStore.begin`."""
        with translated():
            found = self._calls.find_one_and_update(
                {"_id": call_id, "completed_ms": None, "fence": {"$lt": fence}},
                {"$set": {"fence": fence, "status": "running"}},
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else _from_document(found)

    def again(self, call: AsyncCall, attempt: dict[str, Any]) -> bool:
        """See `AsyncCallStore.again`."""
        return self._update(call, {"status": "queued", "attempts": [*call.attempts, attempt]})

    def complete(self, call: AsyncCall, answer: Answer | None, attempt: dict[str, Any] | None, now_ms: int) -> bool:
        """See `AsyncCallStore.complete`."""
        changes = {
            "status": outcome_status(answer),
            "answer": None if answer is None else _answer_document(answer),
            "attempts": [*call.attempts, *([] if attempt is None else [attempt])],
            "completed_ms": now_ms,
            "callback": "pending" if call.callback_url else "none",
            "open": _OPEN if call.callback_url else _DONE,
        }
        return self._update(call, changes)

    def cancel(self, call_id: str, now_ms: int) -> AsyncCall | None:
        """See `AsyncCallStore.cancel`."""
        with translated():
            before = self._calls.find_one_and_update(
                {"_id": call_id, "completed_ms": None},
                {"$set": {"status": "canceled", "completed_ms": now_ms, "open": _DONE}},
                return_document=ReturnDocument.BEFORE,
            )
        return self.get(call_id) if before is None else _from_document(before)

    def callback(self, call_id: str, state: CallbackState, attempts: int) -> None:
        """See `AsyncCallStore.callback`."""
        changes = {"callback": state, "callback_attempts": attempts, "open": _OPEN if state == "pending" else _DONE}
        with translated():
            self._calls.update_one({"_id": call_id}, {"$set": changes})

    def delete(self, call_ids: Sequence[str]) -> None:
        """See `AsyncCallStore.delete`."""
        if call_ids:
            with translated():
                self._calls.delete_many({"_id": {"$in": list(call_ids)}})

    def unfinished(self, after: tuple[int, str] | None, before_ms: int, limit: int) -> list[AsyncCall]:
        """See `AsyncCallStore.unfinished`."""
        query: dict[str, Any] = {"open": _OPEN, "created_ms": {"$lt": before_ms}}
        if after is not None:
            # The page's last millisecond again, without what was seen of it: an $or of two ranges reads no index.
            query["created_ms"]["$gte"] = after[0]
        with translated():
            cursor = self._calls.find(query, {"body": 0, "answer": 0}).sort(
                [("created_ms", ASCENDING), ("order", ASCENDING)]
            )
            found: list[AsyncCall] = []
            for document in cursor.batch_size(limit):
                if after is None or (document["created_ms"], document["_id"]) > after:
                    found.append(_from_document(document))
                if len(found) >= limit:
                    break
            cursor.close()
        return found

    def next_epoch(self, call: AsyncCall) -> int | None:
        """See `AsyncCallStore.next_epoch`."""
        epoch = (call.fence >> EPOCH_SHIFT) + 1
        return epoch if self._update(call, {"fence": fence(epoch, 0), "status": "queued"}) else None

    def expired(self, completed_before_ms: int, limit: int) -> list[AsyncCall]:
        """See `AsyncCallStore.expired`."""
        query = {"completed_ms": {"$lt": completed_before_ms}, "open": _DONE}
        with translated():
            return [_from_document(one) for one in self._calls.find(query).limit(limit)]

    def _update(self, call: AsyncCall, changes: dict[str, Any]) -> bool:
        with translated():
            where = {"_id": call.id, "completed_ms": None, "fence": call.fence}
            return self._calls.update_one(where, {"$set": changes}).matched_count == 1


def _to_document(call: AsyncCall) -> dict[str, Any]:
    return {
        "_id": call.id,
        # Repeats _id: not every server can have _id inside a compound index.
        "order": call.id,
        "open": _DONE if call.is_final and call.callback != "pending" else _OPEN,
        "call_id": call.call_id,
        "function": call.function,
        "method": call.method,
        "target": call.target,
        "headers": [list(pair) for pair in call.headers],
        "body": asdict(call.body),
        "queue": call.queue,
        "created_ms": call.created_ms,
        "retry": {
            "attempts": call.retry.attempts,
            "codes": sorted(call.retry.codes),
            "min_wait_s": call.retry.min_wait_s,
            "max_wait_s": call.retry.max_wait_s,
        },
        "callback_url": call.callback_url,
        "status": call.status,
        "fence": call.fence,
        "attempts": list(call.attempts),
        "answer": None if call.answer is None else _answer_document(call.answer),
        "completed_ms": call.completed_ms,
        "callback": call.callback,
        "callback_attempts": call.callback_attempts,
    }


def _answer_document(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": [list(pair) for pair in answer.headers],
        "body": asdict(answer.body),
        "duration_s": answer.duration_s,
    }


def _from_document(found: dict[str, Any]) -> AsyncCall:
    retry, answer = found["retry"], found.get("answer")
    return AsyncCall(
        id=found["_id"],
        call_id=found["call_id"],
        function=found["function"],
        method=found["method"],
        target=found["target"],
        headers=_pairs(found["headers"]),
        body=_body(found.get("body")),
        queue=found["queue"],
        created_ms=found["created_ms"],
        retry=RetryPolicy(retry["attempts"], frozenset(retry["codes"]), retry["min_wait_s"], retry["max_wait_s"]),
        callback_url=found["callback_url"],
        status=found["status"],
        fence=found["fence"],
        attempts=tuple(found["attempts"]),
        answer=None
        if answer is None
        else Answer(answer["status"], _pairs(answer["headers"]), _body(answer["body"]), answer["duration_s"]),
        completed_ms=found["completed_ms"],
        callback=found["callback"],
        callback_attempts=found["callback_attempts"],
    )


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)


def _body(found: dict[str, Any] | None) -> Body:
    return Body() if found is None else Body(bytes(found["inline"]), found["file"], found["size_bytes"])
