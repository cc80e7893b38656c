"""The names of queues that deployments of their own have. Imports nothing: executors use it too."""

from __future__ import annotations

QUEUE_PREFIX = "dep."
"""Begins the name of every queue that a deployment of its own has: no algorithm's name holds a dot."""
CANARY_SUFFIX = ".canary"


def own_queue(name: str) -> str:
    """The queue of a deployment that somebody asked for."""
    return QUEUE_PREFIX + name


def deployment_of(queue: str) -> str | None:
    """The deployment whose queue it is; None for the queue of an algorithm's shared one."""
    if not queue.startswith(QUEUE_PREFIX):
        return None
    return queue.removeprefix(QUEUE_PREFIX).removesuffix(CANARY_SUFFIX)
