"""Redis, MongoDB and node agents as processes of their own, to be killed, paused and counted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from jangada.clock import utc_now
from jangada.deployments.deployment import Deployment, Mode, Resources
from jangada.deployments.replica import Replica, ReplicaStatus
from jangada.deployments.scaling import ScalingPolicy
from jangada.ids import new_id
from jangada.jobs.job import Job, Policy
from jangada.settings import Settings
from jangada.wiring import Services
from tests.servers import MongoServer, RedisServer, until

ROOT = Path(__file__).resolve().parents[3]
TOYS = ROOT / "tests" / "algorithms" / "toy"
TENANT = "ten_node"
SMALL = Resources(cpu_millicores=50, memory_mib=16)


@dataclass
class Agent:
    """One ``jangada node run``."""

    process: subprocess.Popen[bytes]
    home: Path
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of the agent alone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(30)

    def executors(self) -> list[psutil.Process]:
        """The executors that it runs."""
        with contextlib.suppress(psutil.Error):
            return [
                one
                for one in psutil.Process(self.process.pid).children()
                if any("jangada.executor" in word for word in one.cmdline())
            ]
        return []


@dataclass
class Rig:
    """The servers of one test, and what runs on them."""

    folder: Path
    redis: RedisServer
    mongo: MongoServer
    environ: dict[str, str] = field(default_factory=dict)
    agents: list[Agent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")},
            "JANGADA_REDIS_URL": self.redis.url,
            "JANGADA_MONGO_URL": self.mongo.url,
            "JANGADA_MONGO_DATABASE": f"node_{self.folder.name}"[:60],
            "JANGADA_ALGORITHMS_DIR": str(TOYS),
            "JANGADA_TEST_ENVS": str(ROOT / ".jangada-test-envs"),
            # Ended attempts of a dead executor are to come back within the test.
            "JANGADA_LEASE_S": "3",
            **self.environ,
        }
        self.services = Services.from_settings(
            Settings.from_env({n: v for n, v in self.environ.items() if "JANG" in n})
        )
        self.store = self.services.deployments

    def agent(self, name: str = "n1", *options: str, **environ: str) -> Agent:
        """Start one, with a home of its own."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from jangada.cli.main import main; main()",
                    "node",
                    "run",
                    "--name",
                    name,
                    "--only-wished",
                    *options,
                ],
                env={**self.environ, "JANGADA_HOME": str(home), **environ},
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        agent = Agent(process, home, log)
        self.agents.append(agent)
        return agent

    def deploy(self, name: str, algorithm: str = "echo", **facts: Any) -> Deployment:
        """A deployment of a toy: on demand, and quick to go, unless *facts* say otherwise."""
        now = utc_now()
        policy = {"minimum": 0, "maximum": 1, "idle_s": 60.0} | facts.pop("scaling", {})
        deployment = Deployment(
            name,
            algorithm,
            f"dep.{name}",
            now,
            now,
            mode=Mode.ONLINE if policy["minimum"] else Mode.ON_DEMAND,
            scaling=ScalingPolicy(**policy),
            **{"resources": SMALL, "rolled_at": now} | facts,
        )
        assert self.store.insert(deployment)
        return deployment

    def change(self, name: str, **facts: Any) -> Deployment:
        """Replace parts of its wish."""
        before = self.store.get(name)
        after = replace(before, generation=before.generation + 1, updated_at=utc_now(), **facts)
        assert self.store.replace(after, generation=before.generation)
        return after

    def submit(self, deployment: Deployment, input: Any = None, *, files: tuple[str, ...] = (), **policy: Any) -> str:
        """A job for it; its id."""
        job = Job(
            id=new_id("job"),
            tenant_id=TENANT,
            algorithm=deployment.algorithm,
            algorithm_version="1.0.0",
            deployment=deployment.name,
            queue=deployment.queue,
            input=input or {},
            created_at=utc_now(),
            policy=Policy(**policy),
            file_ids=files,
        )
        return self.services.jobs.submit(job).id

    def job(self, job_id: str) -> Job:
        return self.services.jobs.get(job_id, TENANT)

    def final(self, job_id: str, within_s: float = 60.0) -> Job:
        """The job once it is final."""
        until(lambda: self.job(job_id).is_final, within_s, 0.02)
        return self.job(job_id)

    def live(self, lane: str | None = None) -> list[Replica]:
        """Replicas whose lease holds."""
        now = datetime.now(UTC)
        return [one for one in self.store.replicas(lane) if one.is_live(now)]

    def ready(self, lane: str) -> list[Replica]:
        return [one for one in self.live(lane) if one.status is ReplicaStatus.READY]

    def await_ready(self, lane: str, count: int, within_s: float = 60.0) -> list[Replica]:
        """Wait until so many are ready, no more and no fewer."""
        until(lambda: len(self.ready(lane)) == count == len(self.live(lane)), within_s, 0.02)
        return self.ready(lane)

    def outcomes(self, job_ids: list[str], within_s: float = 90.0) -> Counter[str]:
        """How the jobs ended, all of them."""
        return Counter(self.final(job_id, within_s).status.value for job_id in job_ids)

    def stop_agents(self) -> None:
        for agent in self.agents:
            executors = agent.executors()
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.stop()
            if agent.process.poll() is None:
                agent.kill()
            for one in executors:
                with contextlib.suppress(psutil.Error):
                    one.kill()

    def close(self) -> None:
        self.stop_agents()
        self.services.close()
        self.redis.stop()
        self.mongo.stop()

    def logs(self) -> str:
        """What a failing test shows."""
        return "\n".join(f"== {agent.log.name}\n{agent.said()[-4000:]}" for agent in self.agents)
