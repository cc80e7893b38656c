"""Replicas as containers of the algorithms' images."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils
import requests

from jangada.deployments.node import Engine
from jangada.errors import ConfigurationError
from jangada.logs import get_logger
from jangada.node.docker_spec import (
    LABEL_NODE,
    LABEL_REPLICA,
    ContainerSpec,
    container_arguments,
    host_arguments,
    prepare_folders,
)
from jangada.node.engine import Condition, EngineError, Order, Report, Seen, read_report
from jangada.node.engine_process import KILL_AFTER_S, WRONG_USAGE

ENGINE_ERRORS = (docker.errors.DockerException, requests.RequestException, OSError)
"""What any call here may raise when the Engine says no or is away."""

_TIMEOUT_S = 60.0
_LIST_S = 0.1
"""The Engine is asked no more often than this."""
_STARTS_AT_ONCE = 4

_log = get_logger()


@dataclass(slots=True)
class _Replica:
    folder: Path
    start: Future[str] | None = None
    container: str | None = None
    report: Report | None = None
    killed_at: float | None = None
    signals: tuple[str, ...] = ()
    """Still to be sent once the container runs."""


class DockerEngine:
    """
    A `ReplicaEngine` on this machine's Docker Engine.

    Containers outlive the agent: one that is started again finds them by their
    labels and goes on. GPUs are given by UUID; cores and memory are limits.
    """

    kind = Engine.DOCKER

    def __init__(self, spec: ContainerSpec) -> None:
        """Raises `ConfigurationError` when no Engine answers."""
        self._spec = spec
        try:
            # As Docker's own tools: DOCKER_HOST and the like say where it is.
            self._api = docker.APIClient(version="auto", timeout=_TIMEOUT_S, **docker.utils.kwargs_from_env())
        except ENGINE_ERRORS as error:
            raise ConfigurationError(f"no Docker Engine answers: {error}") from error
        self._workers = ThreadPoolExecutor(_STARTS_AT_ONCE, thread_name_prefix="docker")
        self._replicas: dict[str, _Replica] = {}
        self._states: dict[str, str] = {}
        self._listed = 0.0

    def algorithms(self) -> Mapping[str, tuple[str, ...]]:
        """Those whose images are known."""
        return {name: self._spec.versions.get(name, ()) for name in self._spec.images}

    def adopt(self, replicas: Sequence[str]) -> list[str]:
        """See `ReplicaEngine.adopt`."""
        try:
            found = self._containers()
        except ENGINE_ERRORS as error:
            raise ConfigurationError(f"the Docker Engine does not answer: {error}") from error
        adopted = []
        for one in found:
            replica_id = one["Labels"][LABEL_REPLICA]
            if replica_id in replicas and one["State"] == "running":
                folder = self._spec.folder(replica_id)
                self._replicas[replica_id] = _Replica(folder, container=one["Id"])
                adopted.append(replica_id)
            else:
                self._workers.submit(self._end, one["Id"])
        return adopted

    def start(self, order: Order) -> None:
        """See `ReplicaEngine.start`."""
        if order.lane.algorithm not in self._spec.images:
            raise EngineError(f"this node knows no image of {order.lane.algorithm}")
        replica = _Replica(self._spec.folder(order.replica.id))
        try:
            prepare_folders(self._spec, order.replica.id)
        except OSError as error:
            raise EngineError(f"cannot write {replica.folder}: {error.strerror}") from error
        replica.start = self._workers.submit(self._run, order)
        self._replicas[order.replica.id] = replica

    def look(self) -> dict[str, Seen]:
        """See `ReplicaEngine.look`; while the Engine is away everything is as it was."""
        if self._replicas and time.monotonic() - self._listed >= _LIST_S:
            with contextlib.suppress(*ENGINE_ERRORS):
                self._states = {one["Id"]: one["State"] for one in self._containers()}
                self._listed = time.monotonic()
        return {replica_id: self._seen(one) for replica_id, one in self._replicas.items()}

    def stop(self, replica_id: str, grace_s: float) -> None:
        """See `ReplicaEngine.stop`."""
        one = self._replicas.get(replica_id)
        if one is None:
            return
        until = time.monotonic() + grace_s + KILL_AFTER_S
        # Told twice, an executor hands back at once; two of the same signal could arrive as one.
        wanted: tuple[str, ...] = ("SIGTERM",) if grace_s > 0 else ("SIGTERM", "SIGINT")
        if one.killed_at is not None:
            wanted = wanted[1:]
        one.killed_at = until if one.killed_at is None else min(one.killed_at, until)
        one.signals += wanted
        self._send(one)

    def kill(self, replica_id: str) -> None:
        """See `ReplicaEngine.kill`."""
        one = self._replicas.get(replica_id)
        if one is not None:
            one.signals += ("SIGKILL",)
            self._send(one)

    def forget(self, replica_id: str) -> None:
        """See `ReplicaEngine.forget`."""
        one = self._replicas.pop(replica_id, None)
        if one is None:
            return
        if one.container is not None:
            self._workers.submit(self._remove, one.container)
        shutil.rmtree(one.folder, ignore_errors=True)

    def close(self) -> None:
        """End what still runs, and let go of the Engine."""
        for replica_id, one in list(self._replicas.items()):
            if one.container is not None:
                self._workers.submit(self._end, one.container)
            self.forget(replica_id)
        self._workers.shutdown()
        self._api.close()

    # --- what the Engine is asked ----------------------------------------------------

    def _run(self, order: Order) -> str:
        """Start the container; its id. Blocks, also while an image is pulled."""
        arguments = container_arguments(self._spec, order)
        self._require(arguments["image"])
        host = self._api.create_host_config(**host_arguments(self._spec, order))
        made: str = self._api.create_container(**arguments, host_config=host)["Id"]
        try:
            self._api.start(made)
        except ENGINE_ERRORS:
            self._remove(made)
            raise
        return made

    def _require(self, image: str) -> None:
        with contextlib.suppress(docker.errors.ImageNotFound):
            self._api.inspect_image(image)
            return
        _log.info("image.pulling", image=image)
        repository, tag = image, None
        if "@" not in image:
            name, colon, last = image.rpartition(":")
            repository, tag = (name, last) if colon and "/" not in last else (image, "latest")
        for line in self._api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in line:
                raise docker.errors.DockerException(f"image {image} cannot be pulled: {line['error']}")

    def _containers(self) -> list[dict[str, Any]]:
        label = f"{LABEL_NODE}={self._spec.node_id}"
        found: list[dict[str, Any]] = self._api.containers(all=True, filters={"label": label})
        return found

    def _seen(self, one: _Replica) -> Seen:
        if one.container is None:
            if one.start is None or not one.start.done():
                return Seen(Condition.STARTING)
            if (error := one.start.exception()) is not None:
                # What is no answer of the Engine is a mistake of ours, and to be seen.
                return Seen(Condition.ENDED, f"cannot be started: {error}", isinstance(error, docker.errors.APIError))
            one.container = one.start.result()
            self._send(one)
            return Seen(Condition.STARTING)
        state = self._states.get(one.container)
        if state in {"exited", "dead"} or (state is None and self._is_gone(one.container)):
            return self._ended(one)
        if one.killed_at is not None and time.monotonic() > one.killed_at:
            one.killed_at = float("inf")
            one.signals += ("SIGKILL",)
            self._send(one)
        if one.report is None:
            one.report = read_report(one.folder / "run" / "ready")
        return Seen(Condition.STARTING) if one.report is None else Seen(Condition.READY, report=one.report)

    def _ended(self, one: _Replica) -> Seen:
        if one.killed_at is not None or one.container is None:
            return Seen(Condition.ENDED)
        try:
            state = self._api.inspect_container(one.container)["State"]
        except ENGINE_ERRORS:
            return Seen(Condition.ENDED, "its container is gone")
        if state.get("OOMKilled"):
            return Seen(Condition.ENDED, "out of memory")
        said = ""
        with contextlib.suppress(*ENGINE_ERRORS):
            said = self._api.logs(one.container, tail=1).decode(errors="replace").strip()[:300]
        code = state.get("ExitCode")
        return Seen(Condition.ENDED, f"exit code {code}: {said}", code == WRONG_USAGE and one.report is None)

    def _is_gone(self, container: str) -> bool:
        """Whether somebody removed it: one that was made after the list was asked for is not in it either."""
        try:
            self._api.inspect_container(container)
        except docker.errors.NotFound:
            return True
        except ENGINE_ERRORS:
            return False
        return False

    def _send(self, one: _Replica) -> None:
        """Send the signals that wait; one that runs no longer needs none."""
        if one.container is None:
            return
        signals, one.signals = one.signals, ()
        for name in signals:
            with contextlib.suppress(*ENGINE_ERRORS):
                self._api.kill(one.container, signal=name)

    def _end(self, container: str) -> None:
        with contextlib.suppress(*ENGINE_ERRORS):
            self._api.stop(container, timeout=round(KILL_AFTER_S))
        self._remove(container)

    def _remove(self, container: str) -> None:
        with contextlib.suppress(*ENGINE_ERRORS):
            self._api.remove_container(container, v=True, force=True)
