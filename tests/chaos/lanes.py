"""What a trial needs: servers, queues of its own with executors that can be killed, and a ledger that is watched."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jangada.jobs.job import Job
from tests.integration.executor.stage import TENANT, TOYS, Stage
from tests.redis_shapes import RedisShape, shaped
from tests.servers import ROOT, MongoServer, started, until

LEDGER_TOY = "keeps_a_ledger"


class Ledger:
    """The file that `keeps_a_ledger` writes its runs into, each line with the instant at which it was seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[tuple[float, str, int]] = []
        """(monotonic instant, job id, attempt)"""
        path.touch()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Ledger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def runs(self) -> Counter[tuple[str, int]]:
        """How often each attempt began."""
        return Counter((job_id, attempt) for _, job_id, attempt in list(self.lines))

    def first_after(self, instant: float) -> float | None:
        """When the first run after *instant* began."""
        return next((at for at, _, _ in list(self.lines) if at > instant), None)

    def of(self, job_id: str) -> list[tuple[float, int]]:
        """The runs of one job: when, and which attempt."""
        return [(at, attempt) for at, name, attempt in list(self.lines) if name == job_id]

    def _watch(self) -> None:
        rest = ""
        with self.path.open() as file:
            while not self._over.wait(0.005):
                *whole, rest = (rest + file.read()).split("\n")
                for line in whole:
                    job_id, attempt = line.split()
                    self.lines.append((time.monotonic(), job_id, int(attempt)))


class Lane:
    """A queue of its own on a stage, and the executors that serve it."""

    def __init__(self, stage: Stage, queue: str, toy: str = LEDGER_TOY, **environ: str) -> None:
        self._stage = stage
        self._toy = toy
        self._environ = {**stage.environ, **environ}
        self.queue = queue
        self.executors: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """One more executor; returns once its child is ready to run jobs."""
        with self._stage.log.open("ab") as log:
            ready = self._stage.log.with_name(f"ready-{self.queue}-{time.monotonic_ns()}")
            process = subprocess.Popen(
                [sys.executable, "-m", "jangada.executor", str(TOYS / self._toy), "--no-env",
                 "--queue", self.queue, "--ready-file", str(ready), *options],
                env=self._environ, stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        self.executors.append(process)
        until(ready.exists, 120, every_s=0.05)
        return process

    def submit(self, value: dict[str, Any], **policy: Any) -> Job:
        """A durable job in this lane's queue."""
        made = self._stage.make(self._toy, value, **policy).with_(queue=self.queue)
        return self._stage.service.submit(made)

    def job(self, job_id: str) -> Job:
        """As a client sees it."""
        return self._stage.service.get(job_id, TENANT)

    def holder(self, job_id: str, without: subprocess.Popen[bytes] | None = None) -> subprocess.Popen[bytes]:
        """The executor that runs the job just now, as the queue says."""

        def find() -> subprocess.Popen[bytes] | None:
            detail = self.job(job_id).status_detail or ""
            for process in self.executors:
                if process.poll() is None and process is not without and self._is(process, detail):
                    return process
            return None

        found = until(find, 60)
        assert isinstance(found, subprocess.Popen)
        return found

    def _is(self, process: subprocess.Popen[bytes], detail: str) -> bool:
        """An executor's working folder is named by the end of its id and by its process id."""
        work = Path(self._environ["JANGADA_HOME"]) / "work"
        return any(folder.name.split("-")[-2] == detail[-8:] for folder in work.glob(f"*-{process.pid}"))

    def end(self) -> None:
        """Kill what is left."""
        for process in self.executors:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def trial_stage(folder: Path, shape: str = "standalone", **settings: str) -> Iterator[tuple[Stage, RedisShape]]:
    """Fresh servers in *folder*."""
    with shaped(shape, folder / "redis") as redis, started(MongoServer(folder / "mongo")) as mongo:
        made = Stage(folder, redis, mongo, **settings)  # type: ignore[arg-type]
        try:
            yield made, redis
        finally:
            made.connections.close()
