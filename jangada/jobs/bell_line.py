"""
The bell without a thread that waits for it: a socket that a selector can watch.

Behind the pop that waits for the bell a claim may be sent along, which the server runs
the moment the bell rings: hearing of a job and having it are then one message.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from jangada.jobs.queue import BellClaim, Claimed
from jangada.jobs.quick_commands import as_sent
from jangada.redis_client import translate

BLOCK_S = 120.0
"""
How long one BLPOP waits. It may be longer than other calls block, as nobody waits with it:
who listens looks for itself now and then, whatever became of the line.
"""
ANSWER_S = 1.0
"""How long the rest of an answer that has begun to come is waited for: whoever reads it serves the slots meanwhile."""
OVERDUE_S = 5.0
"""How long an answer may be late before the connection is given up: a server that is cut off says nothing."""


class ClaimCommand:
    """How a claim is said to the server, and how its answer reads."""

    def __init__(self, command: Callable[[BellClaim], Sequence[Any]], read: Callable[[Any], Claimed]) -> None:
        self.command = command
        self.read = read


class BellLine:
    """One connection on which one BLPOP at a time waits. Only one thread may use it at a time."""

    def __init__(self, client: redis.Redis, key: bytes, claims: ClaimCommand) -> None:
        self._pool = client.connection_pool
        self._key = key
        self._claims = claims
        self._connection: Any = None
        self._overdue_at = 0.0
        self._is_claiming = False

    def ask(self, claim: BellClaim | None = None) -> int:
        """
        Listen, and at the ring, or after `BLOCK_S` without one, make *claim*.

        Returns the descriptor that is readable once there is an answer. Raises
        `StoreUnavailableError`.
        """
        commands: list[Sequence[Any]] = [("BLPOP", self._key, BLOCK_S)]
        self._is_claiming = claim is not None
        if claim is not None:
            commands.append(self._claims.command(claim))
        try:
            if self._connection is None:
                self._connection = self._pool.get_connection()
            self._connection.send_packed_command(as_sent(self._connection, *commands))
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

    def answer(self) -> tuple[bool, Claimed | None]:
        """
        Once there is one: whether the bell rang (or only the time has passed), and what was claimed.

        None: no claim was asked for, or the server refused it, having claimed nothing.
        Raises `StoreUnavailableError`: then something may have been claimed.
        """
        try:
            rang = self._connection.read_response(timeout=ANSWER_S) is not None
            return rang, self._read_claim() if self._is_claiming else None
        except RedisError as error:
            self.close()
            raise translate(error) from error

    def _read_claim(self) -> Claimed | None:
        try:
            answer = self._connection.read_response(timeout=ANSWER_S)
        except ResponseError:
            # A server that has forgotten its scripts, most likely: an ordinary call finds out and helps.
            return None
        return self._claims.read(answer)

    def close(self) -> None:
        """Listen no more; `ask` may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)


def bell_line(client: Any, key: bytes, claims: ClaimCommand) -> BellLine | None:
    """A line to the one server of *client*; None where a selector cannot watch it (a cluster, TLS)."""
    if type(client) is redis.Redis and client.connection_pool.connection_class is redis.Connection:
        return BellLine(client, key, claims)
    return None
