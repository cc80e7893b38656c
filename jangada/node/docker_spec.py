"""What a replica's container is: its names, limits, folders and environment. Pure, but for `prepare_folders`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest

from jangada.node.engine import Order, executor_options
from jangada.remote.identity import NodeIdentity

LABEL_NODE = "jangada.node"
LABEL_REPLICA = "jangada.replica"
LABEL_LANE = "jangada.lane"
READY_FILE = "/run/jangada/ready"
SECRETS_PATH = "/var/openfaas/secrets"
IDENTITY, PLATFORM_CA = "node-identity", "platform-ca"
ALGORITHM = "/opt/algorithm/main"
PIDS = 512
TMP_BYTES = 1024 * 1024 * 1024
LEAST_MEMORY_MIB = 64
"""Less, and Python itself does not start."""

_SECRETS = {"JANGADA_REDIS_URL": "redis-url", "JANGADA_MONGO_URL": "mongo-url"}
"""Addresses may hold passwords: they come as files, not in the environment that ``docker inspect`` shows."""
_NOT_PASSED = frozenset(
    {
        *_SECRETS,
        "JANGADA_HOME", "JANGADA_ALGORITHMS_DIR", "JANGADA_SECRETS_DIR", "JANGADA_METRICS_LISTEN", "JANGADA_TEST_ENVS",
        "JANGADA_PORT", "JANGADA_URL", "JANGADA_API_KEY", "JANGADA_REDIS_BINARY", "JANGADA_PROVIDER",
        "JANGADA_NODE_IDENTITY",
    }
)  # fmt: skip
"""Settings that are true of this machine alone, or of no concern to an executor."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """
    What all containers of one node have in common. *images* and *versions* by algorithm.

    *folders* is where each replica gets one of its own, which the Engine must see
    under the same path.
    """

    node_id: str
    images: Mapping[str, str]
    environ: Mapping[str, str]
    redis_url: str
    mongo_url: str
    folders: Path
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    network: str | None = None
    identity: Path | None = None
    """Of a joined node: its containers get this instead of the addresses of Redis and MongoDB."""

    def folder(self, replica_id: str) -> Path:
        """Where that replica's files lie."""
        return self.folders / replica_id


def prepare_folders(spec: ContainerSpec, replica_id: str) -> None:
    """
    Make the replica's folders: what it writes, and the secrets that it reads.

    Any user may enter them, since nobody knows as whom an image runs: what keeps
    others out is the folder above, which only we may enter.
    """
    spec.folders.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = spec.folder(replica_id)
    for name, mode in (("run", 0o777), ("secrets", 0o755)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(mode)
    for name, text in _secrets(spec):
        file = folder / "secrets" / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o444)


def _secrets(spec: ContainerSpec) -> list[tuple[str, str]]:
    if spec.identity is None:
        return [("redis-url", spec.redis_url), ("mongo-url", spec.mongo_url)]
    identity = NodeIdentity.load(spec.identity)
    if identity.ca_file is None:
        return [(IDENTITY, json.dumps(asdict(identity)))]
    inside = replace(identity, ca_file=f"{SECRETS_PATH}/{PLATFORM_CA}")
    authority = Path(identity.ca_file).read_text(encoding="utf-8")
    return [(IDENTITY, json.dumps(asdict(inside))), (PLATFORM_CA, authority)]


def _environment(spec: ContainerSpec) -> dict[str, str]:
    passed = {
        name: value for name, value in spec.environ.items() if name.startswith("JANGADA_") and name not in _NOT_PASSED
    }
    joined = {} if spec.identity is None else {"JANGADA_NODE_IDENTITY": f"{SECRETS_PATH}/{IDENTITY}"}
    return passed | joined


def container_arguments(spec: ContainerSpec, order: Order) -> dict[str, Any]:
    """Keyword arguments of the SDK's ``create_container``, but for the host's."""
    return {
        "image": spec.images[order.lane.algorithm],
        "name": f"jangada-{order.replica.id}",
        "command": [ALGORITHM, *executor_options(order, ready_file=READY_FILE)],
        "environment": _environment(spec),
        "labels": {
            LABEL_NODE: spec.node_id,
            LABEL_REPLICA: order.replica.id,
            LABEL_LANE: order.lane.name,
        },
    }  # fmt: skip


def host_arguments(spec: ContainerSpec, order: Order) -> dict[str, Any]:
    """
    Keyword arguments of the SDK's ``create_host_config``.

    Nobody in a container gains rights, and none takes more than its deployment says.
    """
    need = order.deployment.resources
    folder = spec.folder(order.replica.id)
    binds = {
        str(folder / "run"): {"bind": READY_FILE.rpartition("/")[0], "mode": "rw"},
        str(folder / "secrets"): {"bind": SECRETS_PATH, "mode": "ro"},
    }
    kind, _, artifacts = spec.environ.get("JANGADA_ARTIFACTS", "").partition(":")
    if kind == "folder":
        binds[artifacts] = {"bind": artifacts, "mode": "rw"}
    settings: dict[str, Any] = {
        "binds": binds,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": PIDS,
        "init": True,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={TMP_BYTES}"},  # noqa: S108 - inside the container
        "log_config": {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "3"}},
        # The agent starts it again, with its back-off, and only where it is still wanted.
        "restart_policy": {"Name": "no"},
        "nano_cpus": need.cpu_millicores * 1_000_000,
        "mem_limit": max(LEAST_MEMORY_MIB, need.memory_mib) * 2**20,
    }
    settings["memswap_limit"] = settings["mem_limit"]
    if spec.network is not None:
        settings["network_mode"] = spec.network
    if order.replica.gpus:
        settings["device_requests"] = [
            DeviceRequest(driver="nvidia", device_ids=list(order.replica.gpus), capabilities=[["gpu"]])
        ]
    return settings
