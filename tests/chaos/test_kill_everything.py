"""
kill -9 of everything at random moments, and then the counting.

CHAOS_SEED and CHAOS_JOBS change the run; a failure prints the seed and what was
killed when.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jangada.client import ClientError, ConflictError, Job, ServerError, UnreachableError
from tests.chaos.killer import CHILD, Killer
from tests.live_platform import LivePlatform, live_platform

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

ALGORITHM = "keeps-a-ledger"
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
JOBS = int(os.environ.get("CHAOS_JOBS") or 200)
SUBMITTERS = 4
SETTLE_S = 180.0
VICTIMS = (f"executor:{ALGORITHM}", CHILD, "function:router", "redis", "mongo", "gateway")


@pytest.fixture
def platform(tmp_path):
    with live_platform(tmp_path / "home", [ALGORITHM], JANGADA_LEASE_S="3") as running:
        yield running


def test_no_job_is_lost_and_none_finishes_twice(platform, tmp_path):
    ledger = tmp_path / "ledger"
    ledger.touch()
    killer = Killer(platform, VICTIMS, seed=SEED, pause_s=(0.5, 2.5))
    killer.start()
    try:
        try:
            accepted = _submit_all(platform, ledger)
        finally:
            killer.stop()
        _judge(platform, accepted, ledger)
    except BaseException:
        print(f"CHAOS_SEED={SEED}", *killer.story, platform.logs(), sep="\n")
        raise
    print(f"CHAOS_SEED={SEED}: {JOBS} jobs, killed {dict(killer.killed)}")
    assert len(+killer.killed) >= 4, f"the killer hit too little to prove anything: {killer.killed}"


def _submit_all(platform: LivePlatform, ledger: Path) -> dict[int, Job]:
    """Submit every job, as a patient client does: again with the same key until there is an answer."""
    numbers = iter(range(JOBS))
    lock = threading.Lock()
    accepted: dict[int, Job] = {}

    def submitter(chance: random.Random) -> None:
        with platform.client(timeout_s=30) as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                wanted = {"seconds": _seconds(number), "ledger": str(ledger), "number": number}
                deadline = time.monotonic() + 120
                while True:
                    try:
                        job = client.submit(ALGORITHM, wanted, idempotency_key=f"chaos-{SEED}-{number}")
                        break
                    except ClientError as error:
                        if not _may_be_tried_again(error) or time.monotonic() > deadline:
                            raise
                        time.sleep(chance.uniform(0.1, 0.5))
                accepted[number] = job
                time.sleep(chance.uniform(0.0, 0.6))

    with ThreadPoolExecutor(SUBMITTERS) as pool:
        for done in [pool.submit(submitter, random.Random(SEED + n)) for n in range(SUBMITTERS)]:
            done.result()
    return accepted


def _judge(platform: LivePlatform, accepted: dict[int, Job], ledger: Path) -> None:
    assert sorted(accepted) == list(range(JOBS))
    ids = {job.id for job in accepted.values()}
    assert len(ids) == JOBS, "two submissions were answered with one job"
    with platform.client(timeout_s=60) as client:
        deadline = time.monotonic() + SETTLE_S
        final: dict[int, Job] = {}
        while len(final) < JOBS:
            for number, job in accepted.items():
                if number not in final and (found := client.get(job.id)).is_final:
                    final[number] = found
            unfinished = {job.id: job.status for number, job in accepted.items() if number not in final}
            assert time.monotonic() < deadline, f"not final after {SETTLE_S} s: {list(unfinished)[:10]}"
            time.sleep(0.2)
        listed = [job.id for job in client.jobs(algorithm=ALGORITHM, limit=JOBS * 3)]
        assert sorted(listed) == sorted(ids), "a job that nobody was told of, or one that is told twice"
        time.sleep(4)  # longer than a lease: whoever believed to hold one has tried to write by now
        for number, job in final.items():
            again = client.get(job.id)
            assert (again.status, again.output, again.attempt, again.completed_at) == (
                job.status, job.output, job.attempt, job.completed_at
            ), "a final job changed"  # fmt: skip
            assert job.status == "succeeded", (job.id, job.error, job.raw["attempts"])
            assert job.output == {"number": number, "attempt": job.attempt}
    runs = Counter(tuple(line.split()) for line in ledger.read_text().splitlines())
    assert {job_id for job_id, _ in runs} == ids
    assert [run for run, times in runs.items() if times > 1] == [], "one attempt was run twice"
    for job in final.values():
        assert (job.id, str(job.attempt)) in runs, "the attempt that won never ran"
        later = [attempt for job_id, attempt in runs if job_id == job.id and int(attempt) > job.attempt]
        assert later == [], "an attempt ran after the one that won"


def _may_be_tried_again(error: ClientError) -> bool:
    """Nobody answered, somebody said "later", or the same request was killed while it was handled."""
    if isinstance(error, ConflictError):
        return error.code == "idempotency_in_progress"
    return isinstance(error, UnreachableError | ServerError)


def _seconds(number: int) -> float:
    return round(0.01 + (number * 7919 % 100) / 1000, 3)
