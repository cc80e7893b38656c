"""
What is deployed, and the only code that changes it: the state is written first, then the provider is told.

A copy of the state is kept in memory, so that no request waits for the store and
a store that is away stops no function. What another gateway changed is found by
polling the state's version.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path

from jangada.errors import StoreUnavailableError
from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.errors import (
    AlreadyThereError,
    BadRequestError,
    DeployRefusedError,
    UnknownFunctionError,
    UnknownNamespaceError,
    UnknownSecretError,
)
from jangada.gateway.provider import Provider
from jangada.gateway.scaling import MOST_REPLICAS, read_policy
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.gateway.state import Deployed, GatewayState, Namespace, Shared
from jangada.logs import get_logger

log = get_logger(part="control")

_POLL_S = 1.0
_RELOAD_S = 30.0
_LOADED_WITHIN_S = 10.0
_NAMESPACE_LABEL = "openfaas"


class Control:
    """
    *stack* is deployed from the first moment, as if `faas-cli up` had been run on it.

    Its functions may name secrets that lie as files in *secrets_dir*; all others
    only those of the state.
    """

    def __init__(
        self,
        state: GatewayState,
        provider: Provider,
        *,
        stack: Sequence[FunctionDeployment] = (),
        secrets_dir: Path | None = None,
        poll_s: float = _POLL_S,
    ) -> None:
        self._state = state
        self._provider = provider
        self._stack = {deployment.key: deployment for deployment in stack}
        self._secrets_dir = secrets_dir
        self._poll_s = poll_s
        self._id = f"gateway_{uuid.uuid4().hex[:16]}"
        self._deployed: dict[Key, Deployed] = {}
        self._routes: dict[str, Key] = {}
        self._applied: dict[Key, Deployed] = {}
        self._version = -1
        self._writes = 0
        self._loaded = asyncio.Event()
        self._lock = asyncio.Lock()
        self._read_at = -_RELOAD_S
        self._is_settled = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Deploy the stack and begin to follow the state; a state that is away is waited for in the background."""
        for key, deployment in self._stack.items():
            self._deployed[key] = Deployed(deployment, read_policy(deployment.labels).minimum)
        self._index()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following; what runs is the provider's to stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_loaded(self) -> bool:
        """Whether the state has been read once."""
        return self._loaded.is_set()

    def needed(self) -> Sequence[FunctionDeployment]:
        """The functions of the stack, without which the platform is not ready; those wished away are left out."""
        return [
            deployed.deployment for key in self._stack if (deployed := self._deployed.get(key)) and deployed.replicas
        ]

    def all(self) -> Sequence[Deployed]:
        """Everything that is deployed."""
        return tuple(self._deployed.values())

    def get(self, name: str, namespace: str) -> Deployed | None:
        """The function of that name, or None."""
        return self._deployed.get((name, namespace))

    async def lookup(self, name: str, namespace: str) -> FunctionDeployment | None:
        """As `get`; just after the start it waits until the state has been read before it says None."""
        found = self._deployed.get((name, namespace))
        if found is None and await self._has_loaded():
            found = self._deployed.get((name, namespace))
        return found.deployment if found is not None else None

    def owner(self, path: str) -> FunctionDeployment | None:
        """
        The function whose public route *path* lies under: the longest that is claimed of ``/a/b/*/d``, where the
        third part may be anything, ``/a/b`` and ``/a``.
        """
        segments = path.split("/", 5)
        if len(segments) > 4:
            key = self._routes.get(f"/{segments[1]}/{segments[2]}/*/{segments[4]}")
            if key is not None and (found := self._deployed.get(key)) is not None:
                return found.deployment
        for depth in (3, 2):
            key = self._routes.get("/".join(segments[:depth])) if len(segments) >= depth else None
            if key is not None and (found := self._deployed.get(key)) is not None:
                return found.deployment
        return None

    async def find_owner(self, path: str) -> FunctionDeployment | None:
        """As `owner`; just after the start it waits as `lookup` does."""
        found = self.owner(path)
        if found is None and await self._has_loaded():
            found = self.owner(path)
        return found

    async def deploy(self, deployment: FunctionDeployment) -> None:
        """Deploy it, in place of what has its name. Raises `BadRequestError` and `DeployRefusedError`."""
        await self._check(deployment)
        async with self._lock:
            await self._put(deployment)

    async def update(self, deployment: FunctionDeployment) -> None:
        """As `deploy`; raises `UnknownFunctionError` when nothing has its name."""
        if await self.lookup(*deployment.key) is None:
            raise UnknownFunctionError(f"unable to find function: {deployment.qualified_name}")
        await self.deploy(deployment)

    async def remove(self, name: str, namespace: str) -> None:
        """Forget and stop it. Raises `UnknownFunctionError`."""
        async with self._lock:
            was_stored = await self._state.remove(name, namespace)
            if self._deployed.pop((name, namespace), None) is None and not was_stored:
                raise UnknownFunctionError(f"unable to find function: {name}.{namespace}")
            self._index()
            self._writes += 1
            await self._tell_provider()

    async def scale(self, name: str, namespace: str, replicas: int) -> None:
        """
        Wish for *replicas*; more than the ``scale.max`` label allows is as many as it allows.

        Raises `UnknownFunctionError`.
        """
        async with self._lock:
            found = self._deployed.get((name, namespace))
            if found is None:
                raise UnknownFunctionError(f"unable to find function: {name}.{namespace}")
            policy = read_policy(found.deployment.labels)
            most = policy.maximum if policy.has_maximum else MOST_REPLICAS
            replicas = min(replicas, most)
            if replicas == found.replicas:
                return
            await self._state.set_replicas(name, namespace, replicas)
            self._adopt(Deployed(found.deployment, replicas))
            await self._tell_provider()
        log.info("function.scaled", function=f"{name}.{namespace}", replicas=replicas, before=found.replicas)

    async def wake(self, name: str, namespace: str) -> None:
        """
        Have at least one replica, if there is such a function.

        The provider is told first: somebody waits, and a store that is away must not keep them waiting.
        """
        async with self._lock:
            found = self._deployed.get((name, namespace))
            if found is None or found.replicas > 0:
                return
            replicas = read_policy(found.deployment.labels).minimum
            self._adopt(Deployed(found.deployment, replicas))
            await self._tell_provider()
        log.info("function.woken", function=f"{name}.{namespace}", replicas=replicas)
        try:
            await self._state.set_replicas(name, namespace, replicas)
        except StoreUnavailableError as error:
            log.warning("state.away", reason=str(error))

    async def share_load(self, report: str, lease_s: float) -> Shared:
        """Tell the other gateways of the store what this one sees; whether this one decides for all."""
        return await self._state.share(self._id, report, lease_s)

    async def resign(self) -> None:
        """Let another gateway decide."""
        with contextlib.suppress(StoreUnavailableError):
            await self._state.resign(self._id)

    async def namespaces(self) -> Sequence[str]:
        """Their names."""
        return [namespace.name for namespace in await self._state.namespaces()]

    async def namespace(self, name: str) -> Namespace:
        """Raises `UnknownNamespaceError`."""
        found = await self._state.namespace(name)
        if found is None:
            raise UnknownNamespaceError(f"namespace {name} not found")
        return found

    async def create_namespace(self, namespace: Namespace) -> None:
        """Raises `BadRequestError` without the label ``openfaas: "1"``, `AlreadyThereError`."""
        _check_label(namespace)
        if not await self._state.create_namespace(namespace):
            raise AlreadyThereError(f"namespace {namespace.name} already exists")

    async def update_namespace(self, namespace: Namespace) -> None:
        """Replace its labels. Raises `BadRequestError`, `UnknownNamespaceError`."""
        await self.namespace(namespace.name)
        _check_label(namespace)
        await self._state.update_namespace(namespace)

    async def remove_namespace(self, name: str) -> None:
        """Forget it with its secrets, and remove its functions. Raises `BadRequestError`, `UnknownNamespaceError`."""
        await self.namespace(name)
        if name == DEFAULT_NAMESPACE:
            raise BadRequestError(f"namespace {name} is the default one and stays")
        for function, namespace in [key for key in self._deployed if key[1] == name]:
            await self.remove(function, namespace)
        await self._state.remove_namespace(name)

    async def secret_names(self, namespace: str) -> Sequence[str]:
        """Raises `BadRequestError` for an unknown namespace, as all that deal with secrets."""
        await self.known_namespace(namespace)
        return await self._state.secret_names(namespace)

    async def create_secret(self, namespace: str, name: str, content: bytes) -> None:
        """Raises `AlreadyThereError`."""
        await self.known_namespace(namespace)
        if not await self._state.create_secret(namespace, name, content):
            raise AlreadyThereError(f"secret {name} already exists in {namespace}")
        await self._replace_users(namespace, name)

    async def update_secret(self, namespace: str, name: str, content: bytes) -> None:
        """
        The functions that name it get new replicas, one after the other. Raises `UnknownSecretError`.

        The same *content* again changes nothing: each deploy of a pipeline sends it.
        """
        await self.known_namespace(namespace)
        if await self._state.secret(namespace, name) == content:
            return
        if not await self._state.update_secret(namespace, name, content):
            raise UnknownSecretError(f"secret {name} not found in {namespace}")
        await self._replace_users(namespace, name)

    async def remove_secret(self, namespace: str, name: str) -> None:
        """Raises `UnknownSecretError`."""
        await self.known_namespace(namespace)
        if not await self._state.remove_secret(namespace, name):
            raise UnknownSecretError(f"secret {name} not found in {namespace}")

    async def known_namespace(self, name: str) -> None:
        """Raises `BadRequestError` when there is no such namespace."""
        if await self._state.namespace(name) is None:
            raise BadRequestError("namespace not valid")

    async def _has_loaded(self) -> bool:
        """Wait for the first reading of the state; False when it had been read before, or does not come."""
        if self._loaded.is_set():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOADED_WITHIN_S):
                await self._loaded.wait()
        return self._loaded.is_set()

    async def _check(self, deployment: FunctionDeployment) -> None:
        await self.known_namespace(deployment.namespace)
        for secret in deployment.secrets:
            if await self._state.secret(deployment.namespace, secret) is None and not self._lies_here(
                deployment, secret
            ):
                raise DeployRefusedError(f"unable to find secret: {secret}")
        for route in deployment.routes:
            owner = self._routes.get(route)
            if owner is not None and owner != deployment.key:
                raise DeployRefusedError(f"route {route} belongs to function {owner[0]}.{owner[1]}")
        await self._provider.check(deployment)

    def _lies_here(self, deployment: FunctionDeployment, secret: str) -> bool:
        return (
            deployment.key in self._stack and self._secrets_dir is not None and (self._secrets_dir / secret).is_file()
        )

    async def _put(self, deployment: FunctionDeployment) -> None:
        policy = read_policy(deployment.labels)
        before = self._deployed.get(deployment.key)
        replicas = before.replicas if before is not None else 0
        # An update brings a function back that was scaled to zero: whoever deploys wants to see it.
        replicas = max(policy.minimum, replicas)
        if policy.has_maximum:
            replicas = min(replicas, policy.maximum)
        stored = await self._state.put(deployment, replicas)
        self._adopt(Deployed(stored, replicas))
        log.info("function.deployed", function=stored.qualified_name, image=stored.image, generation=stored.generation)
        await self._tell_provider()

    async def _replace_users(self, namespace: str, secret: str) -> None:
        """Deploy what uses *secret* anew as it is: by its next generation every gateway knows that it changed."""
        async with self._lock:
            users = [
                one
                for one in self._deployed.values()
                if one.deployment.namespace == namespace and secret in one.deployment.secrets
            ]
            for one in users:
                self._adopt(Deployed(await self._state.put(one.deployment, one.replicas), one.replicas))
                log.info("function.secret_changed", function=one.deployment.qualified_name, secret=secret)
            await self._tell_provider()

    async def _follow(self) -> None:
        was_away = False
        while True:
            try:
                await self._read_changes()
                was_away = False
            except StoreUnavailableError as error:
                if not was_away:
                    log.warning("state.away", reason=str(error))
                was_away = True
            except Exception:
                log.exception("control.failed")
            async with self._lock:
                await self._tell_provider()
                if self._loaded.is_set() and not self._is_settled:
                    self._is_settled = True
                    await self._provider.settle()
            await asyncio.sleep(self._poll_s)

    async def _read_changes(self) -> None:
        now = asyncio.get_running_loop().time()
        version = await self._state.version()
        if version == self._version and now - self._read_at < _RELOAD_S:
            return
        # Read without the lock: a store that hangs must not keep anybody from scaling.
        writes = self._writes
        found = {deployed.deployment.key: deployed for deployed in await self._state.deployments()}
        if not self._loaded.is_set():
            await self._add_stack(found)
            version = await self._state.version()
        async with self._lock:
            # What was changed here meanwhile is newer than what was read; the next poll sees both.
            if writes == self._writes:
                self._deployed = found
                self._index()
                self._version, self._read_at = version, now
                self._loaded.set()

    async def _add_stack(self, found: dict[Key, Deployed]) -> None:
        for key, wanted in self._stack.items():
            stored = found.get(key)
            if stored is None or stored.deployment.to_json() != wanted.to_json():
                replicas = max(stored.replicas if stored else 0, read_policy(wanted.labels).minimum)
                found[key] = Deployed(await self._state.put(wanted, replicas), replicas)

    def _adopt(self, deployed: Deployed) -> None:
        self._deployed[deployed.deployment.key] = deployed
        self._index()
        self._writes += 1

    def _index(self) -> None:
        self._routes = {route: key for key, deployed in self._deployed.items() for route in deployed.deployment.routes}

    async def _tell_provider(self) -> None:
        """Bring the provider to what is deployed; where it fails it is tried again at the next poll."""
        for key in [key for key in self._applied if key not in self._deployed]:
            await self._provider.remove(*key)
            del self._applied[key]
        for key, deployed in list(self._deployed.items()):
            before = self._applied.get(key)
            if before == deployed:
                continue
            try:
                if before is not None and before.deployment.generation == deployed.deployment.generation:
                    await self._provider.scale(*key, deployed.replicas)
                else:
                    await self._provider.apply(deployed.deployment, deployed.replicas)
            except DeployRefusedError as error:
                # It would be refused again until it is deployed anew.
                log.warning("function.refused", function=deployed.deployment.qualified_name, reason=str(error))
            except Exception:
                log.exception("function.not_applied", function=deployed.deployment.qualified_name)
                continue
            self._applied[key] = deployed


def _check_label(namespace: Namespace) -> None:
    if namespace.labels.get(_NAMESPACE_LABEL) != "1":
        raise BadRequestError(f'namespace {namespace.name} needs the label {_NAMESPACE_LABEL}: "1"')
