"""Which of the jobs that wait in a slot run together, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jangada.algorithms.batching import Batching
from jangada.executor.batch import Batch, Gathering
from jangada.executor.running import SlotJob, StopReason
from tests.unit.executor.made import slot_job

PAIR = Batching(2, 100)


def waiting(job_id: str, arrived: float, **facts: Any) -> SlotJob:
    job = slot_job(job_id)
    job.arrived = arrived
    for name, value in facts.items():
        setattr(job, name, value)
    return job


def again(job: SlotJob, outcome: str) -> SlotJob:
    job.lease = replace(job.lease, attempt=2, history=({"number": 1, "outcome": outcome, "error": None},))
    return job


def test_a_full_batch_goes_at_once_and_a_partial_one_when_the_wait_is_over() -> None:
    gathering = Gathering(PAIR)
    first, second, third = (waiting(name, at) for name, at in (("a", 10.0), ("b", 10.05), ("c", 10.06)))
    assert gathering.choose([first], 10.05) == []
    assert gathering.due([first]) == 10.1
    assert gathering.choose([first], 10.11) == [first]
    assert gathering.choose([first, second, third], 10.06) == [first, second]


def test_one_whose_files_are_not_in_place_is_not_waited_for() -> None:
    gathering = Gathering(PAIR)
    absent, ready = waiting("a", 10.0, is_prepared=False), waiting("b", 10.05)
    assert gathering.due([absent]) is None
    assert gathering.choose([absent, ready], 10.1) == []
    assert gathering.choose([absent, ready], 10.16) == [ready]


def test_one_that_went_wrong_with_others_goes_alone_and_first() -> None:
    gathering = Gathering(PAIR)
    fine, suspect = waiting("a", 10.0), waiting("b", 10.0, alone=True)
    assert gathering.choose([fine, suspect], 10.0) == [suspect]


def test_one_whose_last_attempt_killed_its_child_goes_alone_and_one_that_was_handed_back_does_not() -> None:
    gathering = Gathering(PAIR)
    deadly, back = again(waiting("a", 10.0), "died"), again(waiting("b", 10.0), "handed_back")
    assert gathering.choose([deadly, waiting("c", 10.0)], 10.0) == [deadly]
    assert len(gathering.choose([back, waiting("c", 10.0)], 10.0)) == 2


def test_without_run_batch_there_is_room_for_one_and_nothing_is_waited_for() -> None:
    gathering = Gathering(PAIR)
    gathering.is_possible = False
    first, second = waiting("a", 10.0), waiting("b", 10.0)
    assert gathering.room == 1
    assert gathering.choose([first, second], 10.0) == [first]


def test_printed_lines_are_everybodys_of_one_tenant_and_nobodys_of_several() -> None:
    one, two = waiting("a", 0.0), waiting("b", 0.0)
    assert list(Batch([one, two], 0.0).hearers()) == [one, two]
    two.lease = replace(two.lease, tenant_id="ten_2")
    mixed = Batch([one, two], 0.0)
    assert mixed.note is None
    assert list(mixed.hearers()) == []
    assert mixed.note is not None
    assert mixed.note.startswith("1 printed lines are not shown")


def test_a_batch_is_unwanted_when_every_job_left_of_it_was_stopped() -> None:
    one, two = waiting("a", 0.0, stop=StopReason.CANCEL), waiting("b", 0.0)
    batch = Batch([one, two], 0.0)
    assert not batch.is_unwanted
    batch.left.remove(two)
    assert batch.is_unwanted
