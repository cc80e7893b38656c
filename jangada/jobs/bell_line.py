"""The bell without a thread that waits for it: a socket that a selector can watch."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any

import redis
from redis.exceptions import RedisError

from jangada.redis_client import translate

BLOCK_S = 60.0
"""
How long one BLPOP waits. It may be longer than other calls block, as nobody waits with it:
who listens looks for itself now and then, whatever became of the line.
"""
OVERDUE_S = 5.0
"""How long an answer may be late before the connection is given up: a server that is cut off says nothing."""


class BellLine:
    """One connection on which one BLPOP at a time waits. Only one thread may use it at a time."""

    def __init__(self, client: redis.Redis, key: bytes) -> None:
        self._pool = client.connection_pool
        self._key = key
        self._connection: Any = None
        self._overdue_at = 0.0

    def ask(self) -> int:
        """Listen; the descriptor that is readable once there is an answer. Raises `StoreUnavailableError`."""
        try:
            if self._connection is None:
                self._connection = self._pool.get_connection()
            self._connection.send_command("BLPOP", self._key, BLOCK_S)
        except RedisError as error:
            self.close()
            raise translate(error) from error
        self._overdue_at = time.monotonic() + BLOCK_S + OVERDUE_S
        descriptor: int = self._connection._sock.fileno()
        return descriptor

    @property
    def is_overdue(self) -> bool:
        """Whether the answer should have come long ago."""
        return self._connection is not None and time.monotonic() > self._overdue_at

    @property
    def has_answer(self) -> bool:
        """Whether there is one, or the line is dead."""
        if self._connection is None:
            return False
        poll = select.poll()
        poll.register(self._connection._sock, select.POLLIN)
        return bool(poll.poll(0))

    def answer(self) -> bool:
        """Once there is one: whether the bell rang, or only the time has passed. Raises `StoreUnavailableError`."""
        try:
            return self._connection.read_response() is not None
        except RedisError as error:
            self.close()
            raise translate(error) from error

    def close(self) -> None:
        """Listen no more; `ask` may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)


def bell_line(client: Any, key: bytes) -> BellLine | None:
    """A line to the one server of *client*; None where a selector cannot watch it (a cluster, TLS)."""
    if type(client) is redis.Redis and client.connection_pool.connection_class is redis.Connection:
        return BellLine(client, key)
    return None
