"""From a deployment to what Docker Engine is asked for; no call to the Engine is made here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.errors import DeployRefusedError

FUNCTION_PORT = 8080
SECRETS_PATH = "/var/openfaas/secrets"
LEAST_MEMORY_BYTES = 6 * 1024 * 1024
"""Docker Engine refuses less."""
PIDS = 1024
LABEL_OWNER = "io.jangada.gateway"
LABEL_FUNCTION = "io.jangada.function"
LABEL_NAMESPACE = "io.jangada.namespace"
LABEL_REVISION = "io.jangada.revision"
LABEL_SLOT = "io.jangada.slot"

_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(e[0-9]+|[a-zA-Z]*)$")
_FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"),
    "k": Decimal(10**3), "K": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DockerOptions:
    """
    How functions' containers are run.

    *owner* marks ours, so that several platforms can share one Engine. *secrets_dir*
    is a folder on the Engine's machine (best on a tmpfs) that this process sees under
    the same path. *runtime* is one that the Engine knows (``runsc`` is gVisor).
    """

    secrets_dir: Path
    owner: str = "jangada"
    network: str = "jangada-functions"
    runtime: str | None = None
    tmp_bytes: int = 256 * 1024 * 1024
    environment: Mapping[str, str] | None = None


def parse_quantity(text: str, what: str) -> Decimal:
    """A Kubernetes quantity (``128Mi``, ``1G``, ``500m``, ``0.5``). Raises `DeployRefusedError`."""
    match = _QUANTITY.match(text.strip())
    try:
        if match is None or len(text) > 32:
            raise ValueError
        number, suffix = match.groups()
        if suffix[:1] == "e" and suffix[1:].isdigit():
            if int(suffix[1:]) > 18:
                raise ValueError
            return Decimal(number) * Decimal(10) ** int(suffix[1:])
        return Decimal(number) * _FACTORS[suffix]
    except (ValueError, KeyError, InvalidOperation):
        raise DeployRefusedError(f"limits: {what} {text!r} is no quantity; write 128Mi, 1G, 500m or 0.5") from None


def revision(deployment: FunctionDeployment) -> str:
    """Which containers are of this deployment: changes with its content and with its generation."""
    said = json.dumps([deployment.to_json(), deployment.generation], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def container_name(options: DockerOptions, deployment: FunctionDeployment, slot: int) -> str:
    """The same for every gateway that wants this copy: of two that create it at once, one is refused and adopts it."""
    return f"{options.owner}-{deployment.namespace}-{deployment.service}-{revision(deployment)}-{slot}"


def secrets_folder(options: DockerOptions, key: Key) -> Path:
    """Where the secrets of one function lie on the Engine's machine."""
    name, namespace = key
    return options.secrets_dir / options.owner / namespace / name


def environment(options: DockerOptions, deployment: FunctionDeployment) -> dict[str, str]:
    """Over the image's own: ours, the deployment's, then ``fprocess`` [contract §5.1]."""
    found = dict(options.environment or {})
    found |= {"OPENFAAS_NAME": deployment.service, "OPENFAAS_NAMESPACE": deployment.namespace}
    if deployment.env_process:
        found["fprocess"] = deployment.env_process
    return found | dict(deployment.env_vars)


def labels(options: DockerOptions, deployment: FunctionDeployment, slot: int) -> dict[str, str]:
    """The deployment's labels and those that we find a container by."""
    return dict(deployment.labels) | {
        LABEL_OWNER: options.owner,
        LABEL_FUNCTION: deployment.service,
        LABEL_NAMESPACE: deployment.namespace,
        LABEL_REVISION: revision(deployment),
        LABEL_SLOT: str(slot),
    }


def host_settings(options: DockerOptions, deployment: FunctionDeployment) -> dict[str, Any]:
    """
    Keyword arguments of the SDK's `create_host_config`. Raises `DeployRefusedError`.

    Nobody in a container gains rights: no capabilities, no new privileges, a bound
    on processes. ``/tmp`` is memory, and writable also on a read-only root.
    """
    settings: dict[str, Any] = {
        "network_mode": options.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": PIDS,
        "read_only": deployment.read_only_root_filesystem,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={options.tmp_bytes}"},  # noqa: S108  (inside the container)
        # Reaps what the function leaves behind, and lets SIGTERM end a process that has no handler for it.
        "init": True,
        "log_config": {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "3"}},
        # The gateway starts a copy again, with its back-off, also after a restart of the machine.
        "restart_policy": {"Name": "no"},
    }
    memory = deployment.limits.get("memory")
    if memory:
        settings["mem_limit"] = max(LEAST_MEMORY_BYTES, int(parse_quantity(memory, "memory")))
        settings["memswap_limit"] = settings["mem_limit"]
    cpu = deployment.limits.get("cpu")
    if cpu:
        settings["nano_cpus"] = max(10_000_000, int(parse_quantity(cpu, "cpu") * 10**9))
    gpus = deployment.limits.get("nvidia.com/gpu")
    if gpus:
        count = int(parse_quantity(gpus, "nvidia.com/gpu"))
        settings["device_requests"] = [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]
    if options.runtime:
        settings["runtime"] = options.runtime
    if deployment.secrets:
        folder = secrets_folder(options, deployment.key)
        settings["binds"] = {str(folder): {"bind": SECRETS_PATH, "mode": "ro"}}
    return settings
