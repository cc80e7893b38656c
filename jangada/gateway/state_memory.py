"""`GatewayState` in memory: for tests, and for a gateway that shall forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jangada.clock import utc_now
from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.gateway.state import Deployed, Namespace, Shared


class MemoryState:
    """Implements `GatewayState`; gone with the process."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._version = 0
        self._deployed: dict[Key, Deployed] = {}
        self._namespaces = {DEFAULT_NAMESPACE: Namespace(DEFAULT_NAMESPACE)}
        self._secrets: dict[Key, bytes] = {}
        self._reports: dict[str, tuple[str, datetime]] = {}
        self._decides = ("", clock())

    async def version(self) -> int:
        """See `GatewayState`."""
        return self._version

    async def deployments(self) -> Sequence[Deployed]:
        """See `GatewayState`."""
        return list(self._deployed.values())

    async def put(self, deployment: FunctionDeployment, replicas: int) -> FunctionDeployment:
        """See `GatewayState`."""
        before = self._deployed.get(deployment.key)
        stored = replace(
            deployment,
            created_at=before.deployment.created_at if before else self._clock(),
            generation=before.deployment.generation + 1 if before else 1,
        )
        self._deployed[deployment.key] = Deployed(stored, replicas)
        self._version += 1
        return stored

    async def set_replicas(self, name: str, namespace: str, replicas: int) -> bool:
        """See `GatewayState`."""
        found = self._deployed.get((name, namespace))
        if found is None:
            return False
        self._deployed[name, namespace] = replace(found, replicas=replicas)
        self._version += 1
        return True

    async def remove(self, name: str, namespace: str) -> bool:
        """See `GatewayState`."""
        self._version += 1
        return self._deployed.pop((name, namespace), None) is not None

    async def namespaces(self) -> Sequence[Namespace]:
        """See `GatewayState`."""
        return [self._namespaces[name] for name in sorted(self._namespaces)]

    async def namespace(self, name: str) -> Namespace | None:
        """See `GatewayState`."""
        return self._namespaces.get(name)

    async def create_namespace(self, namespace: Namespace) -> bool:
        """See `GatewayState`."""
        if namespace.name in self._namespaces:
            return False
        self._namespaces[namespace.name] = namespace
        return True

    async def update_namespace(self, namespace: Namespace) -> bool:
        """See `GatewayState`."""
        if namespace.name not in self._namespaces:
            return False
        self._namespaces[namespace.name] = namespace
        return True

    async def remove_namespace(self, name: str) -> bool:
        """See `GatewayState`."""
        if name == DEFAULT_NAMESPACE or name not in self._namespaces:
            return False
        for key in [key for key in self._secrets if key[0] == name]:
            del self._secrets[key]
        del self._namespaces[name]
        return True

    async def secret_names(self, namespace: str) -> Sequence[str]:
        """See `GatewayState`."""
        return sorted(name for space, name in self._secrets if space == namespace)

    async def secret(self, namespace: str, name: str) -> bytes | None:
        """See `GatewayState`."""
        return self._secrets.get((namespace, name))

    async def create_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """See `GatewayState`."""
        if (namespace, name) in self._secrets:
            return False
        self._secrets[namespace, name] = content
        return True

    async def update_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """See `GatewayState`."""
        if (namespace, name) not in self._secrets:
            return False
        self._secrets[namespace, name] = content
        return True

    async def remove_secret(self, namespace: str, name: str) -> bool:
        """See `GatewayState`."""
        return self._secrets.pop((namespace, name), None) is not None

    async def share(self, gateway: str, report: str, lease_s: float) -> Shared:
        """See `GatewayState`."""
        now = self._clock()
        lease = timedelta(seconds=lease_s)
        self._reports[gateway] = (report, now)
        owner, until = self._decides
        if owner in {"", gateway} or until <= now:
            self._decides = (gateway, now + lease)
        others = {
            id_: said for id_, (said, at) in self._reports.items() if id_ != gateway and now - at < lease
        }  # fmt: skip
        return Shared(self._decides[0] == gateway, others)

    async def resign(self, gateway: str) -> None:
        """See `GatewayState`."""
        self._reports.pop(gateway, None)
        if self._decides[0] == gateway:
            self._decides = ("", self._clock())

    async def close(self) -> None:
        """Nothing is held."""
