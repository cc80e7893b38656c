"""From settings and options to an agent at work: what ``jangada node run`` does besides talking to people."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from jangada.algorithms.manifest import AlgorithmManifest, find_versions
from jangada.algorithms.store import AlgorithmStore
from jangada.clock import utc_now
from jangada.deployments.deployment import Deployment
from jangada.deployments.ledger_mongo import MongoUsageLedger
from jangada.deployments.node import Engine, Node
from jangada.deployments.scaler import Scaler
from jangada.deployments.service import shared_deployment
from jangada.deployments.store import DeploymentStore
from jangada.deployments.store_mongo import MongoDeploymentStore
from jangada.errors import ConfigurationError
from jangada.executor.connect import Connections
from jangada.jobs.sweep import Sweeper
from jangada.logs import get_logger
from jangada.node.agent import NodeAgent
from jangada.node.capacity import machine_capacity
from jangada.node.catalog import Catalog
from jangada.node.engine import ReplicaEngine
from jangada.node.engine_process import ProcessEngine
from jangada.node.identity import held_identity
from jangada.node.joined import JoinedPlatform, identity_file
from jangada.node.metrics import NodeMetrics
from jangada.settings import Settings

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

Versions = tuple[AlgorithmManifest, ...]
"""Those of one algorithm, newest first."""

_log = get_logger()


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """
    What the operator says of a node. None: what the machine has.

    *only_wished*: leave alone the deployments that nobody asked for; somebody else
    runs their executors, as `jangada up` does. *algorithms*: no others. Once all that
    can be is registered, our process id is in *ready_file*.
    """

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: Engine = Engine.PROCESS
    cpu: float | None = None
    memory_mib: int | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    only_wished: bool = False
    algorithms: tuple[str, ...] = ()
    ready_file: Path | None = None


def run_node(settings: Settings, environ: Mapping[str, str], options: NodeOptions) -> None:
    """
    Run this machine's agent until SIGTERM or SIGINT. To be called from the main thread.

    Raises `ConfigurationError` before anything was started.
    """
    home = settings.home.expanduser().resolve()
    capacity = machine_capacity(cpu=options.cpu, memory_mib=options.memory_mib)
    manifests = _manifests(settings, options.algorithms)
    environ = {**environ, "JANGADA_HOME": str(home)}
    with held_identity(home) as own_id:
        platform = _platform(settings, options, home, own_id)
        try:
            engine = _engine(settings, options, platform, manifests, platform.environ(environ))
            node = Node(
                id=platform.node_id,
                name=options.name or platform.name or socket.gethostname(),
                cpu_millicores=capacity.cpu_millicores,
                memory_mib=capacity.memory_mib,
                lease_until=_NEVER,
                gpus=capacity.gpus,
                labels=dict(options.labels),
                engines=(engine.kind,),
                algorithms=engine.algorithms(),
            )
            catalog = _catalog(options, platform, manifests, environ)
            _work(settings, platform, node, engine, catalog)
        finally:
            platform.close()


class DirectPlatform:
    """Redis and MongoDB themselves, as an agent uses them."""

    name = None

    def __init__(self, settings: Settings, node_id: str, *, only_wished: bool) -> None:
        self.node_id = node_id
        self._connections = Connections.open(settings)
        database = self._connections.mongo[settings.mongo_database]
        self.queue = self._connections.queue
        self.algorithms = self._connections.algorithms
        self.store = MongoDeploymentStore(database)
        self.scaler = Scaler(self.store, self.queue, MongoUsageLedger(database))
        self.deployments = self.store.page if only_wished else partial(_every, self.store, self.algorithms)
        self.clock = utc_now
        # Queues whose last executor went are swept too.
        self.sweeper = Sweeper(self.queue, self._connections.store, retention_s=settings.retention_s)

    def environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """What executors get."""
        return environ

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _platform(settings: Settings, options: NodeOptions, home: Path, own_id: str) -> DirectPlatform | JoinedPlatform:
    """Where the node belongs: a joined one to the platform that it joined."""
    file = settings.node_identity or identity_file(home)
    if settings.node_identity is None and not file.is_file():
        return DirectPlatform(settings, own_id, only_wished=options.only_wished)
    return JoinedPlatform(file, only_wished=options.only_wished)


def _work(
    settings: Settings,
    platform: DirectPlatform | JoinedPlatform,
    node: Node,
    engine: ReplicaEngine,
    catalog: Catalog,
) -> None:
    metrics = NodeMetrics()
    agent = NodeAgent(
        node,
        engine,
        platform.store,
        platform.queue,
        platform.scaler,
        deployments=platform.deployments,
        metrics=metrics,
        clock=platform.clock,
    )
    server = metrics.serve(settings.metrics_listen, agent.held, node.name) if settings.metrics_listen else None
    if platform.sweeper is not None:
        platform.sweeper.start()
    catalog.start()
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
        catalog.stop()
        if platform.sweeper is not None:
            platform.sweeper.stop()
        if server is not None:
            server.stop()
    _log.info("node.stopped", node=node.name)


def _every(store: DeploymentStore, algorithms: AlgorithmStore) -> list[Deployment]:
    """The wishes, and for each algorithm that nobody made one of its name for, the shared one that it has by itself."""
    found = {record.name: shared_deployment(record) for record in algorithms.page()}
    found |= {one.name: one for one in store.page()}
    return list(found.values())


def _catalog(
    options: NodeOptions,
    platform: DirectPlatform | JoinedPlatform,
    manifests: Mapping[str, Versions],
    environ: Mapping[str, str],
) -> Catalog:
    def say_ready() -> None:
        if options.ready_file is not None:
            options.ready_file.write_text(f"{os.getpid()}\n", encoding="utf-8")

    newest = [versions[0] for versions in manifests.values()]
    mine = [] if options.only_wished or options.engine is not Engine.PROCESS else newest
    return Catalog(platform.algorithms, mine, environ, say_ready)


def _manifests(settings: Settings, only: Sequence[str]) -> dict[str, Versions]:
    folder = (settings.algorithms_dir or Path("executors")).resolve()
    found = find_versions(folder) if folder.is_dir() else {}
    for name in only:
        if name not in found:
            raise ConfigurationError(f"no algorithm {name} in {folder}; there are: {', '.join(found) or 'none'}")
    return {name: found[name] for name in only or found}


def _engine(
    settings: Settings,
    options: NodeOptions,
    platform: DirectPlatform | JoinedPlatform,
    manifests: Mapping[str, Versions],
    environ: Mapping[str, str],
) -> ReplicaEngine:
    home = settings.home.expanduser().resolve()
    logs, run_dir = home / "logs", home / "run"
    for folder in (logs, run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.engine is Engine.PROCESS:
        if not manifests:
            raise ConfigurationError("no algorithm to run: JANGADA_ALGORITHMS_DIR names the folder where theirs lie")
        return ProcessEngine(manifests, environ, logs=logs, run_dir=run_dir)
    from jangada.node.docker_spec import ContainerSpec
    from jangada.node.engine_docker import DockerEngine

    newest = {name: versions[0] for name, versions in manifests.items()}
    images = {name: manifest.image for name, manifest in newest.items() if manifest.image} | dict(options.images)
    if not images:
        raise ConfigurationError("no image to run: --image ALGORITHM=IMAGE, or `image:` in an executor.yml")
    return DockerEngine(
        ContainerSpec(
            node_id=platform.node_id,
            images=images,
            versions={name: (manifest.version,) for name, manifest in newest.items()},
            environ=environ,
            redis_url=settings.redis_url,
            mongo_url=settings.mongo_url,
            folders=run_dir / "containers",
            network=options.network,
            identity=platform.file if isinstance(platform, JoinedPlatform) else None,
        )
    )


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
