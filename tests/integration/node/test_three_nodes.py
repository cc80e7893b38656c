"""
Three machines on a private network: two beside Redis and MongoDB, one that may only call one HTTPS port.

Machines are killed, paused and cut off while jobs run. Every attempt writes itself
down, so that afterwards it can be counted what was lost and what was done twice.
"""

from __future__ import annotations

import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jangada.deployments.deployment import Deployment, Timeouts
from jangada.deployments.node import HEARTBEAT_S, NODE_LEASE_S
from tests.integration.node.distant import NodesFunction, join, start
from tests.integration.node.rig import Agent, Rig
from tests.private_network import Machine, PrivateNetwork, requires_namespaces
from tests.servers import MongoServer, RedisServer, until
from tests.tls_front import TlsFront

pytestmark = pytest.mark.timeout(600)
LEASE_S = 5.0
"""Of a job, for this test: longer than the short cut, shorter than the long one."""


class SharedRedis(RedisServer):
    """Also on the private network."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder, "--bind", "127.0.0.1", address, "--protected-mode", "no")
        self._address = address

    @property
    def url(self) -> str:
        return f"redis://{self._address}:{self.port}/0"


class SharedMongo(MongoServer):
    """On the private network."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder)
        self._address = address

    @property
    def url(self) -> str:
        return f"mongodb://{self._address}:{self.port}/"

    def command(self) -> list[str]:
        return [*super().command(), "--host", self._address]

    def _answers(self) -> bool:
        assert self.is_running, (self.folder / "output.log").read_text(errors="replace")[-2000:]
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((self._address, self.port)) == 0


