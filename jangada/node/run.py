"""From settings and options to an agent at work: what ``jangada node run`` does besides talking to people."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from jangada.algorithms.manifest import AlgorithmManifest, find_algorithms
from jangada.deployments.deployment import Deployment
from jangada.deployments.ledger_mongo import MongoUsageLedger
from jangada.deployments.node import Engine, Node
from jangada.deployments.scaler import Scaler
from jangada.deployments.store_mongo import MongoDeploymentStore
from jangada.errors import ConfigurationError
from jangada.executor.connect import Connections
from jangada.jobs.sweep import Sweeper
from jangada.logs import get_logger
from jangada.node.agent import NodeAgent
from jangada.node.capacity import machine_capacity
from jangada.node.engine import ReplicaEngine
from jangada.node.engine_process import ProcessEngine
from jangada.node.identity import held_identity
from jangada.settings import Settings

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_log = get_logger()


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """
    What the operator says of a node. None: what the machine has.

    *only_wished*: leave alone the deployments that nobody asked for; somebody else
    runs their executors, as `jangada up` does.
    """

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: Engine = Engine.PROCESS
    cpu: float | None = None
    memory_mib: int | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    only_wished: bool = False


def run_node(settings: Settings, environ: Mapping[str, str], options: NodeOptions) -> None:
    """
    Run this machine's agent until SIGTERM or SIGINT. To be called from the main thread.

    Raises `ConfigurationError` before anything was started.
    """
    home = settings.home.expanduser().resolve()
    capacity = machine_capacity(cpu=options.cpu, memory_mib=options.memory_mib)
    manifests = _manifests(settings)
    with held_identity(home) as node_id:
        connections = Connections.open(settings)
        try:
            engine = _engine(options, manifests, environ, home)
            node = Node(
                id=node_id,
                name=options.name or socket.gethostname(),
                cpu_millicores=capacity.cpu_millicores,
                memory_mib=capacity.memory_mib,
                lease_until=_NEVER,
                gpus=capacity.gpus,
                labels=dict(options.labels),
                engines=(engine.kind,),
                algorithms=engine.algorithms(),
            )
            _work(settings, connections, node, engine, options)
        finally:
            connections.close()


def _work(
    settings: Settings, connections: Connections, node: Node, engine: ReplicaEngine, options: NodeOptions
) -> None:
    database = connections.mongo[settings.mongo_database]
    store, ledger = MongoDeploymentStore(database), MongoUsageLedger(database)
    agent = NodeAgent(
        node,
        engine,
        store,
        connections.queue,
        Scaler(store, connections.queue, ledger),
        serves=_only_wished if options.only_wished else lambda _: True,
    )
    # Queues whose last executor went are swept too.
    sweeper = Sweeper(connections.queue, connections.store, retention_s=settings.retention_s)
    sweeper.start()
    _log.info(
        "node.started",
        node=node.name,
        node_id=node.id,
        engine=engine.kind.value,
        cpu_millicores=node.cpu_millicores,
        memory_mib=node.memory_mib,
        gpus=len(node.gpus),
        algorithms=sorted(node.algorithms or ()),
    )
    try:
        with _signals(agent.stop, agent.wake):
            agent.run()
    finally:
        sweeper.stop()
    _log.info("node.stopped", node=node.name)


def _only_wished(deployment: Deployment) -> bool:
    return not deployment.is_implicit


def _manifests(settings: Settings) -> dict[str, AlgorithmManifest]:
    folder = (settings.algorithms_dir or Path("executors")).resolve()
    return find_algorithms(folder) if folder.is_dir() else {}


def _engine(
    options: NodeOptions,
    manifests: Mapping[str, AlgorithmManifest],
    environ: Mapping[str, str],
    home: Path,
) -> ReplicaEngine:
    logs, run_dir = home / "logs", home / "run"
    for folder in (logs, run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.engine is Engine.PROCESS:
        if not manifests:
            raise ConfigurationError("no algorithm to run: JANGADA_ALGORITHMS_DIR names the folder where theirs lie")
        return ProcessEngine(manifests, {**environ, "JANGADA_HOME": str(home)}, logs=logs, run_dir=run_dir)
    raise ConfigurationError(f"no engine {options.engine}")


@contextlib.contextmanager
def _signals(stop: Callable[[], None], wake: Callable[[], None]) -> Iterator[None]:
    """*stop* on SIGTERM and SIGINT, *wake* when a child ends."""
    asked = 0

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            # Somebody will not wait: the kernel tells the replicas.
            os._exit(1)
        stop()

    before = {number: signal.signal(number, on_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: wake())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
