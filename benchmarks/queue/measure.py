"""What is measured of one system: each function is one run of one row and returns its figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_s, machine_cpu_s, pss_mib, rss_mib, tree
from benchmarks.queue import priority
from benchmarks.queue.redis_server import PrivateRedis, server_version
from benchmarks.queue.systems import ADAPTERS, Crew, System, cache, environ_for

FIRST_JOBS = 50
"""A drain is timed once so many jobs have ended: the start of the processes is not in it."""
START_S = 40.0
LOOK_S = 0.02
CURVE = (1, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5)
"""Percentiles of the latency curve."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of job (``noop`` or ``blob``) and how many of them a drain starts with."""

    kind: str
    jobs: int


def client(system: System, url: str, *arguments: object, timeout_s: float = 300.0) -> dict[str, Any]:
    """Run the system's client once; what it printed. Raises `RuntimeError` with what it said when it fails."""
    done = subprocess.run(
        system.command(*arguments, url=url),
        cwd=ADAPTERS,
        env=environ_for(url, {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{system.name} {arguments}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    printed: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return printed


@contextmanager
def working(system: System, crew: Crew, url: str, kind: str, core: int | None = None) -> Iterator[list[int]]:
    """The crew's processes, on *core* if one is given; killed with all they started at the end."""
    started: list[subprocess.Popen[bytes]] = []
    log = cache() / "logs" / f"{system.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        for index in range(crew.count):
            command = [part.format(url=url, kind=kind, i=index) for part in crew.command]
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    cwd=ADAPTERS,
                    env=environ_for(url, crew.environ),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            started.append(process)
            priority.join(process.pid)
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
        yield [process.pid for process in started]
    finally:
        for process in started:
            for pid in tree(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def foreign_cores(span_s: float = 0.3) -> float:
    """Cores that the rest of the machine uses right now."""
    before = machine_cpu_s() - time.process_time()
    time.sleep(span_s)
    return max(0.0, (machine_cpu_s() - time.process_time() - before) / span_s)


def enqueue(system: System, kind: str, count: int, *, bulk: bool) -> Figures | None:
    """Jobs accepted per second, one by one or in bulk; None for a system that has no bulk call."""
    with PrivateRedis() as server:
        foreign = foreign_cores()
        said = client(system, server.url, "bulk" if bulk else "enqueue", count, kind)
    if not said["n"]:
        return None
    return {"rate": said["n"] / said["s"], "client_cpu_1k": 1000 * said["cpu"] / said["n"], "foreign": foreign}


def preload(system: System, task: Task, again: bool) -> Path:
    """An RDB file with the task's jobs queued, made once and kept in the cache."""
    # An older server does not read a newer one's files.
    file = cache() / "rdb" / f"redis-{server_version()}" / f"{system.name}-{task.kind}-{task.jobs}.rdb"
    # Ours is made anew in each run: what it looks like is what is being worked on.
    if file.exists() and not again:
        return file
    with PrivateRedis() as server:
        if not client(system, server.url, "bulk", task.jobs, task.kind)["n"]:
            client(system, server.url, "enqueue", task.jobs, task.kind)
        server.snapshot(file)
    return file


class Drain:
    """Counts a system's finished jobs and what everybody spent meanwhile."""

    def __init__(self, system: System, server: PrivateRedis, task: Task) -> None:
        self._how, commands = system.done
        self._commands = [[part.replace("KIND", task.kind) for part in command] for command in commands]
        self._server = server
        self._jobs = task.jobs
        self._base = self._sum()

    def _sum(self) -> int:
        return sum(int(self._server.client.execute_command(*command) or 0) for command in self._commands)

    def ended(self) -> int:
        """Jobs that have ended so far."""
        now = self._sum()
        if self._how == "left":
            return self._jobs - now
        return now if self._how == "ended" else now - self._base

    def snapshot(self, pids: list[int]) -> dict[str, float]:
        """Everything at one instant."""
        return {
            "at": time.perf_counter(),
            "ended": self.ended(),
            "workers": cpu_s([each for pid in pids for each in tree(pid)]),
            "redis": cpu_s([self._server.pid]),
            "own": time.process_time(),
            "machine": machine_cpu_s(),
            "commands": float(self._server.info()["total_commands_processed"]),
        }


def drain(system: System, crew: str, task: Task, rdb: Path, cap_s: float) -> Figures:
    """
    Jobs finished per second from a full queue, over at most *cap_s*, and the CPU-seconds they took.

    One job at a time: workers on core 0, Redis on core 1. Raises `RuntimeError` when nothing ends.
    """
    pinned = crew != "best" and (os.cpu_count() or 1) > 1
    with PrivateRedis(loaded_from=rdb, core=1 if pinned else None) as server:
        count = Drain(system, server, task)
        with working(system, system.crews[crew], server.url, task.kind, 0 if pinned else None) as pids:
            deadline = time.monotonic() + START_S
            while count.ended() < FIRST_JOBS:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{system.name} {crew}: nothing ends; see {cache() / 'logs'}")
                time.sleep(0.005)
            priority.join_all(pids)
            before = count.snapshot(pids)
            while count.ended() < task.jobs and time.perf_counter() < before["at"] + cap_s:
                time.sleep(LOOK_S)
            after = count.snapshot(pids)
    spent = {name: after[name] - before[name] for name in after}
    ended = max(1.0, spent["ended"])
    elsewhere = spent["machine"] - spent["workers"] - spent["redis"] - spent["own"]
    return {
        "rate": spent["ended"] / spent["at"],
        "jobs": spent["ended"],
        "worker_cpu_1k": 1000 * spent["workers"] / ended,
        "redis_cpu_1k": 1000 * spent["redis"] / ended,
        "commands": spent["commands"] / ended,
        "foreign": max(0.0, elsewhere / spent["at"]),
    }


def latency(system: System, count: int) -> Figures:
    """Milliseconds from the submit to the stored result, one job in flight, one worker at one job at a time."""
    with (
        PrivateRedis() as server,
        working(system, system.crews["c1"], server.url, "noop") as pids,
    ):
        client(system, server.url, "latency", 10, "noop")
        priority.join_all(pids)
        foreign = foreign_cores()
        took = sorted(client(system, server.url, "latency", count, "noop")["lat"])
    return {
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[len(took) * 99 // 100],
        "foreign": foreign,
        **{f"p{share:g}": 1000 * took[min(len(took) - 1, int(len(took) * share / 100))] for share in CURVE},
    }


def idle(system: System, span_s: float) -> Figures:
    """What a worker costs that has run jobs and has nothing to do."""
    with PrivateRedis() as server, working(system, system.crews["c1"], server.url, "noop") as pids:
        client(system, server.url, "latency", 20, "noop")
        time.sleep(1.5)
        everybody = [each for pid in pids for each in tree(pid)]
        before = server.info()
        used, redis_used = cpu_s(everybody), cpu_s([server.pid])
        time.sleep(span_s)
        after = server.info()
        return {
            "rss_mib": rss_mib(everybody),
            "pss_mib": pss_mib(everybody),
            "processes": float(len(everybody)),
            # One of them is the INFO itself.
            "commands_s": (after["total_commands_processed"] - before["total_commands_processed"] - 1) / span_s,
            "worker_cpu_percent": 100 * (cpu_s(everybody) - used) / span_s,
            "redis_cpu_percent": 100 * (cpu_s([server.pid]) - redis_used) / span_s,
        }


def bytes_per_job(task: Task, rdb: Path) -> Figures:
    """Memory of Redis per queued job, by what the server grows on loading the queue."""
    with PrivateRedis() as empty:
        base = empty.info()["used_memory"]
    with PrivateRedis(loaded_from=rdb) as server:
        return {"bytes": (server.info()["used_memory"] - base) / task.jobs}
