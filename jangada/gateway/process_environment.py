"""The environment and the secrets of functions that run as processes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from jangada.errors import StoreUnavailableError
from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.handlers import Handler
from jangada.gateway.lifeline import GRACE_VARIABLE, PATH_VARIABLE
from jangada.gateway.replica_process import private_folder

SecretSource = Callable[[str, str], Awaitable[bytes | None]]
"""Namespace and name to content: `GatewayState.secret`."""

# What any program may need of the machine's environment; a user's function gets nothing else of it.
_INHERITED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "JANGADA_LOG_LEVEL", "JANGADA_LOG_FORMAT", PATH_VARIABLE, GRACE_VARIABLE,
})  # fmt: skip


def environment_of(
    deployment: FunctionDeployment, handler: Handler, machine: Mapping[str, str], secrets: Path
) -> dict[str, str]:
    """
    What *deployment* sees: little of the *machine*'s environment, unless it is the platform's own; then its own.

    *secrets* is the folder of its secrets, told as ``secret_mount_path`` and ``JANGADA_SECRETS_DIR``.
    """
    own = {
        "OPENFAAS_NAME": deployment.service,
        "OPENFAAS_NAMESPACE": deployment.namespace,
        "PYTHONUNBUFFERED": "1",
        "secret_mount_path": str(secrets),
    }
    if deployment.env_process:
        own["fprocess"] = deployment.env_process
    if handler.of_platform:
        return dict(machine) | own | dict(deployment.env_vars)
    inherited = {name: value for name, value in machine.items() if name in _INHERITED or name.startswith("LC_")}
    own["JANGADA_SECRETS_DIR"] = own["secret_mount_path"]
    return inherited | own | dict(deployment.env_vars)


class SecretFiles:
    """Functions' secrets as files that only their owner reads, below *path*; *source* gives their contents."""

    def __init__(self, path: Path, source: SecretSource) -> None:
        self._path = path
        self._source = source

    def folder(self, key: Key) -> Path:
        """Those of one function."""
        return self._path / key[1] / key[0]

    async def write(self, deployment: FunctionDeployment) -> None:
        """Make the folder hold what *deployment* names and nothing else."""
        folder = private_folder(self.folder(deployment.key))
        for path in folder.iterdir():
            if path.name not in deployment.secrets:
                path.unlink(missing_ok=True)
        for name in deployment.secrets:
            # With the store away, what was written at the last start is still right.
            with contextlib.suppress(StoreUnavailableError):
                content = await self._source(deployment.namespace, name)
                if content is not None:
                    temporary = folder / f".{name}.{os.getpid()}"
                    temporary.touch(mode=0o600)
                    temporary.write_bytes(content)
                    temporary.replace(folder / name)

    def forget(self, key: Key) -> None:
        """Remove those of one function."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def keep_only(self, keys: Collection[Key]) -> None:
        """Remove those of all functions but *keys*."""
        for folder in self._path.glob("*/*"):
            if (folder.name, folder.parent.name) not in keys:
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove all."""
        shutil.rmtree(self._path, ignore_errors=True)
