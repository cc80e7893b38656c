"""An executor's loop on a thread, over memory stores, with real children of the toy algorithms."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jangada.algorithms.manifest import AlgorithmManifest, load_manifest
from jangada.artifacts.store_memory import MemoryArtifactStore
from jangada.clock import utc_now
from jangada.deployments.gpu import Gpu
from jangada.executor import start
from jangada.executor.devices import FixedDevices
from jangada.executor.files import JobFiles
from jangada.executor.journal import Journal
from jangada.executor.loop import ExecutorLoop, LoopOptions
from jangada.executor.memory import tree
from jangada.executor.placing import Placing, place
from jangada.executor.running import SlotLimits
from jangada.executor.terms import NO_TERMS, Terms
from jangada.ids import new_id
from jangada.jobs.execution import JobExecution
from jangada.jobs.job import Job, Policy
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.service import JobService
from jangada.jobs.store_memory import MemoryJobStore
from jangada.settings import Settings

TOYS = Path(__file__).parents[2] / "algorithms" / "toy"
TENANT = "ten_toy"


def until(condition: Callable[[], Any], timeout_s: float = 15.0, what: str = "") -> Any:
    """The first true answer of *condition*; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s: {what or condition}")


class Lines(Journal):
    """A journal that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.events.append((event, {"level": level, **fields}))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Bench:
    """Memory stores, and executors over them."""

    def __init__(self, tmp_path: Path, *, inline_bytes: int = 256 * 1024, lease_s: float = 15.0) -> None:
        self.tmp_path = tmp_path
        self.queue = MemoryJobQueue()
        self.store = MemoryJobStore()
        self.artifacts = MemoryArtifactStore()
        self.service = JobService(self.queue, self.store)
        self.settings = Settings.from_env({"JANGADA_HOME": str(tmp_path), "JANGADA_INLINE_BYTES": str(inline_bytes)})
        self.lease_s = lease_s
        self.download: Any = None
        self.journals: list[Lines] = []

    @contextmanager
    def executor(
        self,
        toy: str,
        *,
        concurrency: int | None = None,
        drain_s: float = 0.0,
        environ: dict[str, str] | None = None,
        execution: Callable[[JobExecution], Any] = lambda execution: execution,
        terms: Terms = NO_TERMS,
        gpus: tuple[Gpu, ...] | None = None,
        **changes: Any,
    ) -> Iterator[ExecutorLoop]:
        """An executor of *toy* at work; stopped at the end."""
        manifest = replace(load_manifest(TOYS / toy), **changes)
        executor_id = new_id("exe")
        folder = self.tmp_path / executor_id
        journal = Lines()
        self.journals.append(journal)
        layer = FixedDevices(gpus or ())
        placing = Placing(concurrency or manifest.concurrency)
        if gpus is not None:
            placing = place(manifest, layer, {}, concurrency=concurrency, needs_gpu=terms.needs_gpu)
        recipe = start.recipe(manifest, Path(sys.executable), folder / "lib", self.settings, terms, placing.devices)
        recipe = replace(recipe, environ={**recipe.environ, **(environ or {})})
        limits = manifest.limits
        batching = terms.batching_of(manifest)
        loop = ExecutorLoop(
            execution(
                JobExecution(self.queue, self.store, queue_name=toy, executor_id=executor_id, lease_s=self.lease_s)
            ),
            JobFiles(lambda: self.artifacts, lambda: self.download, max_file_bytes=1_000_000),
            recipe,
            SlotLimits(
                limits.grace_s,
                limits.memory_mib and limits.memory_mib << 20,
                manifest.recycle_after_jobs,
                terms.execution_timeout_s,
                batching,
            ),
            LoopOptions(
                placing.slots,
                manifest.short and batching is None,
                batching is not None,
                drain_s,
            ),
            folder=folder,
            journal=journal,
        )
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            yield loop
        finally:
            loop.stop()
            loop.stop()
            thread.join(timeout=10)
            assert not thread.is_alive()

    def submit(self, toy: str, input: Any = None, **policy: Any) -> str:
        """A job for *toy*; its id."""
        manifest: AlgorithmManifest = load_manifest(TOYS / toy)
        policy.setdefault("max_attempts", manifest.max_attempts)
        now = utc_now()
        deadline_s = policy.get("deadline_s")
        job = Job(
            id=new_id("job"),
            tenant_id=TENANT,
            algorithm=manifest.name,
            algorithm_version=manifest.version,
            deployment=manifest.name,
            queue=toy,
            input=input or {},
            created_at=now,
            policy=Policy(**policy),
            deadline_at=None if deadline_s is None else _later(now, deadline_s),
        )
        return self.service.submit(job).id

    def job(self, job_id: str) -> Job:
        return self.service.get(job_id, TENANT)

    def final(self, job_id: str, timeout_s: float = 20.0) -> Job:
        """The job once it is final."""
        return until(lambda: (job := self.job(job_id)).is_final and job, timeout_s, f"final status of {job_id}")

    def run(self, toy: str, input: Any = None, **policy: Any) -> Job:
        """Submit to an executor that is already there, and wait."""
        return self.final(self.submit(toy, input, **policy))

    def children(self) -> list[int]:
        """The pids of the children that live in this test's folder."""
        found = []
        for pid in tree(os.getpid())[1:]:
            with contextlib.suppress(OSError):
                if str(self.tmp_path).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        return found

    def lines(self, job_id: str, stream: str | None = None) -> list[str]:
        return [line.text for line in self.store.logs(job_id, limit=1_000_000) if stream in (None, line.stream)]


def _later(now: Any, seconds: float) -> Any:
    from datetime import timedelta

    return now + timedelta(seconds=seconds)
