"""What every `IdempotencyStore` promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from jangada.clock import utc_now
from jangada.errors import IdempotencyInProgressError, IdempotencyKeyReusedError
from jangada.jobs.idempotency import IdempotencyStore, MemoryIdempotencyStore, again, made
from jangada.jobs.idempotency_mongo import MongoIdempotencyStore
from tests.contract.stores import STORES


@dataclass
class Kept:
    store: IdempotencyStore
    jobs: Any
    now: list[datetime] = field(default_factory=list)

    def turn(self, seconds: float) -> None:
        self.now[0] += timedelta(seconds=seconds)

    def begin(self, body: str = "b1", job_id: str | None = None, key: str = "k", tenant: str = "acme") -> bytes | None:
        return self.store.begin(tenant, "POST /v1/jobs", key, body, job_id=job_id)

    def remember(self, memo: bytes, body: str = "b1") -> None:
        self.store.remember("acme", "POST /v1/jobs", "k", body, memo)


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest) -> Kept:
    now = [utc_now()]
    if request.param == "memory":
        jobs: set[str] = set()
        store: IdempotencyStore = MemoryIdempotencyStore(clock=lambda: now[0], exists=jobs.__contains__)
        return Kept(store, jobs, now)
    database = request.getfixturevalue(f"{request.param}_database")
    made_store = MongoIdempotencyStore(database, clock=lambda: now[0])
    made_store.create_indexes()

    class Jobs:
        def add(self, job_id: str) -> None:
            database["jobs"].insert_one({"_id": job_id})

    return Kept(made_store, Jobs(), now)


def test_the_first_goes_on_and_the_second_gets_its_memo(kept: Kept) -> None:
    assert kept.begin() is None
    kept.remember(b"\x00answer")
    assert kept.begin() == b"\x00answer"


def test_while_the_first_is_busy_the_second_is_told_so(kept: Kept) -> None:
    kept.begin()
    with pytest.raises(IdempotencyInProgressError):
        kept.begin()


def test_another_body_is_refused_at_any_time(kept: Kept) -> None:
    kept.begin()
    with pytest.raises(IdempotencyKeyReusedError):
        kept.begin("b2")
    kept.remember(b"a")
    with pytest.raises(IdempotencyKeyReusedError):
        kept.begin("b2")


def test_keys_are_each_tenants_own(kept: Kept) -> None:
    kept.begin()
    assert kept.begin("b2", tenant="other") is None
    assert kept.begin("b2", key="k2") is None


def test_a_forgotten_key_is_as_good_as_new(kept: Kept) -> None:
    kept.begin()
    kept.store.forget("acme", "POST /v1/jobs", "k")
    assert kept.begin("b2") is None


def test_a_dead_first_caller_is_taken_over_after_a_while(kept: Kept) -> None:
    kept.begin(job_id="job_1")
    kept.turn(11)
    assert kept.begin(job_id="job_2") == again("job_1")
    with pytest.raises(IdempotencyInProgressError):
        kept.begin(job_id="job_3")


def test_one_that_died_after_it_made_its_job_is_answered_with_that_job(kept: Kept) -> None:
    kept.begin(job_id="job_1")
    kept.jobs.add("job_1")
    assert kept.begin(job_id="job_2") == made("job_1")
    kept.turn(60)
    assert kept.begin(job_id="job_2") == made("job_1")


def test_after_a_day_the_key_is_free_again(kept: Kept) -> None:
    kept.begin()
    kept.remember(b"a")
    kept.turn(24 * 3600 - 1)
    assert kept.begin() == b"a"
    kept.turn(2)
    assert kept.begin("b2") is None


def test_purge_removes_what_is_older_than_a_day(kept: Kept) -> None:
    kept.begin()
    assert kept.store.purge() == 0
    kept.turn(24 * 3600 + 1)
    assert kept.store.purge() == 1
    assert kept.begin("b2") is None


def test_after_a_release_the_next_goes_on_at_once_with_the_same_job(kept: Kept) -> None:
    assert kept.begin(job_id="job_1") is None
    kept.store.release("acme", "POST /v1/jobs", "k")
    assert kept.begin(job_id="job_2") == again("job_1")
    with pytest.raises(IdempotencyInProgressError):
        kept.begin(job_id="job_3")
    kept.jobs.add("job_1")
    assert kept.begin(job_id="job_4") == made("job_1")


def test_a_release_of_what_is_not_there_is_nothing(kept: Kept) -> None:
    kept.store.release("acme", "POST /v1/jobs", "unknown")
    assert kept.begin(key="unknown", job_id="job_1") is None
