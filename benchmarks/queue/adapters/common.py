"""
What every Python adapter shares: the command line and the timing. Runs inside each system's own environment.

    python a_NAME.py enqueue|bulk|latency N noop|blob

Prints one JSON line: ``{"n", "s", "cpu"}`` or, for latency, ``{"lat": [seconds, …]}``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

URL = os.environ["PEER_REDIS"]
CONCURRENCY = int(os.environ.get("PEER_C", "1"))
TEXT = "x" * 1024
WARM_UP = 20
CHUNK = 500
WAIT_S = 20.0
ARGUMENTS: dict[str, tuple[str, ...]] = {"noop": (), "blob": (TEXT,)}

Call = Callable[..., Any]


async def _call(function: Call, *arguments: Any) -> Any:
    answer = function(*arguments)
    return await answer if inspect.isawaitable(answer) else answer


def _timed(count: int, began: float, used: float) -> dict[str, float]:
    return {"n": count, "s": time.perf_counter() - began, "cpu": time.process_time() - used}


async def _together(enqueue: Call, kind: str, count: int) -> None:
    """Bulk for clients without a bulk call: many submits at once over one connection pool."""
    for start in range(0, count, 100):
        await asyncio.gather(*[enqueue(kind, ARGUMENTS[kind]) for _ in range(min(100, count - start))])


async def _aio(enqueue: Call, round_trip: Call, bulk: Call | None) -> dict[str, Any]:
    what, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    arguments = ARGUMENTS[kind]
    if what == "latency":
        return {"lat": [await _one(round_trip, kind) for _ in range(WARM_UP + count)][WARM_UP:]}
    if what == "enqueue":
        await enqueue(kind, arguments)
    began, used = time.perf_counter(), time.process_time()
    if what == "bulk":
        await (_call(bulk, kind, arguments, count) if bulk else _together(enqueue, kind, count))
    else:
        for _ in range(count):
            await enqueue(kind, arguments)
    return _timed(count, began, used)


async def _one(round_trip: Call, kind: str) -> float:
    began = time.perf_counter()
    await asyncio.wait_for(round_trip(kind, ARGUMENTS[kind]), WAIT_S)
    return time.perf_counter() - began


def _sync(enqueue: Call, round_trip: Call, bulk: Call | None) -> dict[str, Any]:
    what, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    arguments = ARGUMENTS[kind]
    if what == "latency":
        took = []
        for _ in range(WARM_UP + count):
            began = time.perf_counter()
            round_trip(kind, arguments)
            took.append(time.perf_counter() - began)
        return {"lat": took[WARM_UP:]}
    if what == "bulk" and bulk is None:
        return {"n": 0, "s": 0, "cpu": 0}
    if what == "enqueue":
        enqueue(kind, arguments)
    began, used = time.perf_counter(), time.process_time()
    if what == "bulk" and bulk is not None:
        bulk(kind, arguments, count)
    else:
        for _ in range(count):
            enqueue(kind, arguments)
    return _timed(count, began, used)


def chunks(count: int) -> list[int]:
    """*count* in parts of at most 500."""
    return [min(CHUNK, count - start) for start in range(0, count, CHUNK)]


def main(
    enqueue: Call, round_trip: Call, bulk: Call | None = None, setup: Call | None = None, teardown: Call | None = None
) -> None:
    """Do what the command line says and print what it took."""

    async def aio() -> dict[str, Any]:
        if setup:
            await _call(setup)
        try:
            return await _aio(enqueue, round_trip, bulk)
        finally:
            if teardown:
                await _call(teardown)

    if inspect.iscoroutinefunction(enqueue):
        try:
            import uvloop

            result = uvloop.run(aio())
        except ImportError:
            result = asyncio.run(aio())
    else:
        result = _sync(enqueue, round_trip, bulk)
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    # Not all clients end their threads by themselves.
    os._exit(0)