class Stage:
    """The servers, the function behind TLS, and the machines."""

    def __init__(self, folder: Path, network: PrivateNetwork) -> None:
        self.network = network
        self.redis = SharedRedis(folder / "redis", network.address)
        self.mongo = SharedMongo(folder / "mongo", network.address)
        self.redis.start()
        self.mongo.start()
        self.rig = Rig(folder, self.redis, self.mongo, {"JANGADA_LEASE_S": str(LEASE_S)})
        self.ledger = folder / "ledger"
        self.function = NodesFunction(folder / "function", self.rig.environ)
        self.function.start()
        self.front = TlsFront(folder / "front", network.address, ("127.0.0.1", self.function.port))
        # It listens on the private network alone, so it is waited for there.
        self.front._answers = lambda: _answers(network.address, self.front.port)  # type: ignore[method-assign]
        self.front.start()
        self.machines = [network.add() for _ in range(3)]
        self.agents: list[Agent] = []

    def start(self) -> None:
        """Two agents beside the servers, and one that joined."""
        for number, machine in enumerate(self.machines[:2], 1):
            self.agents.append(self.start_direct(number, machine))
        far = self.machines[2]
        far.only_outbound_to(self.network.address, self.front.port)
        assert far.reaches(self.network.address, self.front.port)
        assert not far.reaches(self.network.address, self.redis.port)
        assert not far.reaches(self.network.address, self.mongo.port)
        join(self.rig, self.front.url, "far", "--ca-file", str(self.front.authority), prefix=far.prefix)
        self.agents.append(start(self.rig, "far", "--label", "place=far", prefix=far.prefix))
        until(lambda: len(self.rig.store.nodes()) == 3, 90)

    def start_direct(self, number: int, machine: Machine) -> Agent:
        return start(
            self.rig, f"near-{number}", "--label", "place=near", prefix=machine.prefix, environ=self.rig.environ
        )

    def submit(self, deployment: Deployment, count: int, seconds: float) -> list[str]:
        return [
            self.rig.submit(
                deployment, {"ledger": str(self.ledger), "seconds": seconds, "number": number}, max_attempts=10
            )
            for number in range(count)
        ]

    def attempts(self) -> Counter[tuple[str, int]]:
        """How often each attempt of each job began."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return Counter((line.split()[0], int(line.split()[1])) for line in text.splitlines())

    def check(self, jobs: list[str]) -> None:
        """Each job has one outcome, of an attempt that did begin; and no attempt began twice."""
        assert self.rig.outcomes(jobs, 180) == {"succeeded": len(jobs)}
        attempts = self.attempts()
        assert set(attempts.values()) == {1}
        for job_id in jobs:
            job = self.rig.job(job_id)
            assert job.output["number"] == job.input["number"]
            assert (job_id, job.output["attempt"]) in attempts

    def close(self) -> None:
        self.network.close()
        for agent in self.rig.agents:
            agent.process.kill()
            agent.process.wait()
        self.front.stop()
        self.function.stop()
        self.rig.services.close()
        self.redis.stop()
        self.mongo.stop()


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((address, port)) == 0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    requires_namespaces()
    network = PrivateNetwork()
    try:
        made = Stage(tmp_path, network)
    except BaseException:
        network.close()
        raise
    try:
        yield made
    finally:
        made.close()
        print(made.rig.logs())  # shown by pytest where the test failed


def test_agents_race_and_a_machine_is_killed(stage: Stage):
    rig = stage.rig
    stage.start()
    wishes = [
        rig.deploy(f"race-{number}", "keeps-a-ledger", scaling={"minimum": 3, "maximum": 3}) for number in range(2)
    ]
    distant = rig.deploy("distant", "keeps-a-ledger", scaling={"minimum": 1}, placement=_at("far"))

    def all_ready() -> bool:
        live = [one for wish in wishes for one in rig.live(wish.name)]
        assert len({(one.lane, one.ordinal) for one in live}) == len(live) <= 6
        return all(len(rig.ready(wish.name)) == 3 for wish in wishes)

    until(all_ready, 180, 0.05)
    rig.await_ready("distant", 1, 180)
    jobs = stage.submit(wishes[0], 40, 0.3) + stage.submit(distant, 6, 0.3)
    until(lambda: len(stage.attempts()) > 8, 60)

    (dead,) = [one.id for one in rig.store.nodes() if one.name == "near-1"]
    stage.machines[0].signal(signal.SIGKILL)
    killed = time.time()
    until(lambda: len(all_of(rig, wishes, but=dead)) == 6, 120, 0.05)
    stage.check(jobs)
    began = max(one.started_at.timestamp() for one in all_of(rig, wishes, but=dead)) - killed
    # What its start then takes is this machine's affair. A few seconds are left to a busy one.
    print(f"places were taken {began:.1f} s after the kill")
    assert began <= 2 * HEARTBEAT_S + 5.0, f"places were taken {began:.1f} s after the kill"


def all_of(rig: Rig, wishes: list[Deployment], *, but: str) -> list:
    """The ready replicas of *wishes* that are on other nodes."""
    return [one for wish in wishes for one in rig.ready(wish.name) if one.node_id != but]


def test_a_machine_that_is_cut_off_goes_on_and_what_is_late_changes_nothing(stage: Stage):
    rig = stage.rig
    stage.start()
    only_far = rig.deploy(
        "only-far", "keeps-a-ledger", scaling={"minimum": 1}, placement=_at("far"), timeouts=Timeouts(drain_s=5.0)
    )
    anywhere = rig.deploy("anywhere", "keeps-a-ledger", scaling={"minimum": 3, "maximum": 3})
    rig.await_ready("only-far", 1, 180)
    rig.await_ready("anywhere", 3, 180)
    far = stage.machines[2]

    # Shorter than the lease: it notices nothing, and the outcome comes when the link is back.
    short = stage.submit(only_far, 1, 1.5)
    until(lambda: len(stage.attempts()) == 1, 60)
    far.cut()
    time.sleep(2.0)
    far.mend()
    stage.check(short)
    assert rig.job(short[0]).output["attempt"] == 1

    # Longer than the lease: others do its jobs, and what it brings then is not taken.
    before = len(stage.attempts())
    long = stage.submit(anywhere, 12, 2.0)
    until(lambda: len(stage.attempts()) >= before + 3, 60)
    far.cut()
    stage_jobs = rig.outcomes(long, 180)
    assert stage_jobs == {"succeeded": len(long)}
    # Its places went to others meanwhile.
    until(lambda: len(rig.ready("anywhere")) == 3, 120)
    outputs = [rig.job(job_id).output for job_id in long]
    far.mend()
    # It comes back, is told so, and has work again.
    again = stage.submit(only_far, 2, 0.2)
    stage.check([*again])
    assert [rig.job(job_id).output for job_id in long] == outputs
    assert len({attempt for attempt, times in stage.attempts().items() if times > 1}) == 0


def _at(place: str):
    from jangada.deployments.deployment import Placement

    return Placement(labels={"place": place})


def test_a_machine_that_was_paused_gives_up_what_was_taken(stage: Stage):
    rig = stage.rig
    stage.start()
    wish = rig.deploy("paused", "keeps-a-ledger", scaling={"minimum": 3, "maximum": 3})
    rig.await_ready("paused", 3, 180)
    (far_id,) = [one.id for one in rig.store.nodes() if one.name == "far"]
    held = {one.node_id for one in rig.live("paused")}
    sleeper, sleeper_id = (2, far_id) if far_id in held else (0, None)
    if sleeper_id is None:
        (sleeper_id,) = [one.id for one in rig.store.nodes() if one.name == "near-1"]
    jobs = stage.submit(wish, 30, 0.5)
    until(lambda: len(stage.attempts()) > 3, 60)
    stage.machines[sleeper].signal(signal.SIGSTOP)
    until(lambda: len(all_of(rig, [wish], but=sleeper_id)) == 3, 120, 0.05)
    time.sleep(NODE_LEASE_S / 2)
    stage.machines[sleeper].signal(signal.SIGCONT)
    stage.check(jobs)
    # It finds its places taken, and holds none on top of what is wanted.
    until(lambda: len(rig.ready("paused")) == 3 == len(rig.live("paused")), 120)
    until(lambda: "replica.taken" in stage.agents[sleeper].said() or not rig_has(rig, sleeper_id), 60)


def rig_has(rig: Rig, node_id: str) -> bool:
    """Whether the node holds a place."""
    return any(one.node_id == node_id for one in rig.live())
