"""How a node runs replicas: one protocol, `engine_process.py` and `engine_docker.py` implement it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.node import Engine
from jangada.deployments.replica import Replica
from jangada.errors import JangadaError
from jangada.executor.terms import Terms, options_of


class EngineError(JangadaError):
    """Raised when a replica cannot even be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """One replica to run: an executor of *lane*'s algorithm on its queue, with the replica's GPUs for itself."""

    replica: Replica
    lane: Lane
    deployment: Deployment


def executor_options(order: Order, *, ready_file: str | Path) -> list[str]:
    """What an executor is told of its deployment, after the algorithm."""
    deployment = order.deployment
    terms = Terms(
        execution_timeout_s=deployment.timeouts.execution_s,
        model=deployment.model,
        batching=deployment.batching,
        needs_gpu=deployment.resources.gpu is not None,
    )
    return [
        "--queue", order.lane.queue,
        "--drain-s", str(deployment.timeouts.drain_s),
        "--ready-file", str(ready_file),
        *options_of(terms),
    ]  # fmt: skip


class Condition(StrEnum):
    """How a replica does on this machine."""

    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Report:
    """What an executor wrote when it became ready; instants by this machine's monotonic clock, in seconds."""

    executor_id: str | None = None
    slots: int = 1
    began: float | None = None
    registering: float | None = None
    child_phases_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A replica at this moment. *note* says why it ended.

    *will_not_mend*: it ended because something is set wrongly; starting it again at once would not help.
    """

    condition: Condition
    note: str = ""
    will_not_mend: bool = False
    report: Report = field(default_factory=Report)


class ReplicaEngine(Protocol):
    """
    Runs executors on this machine. Called by the agent's main thread alone.

    No call waits for a replica: what takes time goes on by itself, and `look` tells of it.
    """

    @property
    def kind(self) -> Engine:
        """Its name."""
        ...

    def algorithms(self) -> Mapping[str, tuple[str, ...]] | None:
        """What it can start, name → versions; None: whatever it is asked for."""
        ...

    def adopt(self, replicas: Sequence[str]) -> list[str]:
        """
        Go on with those of *replicas* (ids) that run here from before the agent's start; those it then holds.

        Any other that runs here for this node is stopped.
        """
        ...

    def start(self, order: Order) -> None:
        """Begin to start it. Raises `EngineError` when that fails at once."""
        ...

    def look(self) -> dict[str, Seen]:
        """Every replica that was started or adopted and not forgotten, by id."""
        ...

    def stop(self, replica_id: str, grace_s: float) -> None:
        """Ask it to end: it claims no more, running jobs may go on for *grace_s*, then it is killed. Idempotent."""
        ...

    def kill(self, replica_id: str) -> None:
        """End it at once: its jobs go on elsewhere when their leases run out."""
        ...

    def forget(self, replica_id: str) -> None:
        """It has ended, and that was seen: clear up after it."""
        ...

    def close(self) -> None:
        """Release what the engine itself holds."""
        ...


def read_report(file: Path) -> Report | None:
    """What the executor of a replica wrote to *file* once it was ready; None while it is not."""
    try:
        first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    except OSError:
        return None
    if not first:
        return None
    try:
        said = json.loads(rest)
        return Report(
            executor_id=said["executor_id"],
            slots=int(said["slots"]),
            began=float(said["began"]),
            registering=float(said["registering"]),
            child_phases_s={str(name): float(took) for name, took in said["child_phases_s"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        # An executor of another version says less; ready it is.
        return Report()


def start_phases(started: float, report: Report, ready: float | None = None) -> dict[str, float]:
    """
    What the time from *started* (the engine was told) to *ready* (now, if not given) went to, in seconds.

    ``process`` until the executor runs, ``environment`` until its child's Python does,
    ``setup`` for the algorithm's imports and its ``setup``, ``register`` for the rest.
    """
    ready = time.monotonic() if ready is None else ready
    if report.began is None or report.registering is None:
        return {"process": round(ready - started, 4)}
    setup = sum(took for name, took in report.child_phases_s.items() if name != "environment")
    phases = {
        "process": report.began - started,
        "environment": report.registering - report.began - setup,
        "setup": setup,
        "register": ready - report.registering,
    }
    return {name: round(max(0.0, took), 4) for name, took in phases.items()}
