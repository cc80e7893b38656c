"""Submits through the public API while things break, as a patient client does: the same again until it is answered."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from jangada.client import Client, ClientError, ConflictError, Job, ServerError, TooManyRequestsError, UnreachableError
from tests.chaos.rig import ALGORITHM, Rig

SUBMITTERS = 4
PATIENCE_S = 120.0
CANCELED_ONE_IN = 12
FEWEST = 20
"""On a machine so busy that nothing gets through, go on beyond the time until so many are accepted."""

T = TypeVar("T")


@dataclass
class Accepted:
    """What was answered with 202."""

    jobs: dict[int, Job] = field(default_factory=dict)
    canceled: set[int] = field(default_factory=set)
    """Numbers whose end was asked for, heard or not."""


def drive(rig: Rig, ledger: Path, seed: int, seconds: float) -> Accepted:
    """Submit for so long; every number that was begun is accepted when this returns, else it raises."""
    accepted = Accepted()
    lock = threading.Lock()
    last = [-1]
    over = time.monotonic() + seconds

    def submitter(chance: random.Random) -> None:
        with rig.client(timeout_s=30) as client:
            while time.monotonic() < over or last[0] < FEWEST:
                with lock:
                    last[0] += 1
                    number = last[0]
                accepted.jobs[number] = patiently(partial(_submit, client, ledger, seed, number), chance)
                if number % CANCELED_ONE_IN == CANCELED_ONE_IN - 1:
                    accepted.canceled.add(number)
                    _cancel(client, accepted.jobs[number], chance)
                time.sleep(chance.uniform(0.0, 0.6))

    with ThreadPoolExecutor(SUBMITTERS) as pool:
        for done in [pool.submit(submitter, random.Random(seed + n)) for n in range(SUBMITTERS)]:
            done.result()
    return accepted


def _submit(client: Client, ledger: Path, seed: int, number: int) -> Job:
    wanted = {"seconds": duration_s(number), "ledger": str(ledger), "number": number}
    return client.submit(ALGORITHM, wanted, priority=_priority(number), idempotency_key=f"chaos-{seed}-{number}")


def patiently(call: Callable[[], T], chance: random.Random, patience_s: float = PATIENCE_S) -> T:
    """What *call* returns, called again while the platform says "later" or nothing."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return call()
        except ClientError as error:
            if not _may_be_tried_again(error) or time.monotonic() > deadline:
                raise
            time.sleep(chance.uniform(0.1, 0.5))


def duration_s(number: int) -> float:
    """What job *number* takes: 10 to 110 ms, and one in forty longer than a heartbeat."""
    return 1.2 if number % 40 == 7 else round(0.01 + (number * 7919 % 100) / 1000, 3)


def _priority(number: int) -> str:
    return ("normal", "high", "low")[number % 3]


def _cancel(client: Client, job: Job, chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 0.3))
    try:
        client.cancel(job.id)
    except ClientError as error:
        # One try: whether it was heard is for the job's status to say.
        if not _may_be_tried_again(error):
            raise


def _may_be_tried_again(error: ClientError) -> bool:
    """Nobody answered, somebody said "later", or the same request was killed while it was handled."""
    if isinstance(error, ConflictError):
        return error.code == "idempotency_in_progress"
    return isinstance(error, UnreachableError | ServerError | TooManyRequestsError)
