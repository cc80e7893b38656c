"""The records of nodes that joined over HTTPS, and of the tokens by which they may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jangada.deployments.deployment import Trust


@dataclass(frozen=True, slots=True)
class JoinToken:
    """
    The right of one machine to join, once, until *expires_at*, with that trust and those labels.

    *digest* is the SHA-256 of its secret part, in hex. *node_id* is who the node will be.
    """

    id: str
    digest: str
    trust: Trust
    labels: Mapping[str, str]
    created_at: datetime
    expires_at: datetime
    created_by: str
    verify_share: float = 0.0
    """Of an untrusted node's jobs, so many are done again elsewhere and compared."""

    @property
    def node_id(self) -> str:
        """One token, one node: whoever is inserted first under this id has used it."""
        return "node_" + self.id.partition("_")[2]


@dataclass(frozen=True, slots=True)
class JoinedNode:
    """
    One node. *public_key* (Ed25519, base64) is who it is; *revoked_at* ends it for good.

    *suspended_for* says why it gets no work: its outputs were not what others made of the same jobs.
    """

    id: str
    name: str
    public_key: str
    trust: Trust
    joined_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    revoked_at: datetime | None = None
    suspended_for: str | None = None
    verify_share: float = 0.0

    @property
    def is_trusted(self) -> bool:
        """Whether it is run by people who may see everything that a tenant does."""
        return self.trust is Trust.TRUSTED


@dataclass(frozen=True, slots=True)
class Check:
    """What *node_id* made of a job, put aside at *at*; *output* is JSON text, with files as their digests."""

    job_id: str
    tenant_id: str
    node_id: str
    output: str
    at: datetime
