"""The scaler over a queue, a ledger and a store in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jangada.clock import to_ms
from jangada.deployments.deployment import Canary, Deployment, WarmWindow
from jangada.deployments.ledger import Entry, Used
from jangada.deployments.ledger_memory import MemoryUsageLedger
from jangada.deployments.replica import ReplicaStatus, Wanted
from jangada.deployments.scaler import Scaler
from jangada.deployments.scaling import Reason, ScalingPolicy
from jangada.deployments.store_memory import MemoryDeploymentStore
from jangada.jobs.queue import QueueEntry
from jangada.jobs.queue_memory import MemoryJobQueue

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
WISH = Deployment("ocr", "doc-ocr", "dep.ocr", NOW, NOW, scaling=ScalingPolicy(maximum=8, idle_s=60))


class Stage:
    """A scaler with a hand-turned clock, and an agent that starts what is wanted at once."""

    def __init__(self, wish: Deployment = WISH) -> None:
        self.now = NOW
        self.wish = wish
        self.store = MemoryDeploymentStore()
        self.queue = MemoryJobQueue(now_ms=lambda: to_ms(self.now))
        self.ledger = MemoryUsageLedger()
        self.scaler = Scaler(self.store, self.queue, self.ledger, clock=lambda: self.now)
        self.jobs = 0

    def submit(self, jobs: int, queue: str = "dep.ocr") -> None:
        self.queue.enqueue_many(queue, [QueueEntry(f"job_{self.jobs + at}", "acme", b"{}") for at in range(jobs)])
        self.jobs += jobs

    def turn(self, after_s: float = 1.0) -> Wanted:
        self.now += timedelta(seconds=after_s)
        return self.scaler.turn([self.wish])["ocr"]

    def start_all(self, took_s: float = 2.0) -> None:
        until = self.now + timedelta(hours=1)
        while made := self.store.claim_replica(self.wish.stable, "node_1", now=self.now, until=until):
            ready_at = self.now + timedelta(seconds=took_s)
            self.store.update_replica(made, ReplicaStatus.READY, ready_at=ready_at, phases_s={"spawn": took_s})

    def work_off(self, seconds_each: float = 1.0) -> None:
        claimed = self.queue.finish_and_claim("dep.ocr", "exe", want=1000)
        self.queue.drop("dep.ocr", [lease.job_id for lease in claimed.leases])
        used = Used(attempts=len(claimed.leases), run_s=seconds_each * len(claimed.leases))
        self.ledger.append(
            [
                Entry(
                    f"e{self.now}",
                    self.now,
                    "acme",
                    "ocr",
                    "dep.ocr",
                    "doc-ocr",
                    "1",
                    "exe",
                    used,
                    None,
                    (seconds_each,),
                )
            ]
        )


def test_zero_to_one_and_back_with_the_reason_and_since_when():
    stage = Stage()
    assert (stage.turn().replicas, stage.turn().replicas) == (0, 0)
    stage.submit(1)
    first = stage.turn()
    assert (first.replicas, first.reason, first.at) == (1, Reason.FIRST_JOB, stage.now)
    stage.start_all()
    stage.work_off()
    kept = stage.turn()
    assert (kept.replicas, kept.reason, kept.at) == (1, Reason.FIRST_JOB, first.at)
    assert stage.turn(50).replicas == 1
    gone = stage.turn(11)
    assert (gone.replicas, gone.reason) == (0, Reason.IDLE)


def test_the_backlog_in_seconds_decides_with_the_run_times_of_the_ledger():
    stage = Stage()
    stage.submit(1)
    stage.turn()
    stage.start_all()
    stage.work_off(seconds_each=4.0)
    stage.submit(20)
    assert stage.turn().replicas == 6  # 80 s of work within 10 s and one run


def test_a_lane_is_decided_once_a_turn_whoever_asks_unless_it_is_urgent():
    stage = Stage()
    other = Scaler(stage.store, stage.queue, stage.ledger, clock=lambda: stage.now)
    assert stage.scaler.turn([WISH])
    assert other.turn([WISH]) == {}
    stage.submit(1)
    assert other.turn([WISH], urgent={"ocr"})["ocr"].replicas == 1


def test_the_last_start_is_remembered_after_the_replica_is_gone():
    stage = Stage()
    stage.submit(1)
    stage.turn()
    stage.start_all(took_s=3.5)
    stage.turn()
    for one in stage.store.replicas():
        stage.store.release_replica(one)
    wanted = stage.turn()
    assert (wanted.start_s, wanted.phases_s) == (3.5, {"spawn": 3.5})


def test_a_warm_window_lifts_the_minimum_and_never_above_the_maximum():
    stage = Stage(replace(WISH, warm=(WarmWindow("0 12 * * *", 600.0, 20),)))
    assert (stage.turn().replicas, stage.turn(700).replicas) == (8, 0)
    assert Stage().turn().replicas == 0


def test_a_paused_one_has_none():
    stage = Stage()
    stage.submit(5)
    assert stage.turn().replicas > 0
    stage.wish = replace(WISH, is_paused=True)
    paused = stage.turn()
    assert (paused.replicas, paused.reason) == (0, Reason.PAUSED)


def test_a_canary_is_scaled_by_its_own_queue():
    wish = replace(WISH, canary=Canary("2.0.0", 0.1))
    stage = Stage(wish)
    stage.submit(1, queue="dep.ocr.canary")
    stage.now += timedelta(seconds=1)
    wanted = stage.scaler.turn([wish])
    assert {name: one.replicas for name, one in wanted.items()} == {"ocr": 0, "ocr.canary": 1}


def test_a_canary_that_ended_is_forgotten_once_its_queue_is_empty_and_no_submit_can_be_on_its_way():
    stage = Stage(replace(WISH, algorithm_version="1.0.0", canary=Canary("1.0.0", 0.0, 5, NOW)))
    stage.store.insert(stage.wish)
    stage.submit(1, queue="dep.ocr.canary")

    def canary_after(seconds: float) -> Canary | None:
        stage.turn(seconds)
        found = stage.store.get("ocr")
        assert found is not None
        return found.canary

    assert canary_after(120) is not None
    stage.queue.drop("dep.ocr.canary", ["job_0"])
    assert canary_after(1) is None


def test_a_canary_that_ended_just_now_is_kept_a_while_though_its_queue_is_empty():
    stage = Stage(replace(WISH, algorithm_version="1.0.0", canary=Canary("1.0.0", 0.0, 5, NOW)))
    stage.store.insert(stage.wish)
    stage.turn(30)
    found = stage.store.get("ocr")
    assert found is not None
    assert found.canary is not None


def test_an_emptied_queue_does_not_look_like_a_crowd():
    stage = Stage(replace(WISH, scaling=ScalingPolicy(maximum=50, target_s=10)))
    stage.submit(500)
    stage.turn()
    stage.queue.drop("dep.ocr", [f"job_{at}" for at in range(500)])
    stage.submit(20)
    assert stage.turn(2).replicas == 3  # 20 s of work, within 10 s and a run less a start


def test_what_has_ended_and_is_not_written_yet_takes_no_replica_away():
    stage = Stage(replace(WISH, scaling=ScalingPolicy(maximum=50, target_s=10, cooldown_s=30)))
    stage.submit(100)
    stage.turn()
    stage.start_all()
    before = stage.turn().replicas
    # They ended, and their executor has written nothing yet.
    stage.queue.drop("dep.ocr", [f"job_{at}" for at in range(95)])
    assert [stage.turn().replicas for _ in range(10)] == [before] * 10
    # It never will: they were taken out of the queue.
    assert stage.turn(2).replicas < before


def test_a_short_job_that_no_look_saw_keeps_its_replica():
    stage = Stage()
    stage.submit(1)
    stage.turn()
    stage.start_all()
    stage.work_off(0.01)
    stage.turn()
    for _ in range(3):
        stage.submit(1)
        stage.work_off(0.01)
        assert stage.turn(40).replicas == 1
    assert stage.turn(61).replicas == 0


def test_quiet_lanes_cost_no_writes():
    stage = Stage()
    stage.turn()
    written: list[Wanted] = []
    stage.store.put_wanted = written.append  # type: ignore[method-assign]
    for _ in range(5):
        stage.turn()
    assert written == []
