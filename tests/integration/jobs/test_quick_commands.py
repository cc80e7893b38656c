"""Commands that go past redis-py's own ways, over a real Redis."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from jangada.jobs import quick_commands
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.quick_commands import KEPT, QuickCommands, quick
from jangada.redis_client import open_redis


def test_an_idle_connection_that_the_server_closed_is_not_used(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_commands, "TRUSTED_S", -1.0)
    connections, others = open_redis(redis_url), open_redis(redis_url)
    commands = quick(connections.commands)
    mine = commands.execute_command("CLIENT", "ID")
    others.commands.client_kill_filter(_id=mine)
    assert commands.execute_command("PING") == b"PONG"
    assert commands.execute_command("CLIENT", "ID") != mine
    connections.close()
    others.close()


def test_an_answer_never_reaches_another_command(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = open_redis(redis_url)
    commands = QuickCommands(connections.commands)
    assert commands.execute_command("ECHO", "first") == b"first"
    connection, _ = commands._idle[0]

    def interrupted() -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "read_response", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commands.execute_command("ECHO", "second")
    monkeypatch.undo()
    assert commands.execute_command("ECHO", "third") == b"third"
    connections.close()


def test_an_error_of_the_server_costs_no_connection(redis_url: str) -> None:
    connections = open_redis(redis_url)
    commands = QuickCommands(connections.commands)
    mine = commands.execute_command("CLIENT", "ID")
    with pytest.raises(ResponseError):
        commands.execute_command("NO-SUCH-COMMAND")
    assert commands.execute_command("CLIENT", "ID") == mine
    connections.close()


def test_many_queues_and_threads_keep_few_connections(redis_url: str, key_prefix: str) -> None:
    connections = open_redis(redis_url)
    queues = [RedisJobQueue(connections, prefix=f"{key_prefix}-{number}") for number in range(150)]
    threads = [threading.Thread(target=queue.stats, args=("toy",)) for queue in queues[:40]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for queue in queues:
        queue.stats("toy")
    assert len(quick(connections.commands)._idle) <= KEPT
    connections.close()


def test_a_server_that_is_not_there_is_said_to_be() -> None:
    connections = open_redis("redis://127.0.0.1:1/0")
    with pytest.raises(RedisConnectionError):
        quick(connections.commands).execute_command("PING")
    connections.close()
