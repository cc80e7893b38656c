"""An agent of a node that joined: it reaches the platform over HTTPS, and so do its executors."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from jangada.algorithms.store import AlgorithmStore
from jangada.deployments.scaler import Scaler
from jangada.deployments.store import DeploymentStore
from jangada.errors import ConfigurationError
from jangada.jobs.queue import JobQueue
from jangada.logs import get_logger
from jangada.remote.agency import RemoteAgency, RemoteAlgorithms, RemoteBells, RemoteClock
from jangada.remote.identity import NodeIdentity, new_private_key, require_safe
from jangada.remote.link import NodeLink, RefusedError

_log = get_logger()


def identity_file(home: Path) -> Path:
    """Where the identity of the node lies whose data are in *home*."""
    return home / "node" / "identity.json"


def join_platform(
    home: Path, url: str, token: str, *, name: str | None, ca_file: Path | None, is_insecure: bool
) -> NodeIdentity:
    """
    Make a key pair, enrol its public half with *token*, and keep it in *home*.

    Raises `ConfigurationError` for an address that is not safe and for a *home* that
    has joined already, `UnauthenticatedError` for a token that is worth nothing, and
    `StoreUnavailableError` when the platform does not answer: then the same call goes
    on with the same key.
    """
    file = identity_file(home)
    if file.exists():
        known = NodeIdentity.load(file)
        raise ConfigurationError(f"{home} is the node {known.node_id} of {known.url} already; --home names another")
    pending = file.with_name("joining.json")
    made = NodeIdentity(
        url=require_safe(url, is_insecure=is_insecure),
        node_id="",
        # A lost answer has used the token up for this key alone.
        private_key=NodeIdentity.load(pending).private_key if pending.exists() else new_private_key(),
        ca_file=None if ca_file is None else str(ca_file.resolve()),
        is_insecure=is_insecure,
        name=name or socket.gethostname(),
    )
    made.save(pending)
    link = NodeLink(made)
    try:
        answer = link.join({"token": token, "public_key": made.public_key, "name": made.name})
    except RefusedError as error:
        raise ConfigurationError(f"{made.url} refused: {error}") from error
    finally:
        link.close()
    joined = replace(made, node_id=str(answer["id"]))
    joined.save(file)
    pending.unlink()
    return joined


class JoinedPlatform:
    """What an agent beside Redis and MongoDB finds there; see `jangada.node.run.DirectPlatform`."""

    def __init__(self, file: Path, *, only_wished: bool) -> None:
        self.file = file
        self.identity = NodeIdentity.load(file)
        require_safe(self.identity.url, is_insecure=self.identity.is_insecure)
        self._link = NodeLink(self.identity)
        self.clock = RemoteClock()
        self._agency = RemoteAgency(self._link, self.clock, only_wished=only_wished)
        self.store = cast(DeploymentStore, self._agency)
        self.deployments = self._agency.page
        self.scaler = cast(Scaler, self._agency)
        self.queue = cast(JobQueue, RemoteBells(self._link))
        self.algorithms = cast(AlgorithmStore, RemoteAlgorithms(self._link))
        self.sweeper = None

    @property
    def name(self) -> str | None:
        """What it was called when it joined."""
        return self.identity.name or None

    @property
    def node_id(self) -> str:
        """Who the platform says we are."""
        return self.identity.node_id

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What executors get: who they work for, and nothing of Redis and MongoDB."""
        kept = {
            name: value for name, value in environ.items() if name not in {"JANGADA_REDIS_URL", "JANGADA_MONGO_URL"}
        }
        return kept | {"JANGADA_NODE_IDENTITY": str(self.file)}

    def close(self) -> None:
        """Close the connections."""
        self._link.close()
