"""Counts from the outside: what was promised for every accepted job, against the API's answers and the ledger."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jangada.client import Client, Job
from tests.chaos.driver import Accepted, patiently
from tests.chaos.rig import ALGORITHM, LEASE_S, Rig

SETTLE_S = 180.0


@dataclass(frozen=True)
class Count:
    """What was found."""

    accepted: int
    succeeded: int
    canceled: int
    runs: int
    """Lines in the ledger: attempts that began."""
    repeated: int
    """Attempts that ran twice under one number: a queue that lost acknowledged writes gave them out again."""
    settled_s: float


def judge(rig: Rig, accepted: Accepted, ledger: Path, *, may_repeat: bool) -> Count:
    """
    Every accepted id has exactly one final status, the output that its input demands, and a run in the ledger.

    *may_repeat*: the queue's servers replicate asynchronously, so an attempt may be
    handed out twice; its outcome is still stored once.
    """
    chance = random.Random(0)
    with rig.client(timeout_s=60) as client:
        began = time.monotonic()
        final = _wait_for_all(client, accepted, chance)
        settled_s = time.monotonic() - began
        ids = {job.id for job in accepted.jobs.values()}
        assert len(ids) == len(accepted.jobs), "two submissions were answered with one job"
        listed = patiently(
            lambda: [job.id for job in client.jobs(algorithm=ALGORITHM, limit=len(ids) * 3 + 10)], chance
        )
        assert sorted(listed) == sorted(ids), f"jobs that nobody was told of: {sorted(set(listed) ^ ids)}"
        # Longer than a lease: whoever believed to hold one has tried to write by now.
        time.sleep(LEASE_S + 1)
        for number, job in final.items():
            again = patiently(lambda job=job: client.get(job.id), chance)  # type: ignore[misc]
            assert _face(again) == _face(job), f"a final job changed: {_face(job)} is now {_face(again)}"
            _check(number, job, number in accepted.canceled)
    runs = _read(ledger)
    _check_runs(runs, final, may_repeat=may_repeat)
    statuses = Counter(job.status for job in final.values())
    return Count(
        accepted=len(ids),
        succeeded=statuses["succeeded"],
        canceled=statuses["canceled"],
        runs=sum(runs.values()),
        repeated=sum(times - 1 for times in runs.values()),
        settled_s=round(settled_s, 1),
    )


def _wait_for_all(client: Client, accepted: Accepted, chance: random.Random) -> dict[int, Job]:
    deadline = time.monotonic() + SETTLE_S
    final: dict[int, Job] = {}
    while len(final) < len(accepted.jobs):
        for number, job in accepted.jobs.items():
            if number not in final:
                found = patiently(lambda job=job: client.get(job.id), chance)  # type: ignore[misc]
                if found.is_final:
                    final[number] = found
        unfinished = [f"{job.id} ({number})" for number, job in accepted.jobs.items() if number not in final]
        assert time.monotonic() < deadline, f"{len(unfinished)} not final after {SETTLE_S} s: {unfinished[:10]}"
        time.sleep(0.2)
    return final


def _face(job: Job) -> tuple[object, ...]:
    return job.id, job.status, job.output, job.attempt, job.completed_at


def _check(number: int, job: Job, may_be_canceled: bool) -> None:
    if job.status == "canceled" and may_be_canceled:
        return
    assert job.status == "succeeded", (number, job.id, job.status, job.error, job.raw["attempts"])
    assert job.output == {"number": number, "attempt": job.attempt}, (number, job.id, job.output, job.attempt)


def _read(ledger: Path) -> Counter[tuple[str, int]]:
    rows = (line.split() for line in ledger.read_text().splitlines())
    return Counter((job_id, int(attempt)) for job_id, attempt in rows)


def _check_runs(runs: Counter[tuple[str, int]], final: dict[int, Job], *, may_repeat: bool) -> None:
    known = {job.id for job in final.values()}
    strangers = {job_id for job_id, _ in runs} - known
    assert not strangers, f"jobs ran that were never accepted: {sorted(strangers)}"
    latest: dict[str, int] = {}
    for job_id, attempt in runs:
        latest[job_id] = max(attempt, latest.get(job_id, 0))
    for job in final.values():
        if job.status != "succeeded":
            continue
        assert (job.id, job.attempt) in runs, f"{job.id}: the attempt that won, {job.attempt}, never ran"
        assert latest[job.id] == job.attempt or may_repeat, (
            f"{job.id}: attempt {latest[job.id]} ran after the one that won, {job.attempt}"
        )
    twice = [run for run, times in runs.items() if times > 1]
    assert may_repeat or not twice, f"attempts ran twice: {twice}"
