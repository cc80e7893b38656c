"""Which missing replicas a node takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jangada.deployments.deployment import Deployment, GpuNeed, Placement, Resources
from jangada.deployments.node import Gpu, Node
from jangada.deployments.placement import Room
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted
from jangada.deployments.scaling import Reason, ScalingMemory, ScalingPolicy
from jangada.node.packing import IDLE_S, Lack, Wishes, choose, lacks, make_room, room_left, why_unmet

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=6)


def node(name="n1", cpu=4000, memory=8192, gpus=(), **facts):
    return Node(name, name, cpu, memory, LATER, gpus=gpus, **facts)


def deployment(name="d", cpu=1000, memory=512, gpu=None, **facts):
    return Deployment(
        name, "echo", f"dep.{name}", NOW, NOW, resources=Resources(cpu, memory, gpu), **facts
    )  # fmt: skip


def lack(one, missing=1, has=0):
    return Lack(one, one.stable, missing, has)


def replica(one, ordinal=0, node_id="n1", **facts):
    fields = {"id": f"rep_{ordinal}", "rollout": one.rollout, "lease_until": LATER, "started_at": NOW} | facts
    return Replica(lane=one.name, deployment=one.name, ordinal=ordinal, node_id=node_id, **fields)


def wishes(deployments, wanted=(), replicas=(), nodes=()):
    return Wishes(
        list(deployments),
        {name: Wanted(name, count, Reason.BACKLOG, NOW) for name, count in dict(wanted).items()},
        list(replicas),
        list(nodes),
    )


def named(claims):
    return [claim.lane.name for claim in claims]


def test_a_lone_node_takes_what_fits_and_no_more():
    one = deployment(cpu=1500)
    assert len(choose(node(), Room(4000, 8192), [lack(one, missing=5)], [node()])) == 2


def test_nodes_share_what_is_missing():
    one = deployment()
    nodes = [node("n1"), node("n2")]
    assert [len(choose(each, Room(4000, 8192), [lack(one, missing=5)], nodes)) for each in nodes] == [3, 3]
    assert len(choose(nodes[0], Room(4000, 8192), [lack(one, missing=1)], nodes)) == 1


def test_a_node_that_could_not_run_it_has_no_share():
    one = deployment(placement=Placement(labels={"zone": "a"}))
    here, there = node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "b"})
    assert len(choose(here, Room(4000, 8192), [lack(one, missing=4)], [here, there])) == 4
    assert choose(there, Room(4000, 8192), [lack(one, missing=4)], [here, there]) == []


def test_a_lane_without_any_replica_comes_before_the_tenth_of_another():
    crowd, first = deployment("a"), deployment("z")
    claims = choose(node(), Room(1000, 8192), [lack(crowd, missing=3, has=7), lack(first)], [node()])
    assert named(claims) == ["z"]


def test_lanes_take_turns():
    claims = choose(
        node(), Room(4000, 8192), [lack(deployment("a"), missing=4), lack(deployment("b"), missing=4)], [node()]
    )
    assert named(claims) == ["a", "b", "a", "b"]


def test_what_needs_a_gpu_gets_the_smallest_that_will_do_and_each_device_once():
    gpus = (Gpu("GPU-big", "NVIDIA H200", 143_000), Gpu("GPU-small", "NVIDIA L4", 23_000))
    here = node(gpus=gpus)
    one = deployment(gpu=GpuNeed(min_memory_mib=16_000))
    claims = choose(here, Room(4000, 8192, gpus), [lack(one, missing=3)], [here])
    assert [claim.gpus for claim in claims] == [("GPU-small",), ("GPU-big",)]


def test_what_needs_most_gpus_is_placed_first():
    gpus = tuple(Gpu(f"GPU-{number}", "NVIDIA L4", 23_000) for number in range(2))
    here = node(gpus=gpus)
    single, double = deployment("a", gpu=GpuNeed()), deployment("b", gpu=GpuNeed(count=2))
    claims = choose(here, Room(4000, 8192, gpus), [lack(single), lack(double)], [here])
    assert [(claim.lane.name, claim.gpus) for claim in claims] == [("b", ("GPU-0", "GPU-1"))]


def test_what_no_gpu_here_can_do_is_left_to_others():
    gpus = (Gpu("GPU-0", "NVIDIA L4", 23_000),)
    here = node(gpus=gpus)
    one = deployment(gpu=GpuNeed(type_any_of=("H200",)))
    assert choose(here, Room(4000, 8192, gpus), [lack(one)], [here]) == []


def test_missing_is_what_is_wanted_and_nobody_holds_at_this_rollout():
    one = deployment()
    held = [
        replica(one, 0),
        replica(one, 1, lease_until=NOW),  # lost
        replica(one, 2, rollout=0),  # to be replaced
        replica(one, 7),  # beyond what is wanted
    ]
    (found,) = lacks(wishes([one], {"d": 4}, held), NOW)
    assert (found.missing, found.has) == (3, 1)
    assert lacks(wishes([one], {"d": 1}, held), NOW) == []
    assert lacks(wishes([one]), NOW) == []


def test_room_is_what_live_replicas_of_the_node_leave():
    gpus = (Gpu("GPU-0", "NVIDIA L4", 23_000), Gpu("GPU-1", "NVIDIA L4", 23_000))
    one = deployment(cpu=1500, memory=1024)
    held = [replica(one, 0, gpus=("GPU-1",)), replica(one, 1, node_id="n2"), replica(one, 2, lease_until=NOW)]
    assert room_left(node(gpus=gpus), wishes([one], replicas=held), NOW) == Room(2500, 7168, gpus[:1])


def test_a_replica_whose_deployment_is_gone_keeps_its_gpus_until_it_ended():
    gpus = (Gpu("GPU-0", "NVIDIA L4", 23_000),)
    held = [replica(deployment(), gpus=("GPU-0",))]
    assert room_left(node(gpus=gpus), wishes([], replicas=held), NOW) == Room(4000, 8192, ())


def test_why_a_wish_is_not_met_says_what_is_missing_or_that_all_is_full():
    one = deployment(gpu=GpuNeed(min_memory_mib=24 * 1024))
    small = node(gpus=(Gpu("GPU-0", "NVIDIA L4", 23_000),))
    assert why_unmet(lack(one), wishes([one], nodes=[small]), NOW) == "no node offers gpu ≥ 24 GiB"
    plain = deployment(cpu=3000)
    full = wishes([plain], replicas=[replica(plain)], nodes=[node()])
    assert "full" in str(why_unmet(lack(plain), full, NOW))
    assert why_unmet(lack(plain), wishes([plain], nodes=[node()]), NOW) is None
    dead = wishes([plain], nodes=[replace(node(), lease_until=NOW)])
    assert "no node is registered" in str(why_unmet(lack(plain), dead, NOW))


GPU = (Gpu("GPU-0", "NVIDIA L4", 23_000),)
LONG_AGO = NOW - timedelta(seconds=60)


def sharing(busy_s=60.0, minimum=0, **facts):
    """One GPU, held by a replica of "a" that had its last job *busy_s* ago; a job for "b" waits."""
    a = deployment("a", gpu=GpuNeed(), scaling=ScalingPolicy(minimum=minimum))
    b = deployment("b", gpu=GpuNeed())
    held = replica(a, gpus=("GPU-0",), **{"status": ReplicaStatus.READY, "ready_at": LONG_AGO} | facts)
    found = wishes([a, b], {"a": 1, "b": 1}, [held], [node(gpus=GPU)])
    found.wanted["a"] = replace(found.wanted["a"], memory=ScalingMemory(busy_at=NOW.timestamp() - busy_s))
    found.wanted["b"] = replace(found.wanted["b"], memory=ScalingMemory(busy_at=NOW.timestamp()))
    return found


def test_models_share_a_gpu_by_turns_and_the_idle_one_goes():
    found = sharing()
    assert [one.lane for one in make_room(found.nodes[0], found, lacks(found, NOW), NOW)] == ["a"]


def test_what_works_what_is_to_stay_and_what_has_just_come_does_not_go():
    for found in (
        sharing(busy_s=IDLE_S / 2),
        sharing(minimum=1),
        sharing(ready_at=NOW),
        sharing(status=ReplicaStatus.STARTING),
        sharing(node_id="n2"),
    ):
        assert make_room(found.nodes[0], found, lacks(found, NOW), NOW) == []


def test_nothing_goes_for_a_lane_that_no_job_waits_for_or_that_has_a_replica():
    found = sharing()
    (missing,) = lacks(found, NOW)
    assert make_room(found.nodes[0], found, [replace(missing, is_busy=False)], NOW) == []
    assert make_room(found.nodes[0], found, [replace(missing, has=1)], NOW) == []


def test_nothing_goes_where_that_would_not_make_room_enough():
    found = sharing()
    big = deployment("b", gpu=GpuNeed(count=2))
    assert make_room(found.nodes[0], found, [lack(big)], NOW) == []
