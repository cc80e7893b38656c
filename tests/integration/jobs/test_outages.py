"""Real servers that are killed, paused and emptied under their users."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jangada.clock import utc_now
from jangada.errors import ConfigurationError, StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.queue import QueueEntry
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.service import JobService
from jangada.jobs.store_memory import MemoryJobStore
from jangada.jobs.store_mongo import MongoJobStore
from jangada.jobs.sweep import sweep_once
from jangada.mongo_client import open_mongo
from jangada.redis_client import RedisConnections, check_redis, open_redis
from jangada.settings import Settings
from jangada.wiring import Services
from tests.servers import MongoServer, RedisServer, started, until

Q = "toy"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with started(RedisServer(tmp_path / "redis")) as server:
        yield server


@pytest.fixture
def connections(redis: RedisServer) -> Iterator[RedisConnections]:
    made = open_redis(redis.url)
    yield made
    made.close()


def a_job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": new_id("job"),
        "tenant_id": "acme",
        "algorithm": "toy",
        "algorithm_version": "1",
        "deployment": "toy",
        "queue": Q,
        "input": {"n": 1},
        "created_at": utc_now(),
    }
    return Job(**(fields | changes))


def answers(connections: RedisConnections) -> bool:
    try:
        return connections.ping()
    except StoreUnavailableError:
        return False


def test_jobs_and_leases_survive_a_kill_of_redis(redis: RedisServer, connections: RedisConnections) -> None:
    queue, store = RedisJobQueue(connections), MemoryJobStore()
    service = JobService(queue, store)
    execution = JobExecution(queue, store, queue_name=Q, executor_id="exe_1")
    jobs = [service.submit(a_job()) for _ in range(20)]
    held = execution.exchange(want=5)
    redis.kill()
    with pytest.raises(StoreUnavailableError) as away:
        service.submit(a_job())
    assert away.value.retry_after_s
    with pytest.raises(StoreUnavailableError):
        execution.renew(held)
    with pytest.raises(StoreUnavailableError):
        execution.wait(1)
    redis.start()
    until(lambda: answers(connections))
    assert execution.renew(held) == ["held"] * 5
    done = [Completion(lease, output=1) for lease in held]
    while leases := execution.exchange(done, 7):
        done = [Completion(lease, output=1) for lease in leases]
    assert [service.get(job.id, "acme").status for job in jobs] == [JobStatus.SUCCEEDED] * 20


def test_an_emptied_redis_is_filled_again_by_one_sweep(redis: RedisServer, connections: RedisConnections) -> None:
    queue, store = RedisJobQueue(connections), MemoryJobStore()
    service = JobService(queue, store, clock=utc_now)
    jobs = [service.submit(a_job()) for _ in range(50)]
    connections.commands.flushall()
    connections.commands.script_flush()
    assert sweep_once(queue, store, [Q], clock=lambda: utc_now() + timedelta(seconds=10)).requeued == 50
    leases = JobExecution(queue, store, queue_name=Q, executor_id="exe_1").exchange(want=99)
    assert [lease.job_id for lease in leases] == [job.id for job in jobs]


def test_a_blocked_waiter_comes_back_after_a_kill(redis: RedisServer, connections: RedisConnections) -> None:
    queue, store = RedisJobQueue(connections), MemoryJobStore()
    service = JobService(queue, store)
    execution = JobExecution(queue, store, queue_name=Q, executor_id="exe_1")
    job = service.submit(a_job())
    (lease,) = execution.exchange(want=1)
    found: list[Job] = []
    thread = threading.Thread(target=lambda: found.append(service.wait(job.id, "acme", 30)))
    thread.start()
    time.sleep(0.2)
    redis.kill()
    redis.start()
    until(lambda: answers(connections))
    execution.exchange([Completion(lease, output=1)])
    thread.join(20)
    assert found[0].status is JobStatus.SUCCEEDED


def test_many_claimers_at_once_never_share_a_job(connections: RedisConnections) -> None:
    queue = RedisJobQueue(connections)
    queue.enqueue_many(Q, [QueueEntry(f"job_{n:04d}", f"t{n % 3}", b"{}\n1") for n in range(600)])
    claimed: list[str] = []

    def claim() -> None:
        while leases := queue.finish_and_claim(Q, "exe", want=7).leases:
            claimed.extend(lease.job_id for lease in leases)

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(claimed) == [f"job_{n:04d}" for n in range(600)]


def test_an_unsafe_redis_is_refused_with_the_remedy(redis: RedisServer, connections: RedisConnections) -> None:
    check_redis(connections.commands)
    connections.commands.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigurationError, match="maxmemory-policy noeviction"):
        check_redis(connections.commands)
    check_redis(connections.commands, allow_unsafe=True)
    connections.commands.config_set("maxmemory-policy", "noeviction")
    connections.commands.config_set("appendonly", "no")
    with pytest.raises(ConfigurationError, match="appendonly yes"):
        check_redis(connections.commands)


def test_the_functions_refuse_it_as_well(redis: RedisServer, connections: RedisConnections) -> None:
    connections.commands.config_set("appendonly", "no")
    services = Services.from_settings(Settings.from_env({"JANGADA_REDIS_URL": redis.url}))
    with pytest.raises(ConfigurationError, match="appendonly yes"):
        services.queue.stats(Q)
    services.close()
    unsafe = {"JANGADA_REDIS_URL": redis.url, "JANGADA_ALLOW_UNSAFE_REDIS": "true"}
    services = Services.from_settings(Settings.from_env(unsafe))
    assert services.queue.stats(Q).jobs == 0
    services.close()


def test_a_full_redis_refuses_with_a_retryable_error(connections: RedisConnections) -> None:
    connections.commands.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailableError):
        RedisJobQueue(connections).enqueue_many(Q, [QueueEntry("job_1", "acme", b"{}\n1")])


def test_without_mongo_a_submit_is_refused_and_an_outcome_waits(tmp_path: Path, connections: RedisConnections) -> None:
    queue = RedisJobQueue(connections)
    with started(MongoServer(tmp_path / "mongo")) as mongo:
        client = open_mongo(f"{mongo.url}?serverSelectionTimeoutMS=300")
        try:
            store = MongoJobStore(client["jangada"])
            store.create_indexes()
            service = JobService(queue, store)
            execution = JobExecution(queue, store, queue_name=Q, executor_id="exe_1")
            job = service.submit(a_job())
            (lease,) = execution.exchange(want=1)
            mongo.kill()
            with pytest.raises(StoreUnavailableError):
                service.submit(a_job())
            assert queue.stats(Q).jobs == 1
            with pytest.raises(StoreUnavailableError):
                execution.exchange([Completion(lease, output=7)], 1)
            mongo.start()

            def written() -> bool:
                try:
                    execution.exchange([Completion(lease, output=7)], 1)
                except StoreUnavailableError:
                    return False
                return True

            until(written)
            assert service.get(job.id, "acme").output == 7
            assert queue.stats(Q).jobs == 0
        finally:
            client.close()
