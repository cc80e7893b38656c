"""
Commands to one Redis server without what redis-py does around each of them.

Its pool, retries and telemetry cost more than the call of a script itself, and a job
is a handful of such calls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.exceptions import RedisError, ResponseError

try:
    import hiredis
except ImportError:  # redis-py does it by itself then
    hiredis = None  # type: ignore[assignment]

TRUSTED_S = 0.05
"""A connection that was idle for longer may have been closed by the server: that is looked at before it is used."""

KEPT = 8
"""Connections kept for the next call; what more calls at the same moment needed goes back to the client's pool."""


class QuickCommands:
    """
    `execute_command` over connections of *client*'s pool, one for each call at the same moment.

    Answers are raw: bytes, numbers and lists. Nothing is sent twice. A connection whose
    call failed on the way is closed; the client's `close` closes all of them.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._idle: list[tuple[Any, float]] = []
        self._pid = os.getpid()

    def execute_command(self, *arguments: Any, keys: Sequence[bytes] = ()) -> Any:  # noqa: ARG002 - as redis-py's
        """The answer to one command. Raises `RedisError`."""
        connection = self._take()
        try:
            connection.send_packed_command(as_sent(connection, arguments))
            answer = connection.read_response()
        except ResponseError:
            self._put_back(connection)
            raise
        except BaseException:
            # Whatever interrupted it: an answer that is still to come must not be taken for that to another command.
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._put_back(connection)
        return answer

    def execute_commands(self, *commands: Sequence[Any]) -> list[Any]:
        """
        The answers to *commands*, which are sent together and run one after another, though others' may come between.

        Raises the first `RedisError`; by then all have run, or the connection is lost.
        """
        connection = self._take()
        answers: list[Any] = []
        refused: ResponseError | None = None
        try:
            connection.send_packed_command(as_sent(connection, *commands))
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:
                    refused = refused or error
        except BaseException:
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._put_back(connection)
        if refused is not None:
            raise refused
        return answers

    def _put_back(self, connection: Any) -> None:
        if len(self._idle) < KEPT:
            self._idle.append((connection, time.monotonic()))
        else:
            self._pool.release(connection)

    def _take(self) -> Any:
        if self._pid != os.getpid():
            # The parent's; never to be spoken on by two processes.
            self._pid, self._idle = os.getpid(), []
        try:
            connection, used_at = self._idle.pop()
        except IndexError:
            return self._pool.get_connection()
        if time.monotonic() > used_at + TRUSTED_S and not _is_clean(connection):
            connection.disconnect()
        return connection


def as_sent(connection: Any, *commands: Sequence[Any]) -> list[bytes]:
    """*commands* as they are sent: in one piece, which is one call of the kernel here and one look of the server's."""
    if hiredis is not None:
        try:
            return [b"".join([hiredis.pack_command(tuple(each)) for each in commands])]
        except TypeError:
            # An argument of another kind, which redis-py knows how to say, or to refuse.
            pass
    return [b"".join([part for each in commands for part in connection.pack_command(*each)])]


def _is_clean(connection: Any) -> bool:
    """Whether nothing lies unread, as what is unread of an idle connection is its end."""
    try:
        return not connection.can_read(timeout=0)
    except (RedisError, OSError):
        return False


_made: WeakKeyDictionary[Any, QuickCommands] = WeakKeyDictionary()


def quick(client: Any) -> Any:
    """*client* itself, or what is quicker (and one for each client) where it is an ordinary client of one server."""
    if type(client) is not redis.Redis:
        return client
    found = _made.get(client)
    if found is None:
        found = _made[client] = QuickCommands(client)
    return found
