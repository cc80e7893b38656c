"""Agents on real servers with real executors: what is wanted is there, and goes again."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from jangada.algorithms.batching import Batching
from jangada.algorithms.manifest import find_versions
from jangada.clock import utc_now
from jangada.deployments.deployment import Canary, Deployment, GpuNeed, Resources, Timeouts
from jangada.deployments.replica import ReplicaStatus, claimed
from jangada.executor.devices import NvidiaDevices
from jangada.node.engine import EngineError, Order
from jangada.node.engine_process import ProcessEngine
from tests.fake_gpu import FakeGpus
from tests.integration.node.rig import TOYS, Rig
from tests.servers import until


def test_the_first_job_brings_a_replica_and_idleness_takes_it_away(rig: Rig):
    one = rig.deploy("light", scaling={"idle_s": 1.0})
    agent = rig.agent()
    until(rig.store.nodes, 30)
    assert not rig.live("light")
    job = rig.final(rig.submit(one, {"value": 1}))
    assert (job.status.value, job.output["value"]) == ("succeeded", 1)
    (replica,) = rig.await_ready("light", 1)
    assert {"decide", "claim", "start", "process", "environment", "setup", "register"} == set(replica.phases_s)
    until(lambda: not rig.live("light"), 20)
    until(lambda: not agent.executors(), 10)
    # And again: the wish stays.
    assert rig.final(rig.submit(one)).status.value == "succeeded"
    assert agent.stop() == 0
    assert not rig.live()
    assert not rig.store.nodes()


def test_a_replica_that_is_killed_is_replaced_and_its_job_goes_on(rig: Rig):
    one = rig.deploy("steady", "sleeps", scaling={"minimum": 1})
    agent = rig.agent()
    (before,) = rig.await_ready("steady", 1)
    job_id = rig.submit(one, {"seconds": 1.0})
    until(lambda: rig.job(job_id).status.value == "running", 30)
    (executor,) = agent.executors()
    executor.kill()
    assert rig.final(job_id).status.value == "succeeded"
    (after,) = rig.await_ready("steady", 1)
    assert after.id != before.id
    assert "replica.crashed" in agent.said()


def test_what_is_wanted_no_more_ends_and_its_running_job_does_not(rig: Rig):
    one = rig.deploy("gone", "sleeps", scaling={"minimum": 2, "maximum": 2})
    agent = rig.agent()
    rig.await_ready("gone", 2)
    job_id = rig.submit(one, {"seconds": 2.0})
    until(lambda: rig.job(job_id).status.value == "running", 30)
    assert rig.store.delete("gone")
    until(lambda: not rig.live("gone") and not agent.executors(), 30)
    job = rig.job(job_id)
    assert (job.status.value, job.output["attempt"]) == ("succeeded", 1)


def test_agents_that_race_never_exceed_what_is_wanted(rig: Rig):
    most = 0
    deployments = [rig.deploy(f"race-{number}", scaling={"minimum": 2, "maximum": 2}) for number in range(3)]
    agents = [rig.agent(f"n{number}") for number in range(3)]

    def all_ready() -> bool:
        nonlocal most
        live = [one for deployment in deployments for one in rig.live(deployment.name)]
        assert len({(one.lane, one.ordinal) for one in live}) == len(live)
        most = max(most, len(live), sum(len(agent.executors()) for agent in agents))
        return all(len(rig.ready(deployment.name)) == 2 for deployment in deployments)

    until(all_ready, 90, 0.05)
    assert most == 6
    assert sum(len(agent.executors()) for agent in agents) == 6


def test_the_replicas_of_a_killed_agent_start_elsewhere_and_no_job_is_lost_or_done_twice(rig: Rig):
    one = rig.deploy("moved", "sleeps", scaling={"minimum": 2, "maximum": 2})
    first = rig.agent("n1")
    rig.await_ready("moved", 2)
    second = rig.agent("n2")
    until(lambda: len(rig.store.nodes()) == 2, 30)
    jobs = [rig.submit(one, {"seconds": 0.2}) for _ in range(20)]
    until(lambda: any(rig.job(job_id).status.value == "running" for job_id in jobs), 30)
    first.kill()
    assert rig.outcomes(jobs) == {"succeeded": 20}
    replicas = rig.await_ready("moved", 2)
    until(lambda: len(second.executors()) == 2, 10)
    assert len({replica.node_id for replica in replicas}) == 1
    until(lambda: [node.name for node in rig.store.nodes() if node.id == replicas[0].node_id] == ["n2"], 5)


def test_a_paused_agent_gives_up_what_was_taken_from_it(rig: Rig):
    rig.deploy("kept", scaling={"minimum": 2, "maximum": 2})
    first = rig.agent("n1")
    before = {one.id for one in rig.await_ready("kept", 2)}
    second = rig.agent("n2")
    until(lambda: len(rig.store.nodes()) == 2, 30)
    first.signal(signal.SIGSTOP)
    until(lambda: len(second.executors()) == 2 and not before & {one.id for one in rig.live("kept")}, 60)
    first.signal(signal.SIGCONT)
    until(lambda: not first.executors(), 30)
    assert first.process.poll() is None
    rig.await_ready("kept", 2)
    assert len(second.executors()) == 2
    assert first.said().count("replica.taken") == 2


def test_an_algorithm_that_cannot_be_set_up_is_tried_less_and_less_and_said(rig: Rig):
    rig.deploy("broken", "exits-in-setup", scaling={"minimum": 1}, timeouts=Timeouts(start_s=2.0))
    rig.deploy("fine", scaling={"minimum": 1})
    agent = rig.agent()
    rig.await_ready("fine", 1)
    until(lambda: agent.said().count("replica.not_ready") >= 2, 60)
    assert agent.process.poll() is None
    assert not rig.ready("broken")


def test_a_wish_that_nothing_here_can_meet_is_said_why(rig: Rig):
    rig.deploy("hungry", resources=Resources(50, 16, GpuNeed(min_memory_mib=24 * 1024)), scaling={"minimum": 1})
    agent = rig.agent()
    until(
        lambda: (
            "no node offers gpu ≥ 24 GiB" in agent.said().encode().decode("unicode_escape", "ignore")
            or "24 GiB" in agent.said()
        ),
        30,
    )
    assert not rig.live("hungry")


def test_a_second_agent_in_the_same_home_is_refused(rig: Rig):
    rig.agent("n1")
    until(rig.store.nodes, 30)
    second = rig.agent("n1")
    assert second.process.wait(30) == 2
    assert "another node agent runs" in second.said()


def test_gpus_are_given_by_uuid_each_to_one_replica_and_taken_in_turns(rig: Rig):
    tools = rig.folder / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text('#!/bin/sh\necho "GPU-aaaa, NVIDIA H200, 143771"\n')
    (tools / "nvidia-smi").chmod(0o755)
    need = Resources(50, 16, GpuNeed(min_memory_mib=24 * 1024))
    first, second = (rig.deploy(name, resources=need, scaling={"idle_s": 600.0}) for name in ("one", "two"))
    agent = rig.agent("n1", PATH=f"{tools}:{rig.environ['PATH']}")

    def devices() -> list[str]:
        return [one.environ()["CUDA_VISIBLE_DEVICES"] for one in agent.executors()]

    assert rig.final(rig.submit(first)).status.value == "succeeded"
    assert [one.gpus for one in rig.await_ready("one", 1)] == [("GPU-aaaa",)]
    assert devices() == ["GPU-aaaa"]
    # The device is taken and its holder idle: it makes room for the job that waits.
    assert rig.final(rig.submit(second)).status.value == "succeeded"
    assert [one.gpus for one in rig.await_ready("two", 1)] == [("GPU-aaaa",)]
    assert devices() == ["GPU-aaaa"]
    assert not rig.live("one")


def test_what_wishes_for_no_gpu_sees_none(rig: Rig):
    rig.deploy("plain", scaling={"minimum": 1})
    agent = rig.agent()
    rig.await_ready("plain", 1)
    assert [one.environ()["CUDA_VISIBLE_DEVICES"] for one in agent.executors()] == [""]


def test_a_new_rollout_replaces_the_replicas_and_no_job_is_lost(rig: Rig):
    one = rig.deploy("rolled", "sleeps", scaling={"minimum": 2, "maximum": 2})
    agent = rig.agent()
    before = {replica.id for replica in rig.await_ready("rolled", 2)}
    jobs = [rig.submit(one, {"seconds": 0.2}) for _ in range(30)]
    rig.change("rolled", rollout=one.rollout + 1, rolled_at=utc_now())

    def is_replaced() -> bool:
        live = rig.live("rolled")
        assert any(replica.status is ReplicaStatus.READY for replica in live)
        return {replica.rollout for replica in live} == {one.rollout + 1}

    until(is_replaced, 60, 0.05)
    assert rig.outcomes(jobs) == {"succeeded": 30}
    assert not before & {replica.id for replica in rig.await_ready("rolled", 2)}
    assert len(agent.executors()) == 2


def test_one_node_runs_the_versions_that_are_wished_side_by_side_and_from_one_to_the_next(rig: Rig):
    folder = rig.folder / "versions"
    for version in ("1.0.0", "1.1.0"):
        shutil.copytree(TOYS / "echo", folder / f"echo-{version}")
        (folder / f"echo-{version}" / "executor.yml").write_text(f'name: echo\nversion: "{version}"\n')
    facts = {"scaling": {"minimum": 1}, "algorithm_version": "1.0.0"}
    one = rig.deploy("versioned", canary=Canary("1.1.0", 0.5, 1, utc_now()), **facts)
    agent = rig.agent(JANGADA_ALGORITHMS_DIR=str(folder))

    def runs(deployment: Deployment) -> str:
        ran_by = rig.final(rig.submit(deployment)).ran_by
        assert ran_by is not None
        return ran_by.algorithm_version

    assert runs(one) == "1.0.0"
    assert runs(replace(one, queue=one.lanes[1].queue)) == "1.1.0"
    before = [rig.submit(one) for _ in range(10)]
    rig.change("versioned", algorithm_version="1.1.0", canary=None, rollout=one.rollout + 1, rolled_at=utc_now())
    until(lambda: {one.rollout for one in rig.live("versioned")} == {one.rollout + 1}, 60, 0.05)
    assert rig.outcomes(before) == {"succeeded": 10}
    assert runs(one) == "1.1.0"
    rig.change("versioned", algorithm_version="3.0.0", rollout=one.rollout + 2, rolled_at=utc_now())
    until(lambda: "no node has version 3.0.0 of echo" in agent.said(), 30)


def test_a_version_whose_folder_holds_another_by_now_is_refused(tmp_path: Path):
    folder = tmp_path / "echo"
    shutil.copytree(TOYS / "echo", folder)
    engine = ProcessEngine(find_versions(tmp_path), {}, logs=tmp_path, run_dir=tmp_path)
    (folder / "executor.yml").write_text('name: echo\nversion: "2.0.0"\n')
    now = utc_now()
    wish = Deployment("ocr", "echo", "dep.ocr", now, now, algorithm_version="1.0.0", rolled_at=now)
    replica = claimed(wish.stable, 0, "node_1", now=now, until=now)
    with pytest.raises(EngineError, match=r"holds version 2\.0\.0 of echo by now, not 1\.0\.0"):
        engine.start(Order(replica, wish.stable, wish))


def test_while_the_stores_are_away_what_runs_goes_on_and_afterwards_all_is_as_before(rig: Rig):
    one = rig.deploy("patient", scaling={"minimum": 1})
    agent = rig.agent()
    rig.await_ready("patient", 1)
    (executor,) = agent.executors()
    for server in (rig.mongo, rig.redis):
        said = agent.said().count("agent.store_away")
        server.kill()
        until(lambda before=said: agent.said().count("agent.store_away") > before, 30)
        server.start()
        until(lambda: agent.said().count("agent.store_away") == agent.said().count("agent.reconnected"), 30)
    assert [one.pid for one in agent.executors()] == [executor.pid]
    assert rig.final(rig.submit(one)).status.value == "succeeded"
    assert agent.process.poll() is None


def test_the_time_limit_and_the_model_of_a_deployment_reach_its_jobs(rig: Rig):
    limited = rig.deploy("limited", "sleeps", timeouts=Timeouts(execution_s=0.3))
    named = rig.deploy("named", "tells-its-model", model="types@production")
    rig.agent()
    late, told = rig.submit(limited, {"seconds": 60}, max_attempts=1), rig.submit(named)
    job = rig.final(late)
    assert job.error is not None
    assert (job.error["code"], job.error["message"]) == ("timeout", "run took longer than 0.3 s")
    ran = rig.final(told)
    assert ran.output == {"at_setup": "types@production", "now": "types@production"}
    assert ran.ran_by is not None
    assert ran.ran_by.model == "types@production"


def test_a_deployment_on_a_gpu_holds_its_memory_only_while_it_is_asked_for(rig: Rig):
    gpus = FakeGpus(rig.folder / "gpus").install()
    layer = NvidiaDevices(str(gpus.program))
    need = Resources(50, 16, GpuNeed(min_memory_mib=24 * 1024))
    wish = rig.deploy("brief", "on-a-gpu", resources=need, scaling={"idle_s": 1.0})
    rig.agent("n1", **gpus.environ())
    assert layer.used_mib() == {"GPU-aaaa": 0}
    job = rig.final(rig.submit(wish))
    assert isinstance(job.output, dict)
    assert (job.output["visible"], job.output["kind"]) == ("GPU-aaaa", "cuda")
    until(lambda: not rig.live("brief"), 60)
    until(lambda: layer.used_mib() == {"GPU-aaaa": 0}, 30)


def test_the_batching_of_a_deployment_comes_before_the_algorithm_s_own(rig: Rig):
    three = rig.deploy("three", "batches", batching=Batching(3, 30_000))
    none = rig.deploy("none", "batches", batching=Batching(1))
    rig.agent()
    ids = {wish.name: [rig.submit(wish, {"number": number}) for number in range(3)] for wish in (three, none)}
    together = {
        name: [job.output["together"] for job in map(rig.final, found) if isinstance(job.output, dict)]
        for name, found in ids.items()
    }
    assert together == {"three": [[0, 1, 2]] * 3, "none": [[0], [1], [2]]}
