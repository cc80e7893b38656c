"""What every `DeploymentStore` promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jangada.deployments.deployment import (
    Batching,
    Canary,
    Deployment,
    GpuNeed,
    Mode,
    Placement,
    Prices,
    Resources,
    Timeouts,
    WarmWindow,
)
from jangada.deployments.node import FORGOTTEN_AFTER, Engine, Gpu, Node
from jangada.deployments.plan import Plan
from jangada.deployments.replica import ReplicaStatus, Wanted
from jangada.deployments.scaling import Load, Reason, ScalingMemory, ScalingPolicy, decide
from jangada.deployments.store import DeploymentStore
from jangada.deployments.store_memory import MemoryDeploymentStore
from jangada.deployments.store_mongo import MongoDeploymentStore
from tests.contract.stores import STORES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
UNTIL = NOW + timedelta(seconds=6)

DEPLOYMENT = Deployment(
    name="acme-ocr",
    algorithm="doc-ocr",
    queue="dep.acme-ocr",
    created_at=NOW,
    updated_at=NOW,
    tenant_id="acme",
    algorithm_version="1.2.0",
    model="ocr@prod",
    mode=Mode.ONLINE,
    scaling=ScalingPolicy(minimum=1, maximum=4, buffer=1, idle_s=30.5, step=2),
    warm=(WarmWindow("0 8 * * 1-5", 3600.0, 2, "America/Sao_Paulo"),),
    resources=Resources(500, 256, GpuNeed(1, 24576, ("A100",))),
    placement=Placement({"zone.example/$x": "a"}, allows_untrusted=True),
    batching=Batching(8, 5, is_adaptive=True),
    timeouts=Timeouts(60.0, 20.0, 10.0),
    prices=Prices(0.5, 2.25),
    canary=Canary("2.0.0", 0.1, 5, NOW),
    previous_version="1.1.0",
    is_default=True,
    is_paused=True,
    generation=7,
    rollout=3,
    rolled_at=NOW,
)
NODE = Node(
    id="node_1",
    name="big",
    cpu_millicores=8000,
    memory_mib=16384,
    lease_until=UNTIL,
    gpus=(Gpu("GPU-1", "NVIDIA A100", 40960),),
    labels={"zone.example/$x": "a"},
    engines=(Engine.PROCESS, Engine.DOCKER),
    algorithms={"doc-ocr": ("1.2.0",)},
)
LANE = DEPLOYMENT.stable


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> DeploymentStore:
    if request.param == "memory":
        return MemoryDeploymentStore()
    database: Any = request.getfixturevalue(f"{request.param}_database")
    made = MongoDeploymentStore(database)
    made.create_indexes()
    return made


def want(store: DeploymentStore, replicas: int, lane: str = LANE.name) -> None:
    store.put_wanted(Wanted(lane, replicas, Reason.BACKLOG, NOW))


def test_a_deployment_comes_back_as_it_was(store: DeploymentStore):
    assert store.insert(DEPLOYMENT)
    assert store.get("acme-ocr") == DEPLOYMENT
    assert store.get("other") is None


def test_a_name_is_taken_once(store: DeploymentStore):
    assert store.insert(DEPLOYMENT)
    assert not store.insert(replace(DEPLOYMENT, algorithm="other"))
    assert store.get("acme-ocr") == DEPLOYMENT


def test_deployments_are_listed_by_name(store: DeploymentStore):
    for name in ("b", "c", "a"):
        store.insert(replace(DEPLOYMENT, name=name))
    assert [one.name for one in store.page()] == ["a", "b", "c"]


def test_only_who_has_seen_the_present_generation_may_change_it(store: DeploymentStore):
    store.insert(DEPLOYMENT)
    assert not store.replace(replace(DEPLOYMENT, generation=9, is_paused=False), generation=6)
    assert store.get("acme-ocr") == DEPLOYMENT
    assert store.replace(replace(DEPLOYMENT, generation=8, is_paused=False), generation=7)
    assert not store.replace(replace(DEPLOYMENT, generation=8), generation=7)
    found = store.get("acme-ocr")
    assert found is not None
    assert (found.generation, found.is_paused) == (8, False)
    assert not store.replace(replace(DEPLOYMENT, name="other"), generation=7)


def test_deleting_takes_what_is_wanted_along_and_honours_the_generation(store: DeploymentStore):
    store.insert(DEPLOYMENT)
    want(store, 2)
    want(store, 1, "acme-ocr.canary")
    want(store, 1, "other")
    assert not store.delete("acme-ocr", generation=6)
    assert store.delete("acme-ocr", generation=7)
    assert not store.delete("acme-ocr")
    assert set(store.wanted()) == {"other"}


def test_what_is_wanted_comes_back_with_its_memory(store: DeploymentStore):
    policy, load = ScalingPolicy(maximum=9, target_s=10), Load(queued=40, arrivals=40, run_s=1.0)
    memory = ScalingMemory()
    for at in range(4):
        memory = decide(policy, load, memory, float(at)).memory
    wanted = Wanted("acme-ocr", 4, Reason.BACKLOG, NOW, 1.5, {"spawn": 0.4}, memory)
    store.put_wanted(replace(wanted, replicas=1, start_s=None))
    store.put_wanted(wanted)
    assert store.wanted() == {"acme-ocr": wanted}


def test_nodes_register_renew_and_leave(store: DeploymentStore):
    assert not store.renew_node("node_1", UNTIL)
    store.put_node(NODE)
    store.put_node(replace(NODE, id="node_0", name="an other", algorithms=None))
    assert store.nodes() == [replace(NODE, id="node_0", name="an other", algorithms=None), NODE]
    later = UNTIL + timedelta(seconds=3)
    assert store.renew_node("node_1", later)
    assert store.nodes()[1] == replace(NODE, lease_until=later)
    store.remove_node("node_1")
    assert [node.id for node in store.nodes()] == ["node_0"]


def test_nobody_claims_what_nobody_wants(store: DeploymentStore):
    assert store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL) is None
    want(store, 0)
    assert store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL) is None


def test_each_place_is_held_once(store: DeploymentStore):
    want(store, 2)
    first = store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL, gpus=("GPU-1",))
    second = store.claim_replica(LANE, "node_2", now=NOW, until=UNTIL)
    assert first is not None
    assert second is not None
    assert (first.ordinal, second.ordinal, first.gpus) == (0, 1, ("GPU-1",))
    assert store.claim_replica(LANE, "node_3", now=NOW, until=UNTIL) is None
    assert store.replicas() == [first, second]
    assert store.replicas("acme-ocr") == [first, second]
    assert store.replicas("acme-ocr.canary") == []


def test_agents_that_race_never_get_more_than_is_wanted(store: DeploymentStore):
    want(store, 5)
    with ThreadPoolExecutor(8) as threads:
        got = list(
            threads.map(
                lambda at: store.claim_replica(LANE, f"node_{at % 4}", now=NOW, until=UNTIL),
                range(24),
            )
        )
    # An agent that lost a race for one place goes on to the next: all places end up held.
    assert sorted(one.ordinal for one in got if one is not None) == [0, 1, 2, 3, 4]
    assert len({one.id for one in store.replicas()}) == 5


def test_one_at_a_time_changes_a_tenants_wishes(store: DeploymentStore):
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda at: store.lock_wishes("acme", f"h{at}", now=NOW, until=UNTIL), range(8)))
    assert sorted(got) == [False] * 7 + [True]
    assert store.lock_wishes("globex", "other", now=NOW, until=UNTIL)
    store.unlock_wishes("acme", "nobody")
    assert not store.lock_wishes("acme", "next", now=NOW, until=UNTIL)
    store.unlock_wishes("acme", f"h{got.index(True)}")
    assert store.lock_wishes("acme", "next", now=NOW, until=UNTIL)


def test_who_holds_a_tenants_wishes_too_long_holds_them_no_more(store: DeploymentStore):
    assert store.lock_wishes("acme", "dead", now=NOW, until=UNTIL)
    assert not store.lock_wishes("acme", "next", now=UNTIL - timedelta(milliseconds=1), until=UNTIL)
    assert store.lock_wishes("acme", "next", now=UNTIL, until=UNTIL + timedelta(seconds=6))
    store.unlock_wishes("acme", "dead")
    assert not store.lock_wishes("acme", "third", now=UNTIL, until=UNTIL + timedelta(seconds=6))


def test_a_place_whose_lease_ran_out_is_taken_by_one_other(store: DeploymentStore):
    want(store, 1)
    dead = store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL)
    assert dead is not None
    assert store.claim_replica(LANE, "node_2", now=UNTIL - timedelta(milliseconds=1), until=UNTIL) is None
    later = UNTIL + timedelta(seconds=6)
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda at: store.claim_replica(LANE, f"n{at}", now=UNTIL, until=later), range(8)))
    taken = [one for one in got if one is not None]
    assert len(taken) == 1
    assert store.replicas() == taken
    assert store.renew_replicas("node_1", later) == []
    assert not store.update_replica(dead, ReplicaStatus.READY)
    assert not store.release_replica(dead)


def test_a_new_rollout_has_places_of_its_own(store: DeploymentStore):
    want(store, 1)
    old = store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL)
    new = store.claim_replica(replace(LANE, rollout=4), "node_1", now=NOW, until=UNTIL)
    assert store.replicas() == [new, old]


def test_renewing_pushes_the_leases_of_the_node_alone(store: DeploymentStore):
    want(store, 2)
    mine = store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL)
    theirs = store.claim_replica(LANE, "node_2", now=NOW, until=UNTIL)
    assert mine is not None
    later = UNTIL + timedelta(seconds=2)
    assert store.renew_replicas("node_1", later) == [replace(mine, lease_until=later)]
    assert store.replicas() == [replace(mine, lease_until=later), theirs]


def test_a_replica_tells_how_far_it_is(store: DeploymentStore):
    want(store, 1)
    made = store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL)
    assert made is not None
    assert store.update_replica(made, ReplicaStatus.READY, ready_at=NOW, phases_s={"spawn": 0.4}, slots=2)
    assert store.update_replica(made, ReplicaStatus.READY, executor_id="exe_1")
    ready = replace(
        made,
        status=ReplicaStatus.READY,
        ready_at=NOW,
        phases_s={"spawn": 0.4},
        slots=2,
        executor_id="exe_1",
    )
    assert store.replicas() == [ready]
    assert ready.seen(NOW) is ReplicaStatus.READY
    assert ready.seen(UNTIL) is ReplicaStatus.LOST
    assert store.release_replica(made)
    assert store.replicas() == []
    assert store.claim_replica(LANE, "node_2", now=NOW, until=UNTIL) is not None


def test_a_dead_nodes_replicas_are_freed_and_the_node_forgotten_much_later(store: DeploymentStore):
    store.put_node(NODE)
    want(store, 2)
    store.claim_replica(LANE, "node_1", now=NOW, until=UNTIL)
    alive = store.claim_replica(LANE, "node_2", now=NOW, until=UNTIL + timedelta(seconds=9))
    assert store.free_replicas(UNTIL - timedelta(milliseconds=1)) == 0
    assert store.free_replicas(UNTIL) == 1
    assert store.replicas() == [alive]
    assert [node.id for node in store.nodes()] == ["node_1"]
    store.free_replicas(UNTIL + FORGOTTEN_AFTER)
    assert store.nodes() == []


def test_plans_bind_each_tenant_once(store: DeploymentStore):
    small = Plan("small", ("acme", "globex"), max_deployments=1, max_gpus=0, allows_online=False)
    store.put_plan(small)
    store.put_plan(Plan("big", ("acme",)))
    assert store.plans() == [Plan("big", ("acme",)), replace(small, tenants=("globex",))]
    store.put_plan(replace(small, max_deployments=2))
    assert store.plans() == [Plan("big", ()), replace(small, max_deployments=2)]
    assert store.delete_plan("big")
    assert not store.delete_plan("big")
