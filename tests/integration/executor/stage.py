"""The real thing to measure on: embedded servers, and executors as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jangada.algorithms.manifest import AlgorithmManifest, load_manifest
from jangada.clock import utc_now
from jangada.executor.connect import Connections
from jangada.ids import new_id
from jangada.jobs.job import Job, JobStatus, Policy
from jangada.jobs.queue import QueueLimits
from jangada.jobs.service import JobService
from jangada.settings import Settings
from tests.servers import MongoServer, RedisServer, started, until

ROOT = Path(__file__).parents[3]
TOYS = ROOT / "tests" / "algorithms" / "toy"
TENANT = "ten_stage"


class Stage:
    """Servers that run, and what is needed to submit jobs and to start executors."""

    def __init__(self, folder: Path, redis: RedisServer, mongo: MongoServer, **settings: str) -> None:
        self.redis = redis
        self.mongo = mongo
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")},
            "JANGADA_HOME": str(folder / "home"),
            "JANGADA_REDIS_URL": redis.url,
            "JANGADA_MONGO_URL": mongo.url,
            "JANGADA_ARTIFACTS": f"folder:{folder / 'files'}",
            "JANGADA_ALGORITHMS_DIR": str(TOYS),
            **settings,
        }
        self.log = folder / "executors.log"
        self._manifests: dict[str, AlgorithmManifest] = {}
        self.connections = Connections.open(Settings.from_env(self.environ))
        self.service = JobService(
            self.connections.queue, self.connections.store, limits=QueueLimits(queue_jobs=None, queue_bytes=None)
        )

    @contextmanager
    def executor(self, toy: str, *options: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """An executor process of *toy*, with *settings* of its own; whatever became of it, it is gone at the end."""
        command = [sys.executable, "-m", "jangada.executor", str(TOYS / toy), "--no-env", *options]
        with (
            self.log.open("ab") as log,
            subprocess.Popen(command, env=self.environ | settings, stdout=log, cwd=ROOT) as process,
        ):
            try:
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(timeout=20)

    def submit(self, toy: str, inputs: Sequence[object], **policy: Any) -> list[str]:
        """Durable jobs for *toy*, one for each of *inputs*; their ids."""
        jobs = [self.make(toy, value, **policy) for value in inputs]
        for start in range(0, len(jobs), 500):
            self.service.submit_many(jobs[start : start + 500])
        return [job.id for job in jobs]

    def make(self, toy: str, value: object, **policy: Any) -> Job:
        """A job for *toy*, not submitted."""
        manifest = self._manifests.get(toy) or self._manifests.setdefault(toy, load_manifest(TOYS / toy))
        return Job(
            id=new_id("job"),
            tenant_id=TENANT,
            algorithm=manifest.name,
            algorithm_version=manifest.version,
            deployment=manifest.name,
            queue=manifest.name,
            input=value,
            created_at=utc_now(),
            policy=Policy(**policy),
        )

    def job(self, job_id: str) -> Job:
        """The job as a client sees it."""
        return self.service.get(job_id, TENANT)

    def wait_for(self, job_id: str, status: JobStatus, timeout_s: float = 20.0) -> Job:
        """The job once it has *status*."""
        return until(lambda: (job := self.job(job_id)).status is status and job, timeout_s)  # type: ignore[return-value]

    def depth(self, toy: str) -> int:
        """Unfinished jobs in the toy's queue."""
        return self.connections.queue.stats(load_manifest(TOYS / toy).name).jobs

    def wait_empty(self, toy: str, below: int = 1, timeout_s: float = 300.0) -> float:
        """The instant at which fewer than *below* jobs are left."""
        deadline = time.monotonic() + timeout_s
        while self.depth(toy) >= below:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.depth(toy)} jobs left; see {self.log}")
            time.sleep(0.02)
        return time.monotonic()


@contextmanager
def stage(**settings: str) -> Iterator[Stage]:
    """Fresh servers in a folder that is removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="jangada-bench-") as name,
        started(RedisServer(Path(name) / "redis")) as redis,
        started(MongoServer(Path(name) / "mongo")) as mongo,
    ):
        assert isinstance(redis, RedisServer)
        assert isinstance(mongo, MongoServer)
        made = Stage(Path(name), redis, mongo, **settings)
        try:
            yield made
        finally:
            made.connections.close()
