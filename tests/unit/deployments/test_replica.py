"""Which replicas are to go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jangada.deployments.deployment import Deployment
from jangada.deployments.replica import STUCK_S, Replica, ReplicaStatus, claimed, to_drain

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LANE = replace(Deployment("ocr", "doc-ocr", "dep.ocr", NOW, NOW).stable, rollout=2)


def replica(ordinal: int, *, rollout: int = 2, status: ReplicaStatus = ReplicaStatus.READY) -> Replica:
    made = claimed(replace(LANE, rollout=rollout), ordinal, "node", now=NOW, until=NOW + timedelta(hours=1))
    return replace(made, status=status, ready_at=NOW if status is ReplicaStatus.READY else None)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_nothing_goes_while_all_are_wanted():
    assert to_drain(LANE, [replica(0), replica(1)], 2, NOW) == []


def test_those_beyond_what_is_wanted_go():
    all_of_them = [replica(0), replica(1), replica(2)]
    assert to_drain(LANE, all_of_them, 1, NOW) == all_of_them[1:]
    assert to_drain(LANE, all_of_them, 0, NOW) == all_of_them


def test_all_go_when_the_deployment_is_gone():
    assert len(to_drain(None, [replica(0), replica(1)], 2, NOW)) == 2


def test_an_old_one_stays_until_the_new_one_in_its_place_is_ready():
    old, new = replica(0, rollout=1), replica(0, status=ReplicaStatus.STARTING)
    assert to_drain(LANE, [old], 1, NOW) == []
    assert to_drain(LANE, [old, new], 1, NOW) == []
    assert to_drain(LANE, [old, replace(new, status=ReplicaStatus.READY, ready_at=NOW)], 1, NOW) == [old]


def test_without_room_for_both_one_old_one_at_a_time_makes_room():
    old = [replica(0, rollout=1), replica(1, rollout=1)]
    assert to_drain(LANE, old, 2, later(STUCK_S - 1)) == []
    assert to_drain(LANE, old, 2, later(STUCK_S)) == [old[0]]
    # The first has been replaced: the second waits for its turn, counted from that success.
    new = replace(replica(0), ready_at=later(30))
    assert to_drain(LANE, [old[1], new], 2, later(31)) == []
    assert to_drain(LANE, [old[1], new], 2, later(30 + STUCK_S)) == [old[1]]


def test_nobody_makes_room_while_a_new_one_starts():
    old = [replica(0, rollout=1), replica(1, rollout=1)]
    assert to_drain(LANE, [*old, replica(0, status=ReplicaStatus.STARTING)], 2, later(100)) == []


def test_what_drains_already_or_is_lost_is_left_alone():
    draining = replica(5, status=ReplicaStatus.DRAINING)
    lost = replace(replica(6), lease_until=NOW)
    assert to_drain(LANE, [draining, lost], 0, NOW) == []
