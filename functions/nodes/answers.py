"""What the routes of nodes answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class JoinTokenObject(BaseModel):
    """A join token; its text is shown this once."""

    id: str
    object: Literal["node_token"]
    token: str
    trust: Literal["trusted", "untrusted"]
    labels: dict[str, str]
    verify_share: float
    expires_at: str


class NodeObject(BaseModel):
    """A node: a machine that runs replicas."""

    id: str
    object: Literal["node"]
    name: str
    state: Literal["alive", "away", "suspended", "revoked"]
    trust: Literal["trusted", "untrusted"]
    transport: Literal["direct", "https"]
    labels: dict[str, str]
    cpu_millicores: int | None = Field(description="offered in all; null while it is away")
    memory_mib: int | None
    gpus: list[dict[str, Any]]
    replicas: int
    joined_at: str | None
    suspended_for: str | None
    verify_share: float


class NodeList(BaseModel):
    """Nodes, by name."""

    data: list[NodeObject]


class Joined(BaseModel):
    """Who a machine is from now on."""

    id: str
    trust: Literal["trusted", "untrusted"]
    labels: dict[str, str]


class Challenge(BaseModel):
    """What to sign."""

    challenge: str
    expires_in: float


class NodeSession(BaseModel):
    """A credential for some minutes."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: float


class WishesSeen(BaseModel):
    """What a node may run, what is wanted of it, and what there is."""

    now_ms: int
    deployments: list[dict[str, Any]]
    wanted: list[dict[str, Any]]
    replicas: list[dict[str, Any]]
    nodes: list[dict[str, Any]]


class Heartbeat(BaseModel):
    """Whether the machine is described here, and the platform's time."""

    known: bool
    now_ms: int


class PlaceTaken(BaseModel):
    """The place that was claimed, if any."""

    replica: dict[str, Any] | None


class Held(BaseModel):
    """Whether the place was still the node's."""

    held: bool


class Heard(BaseModel):
    """Whether the bell rang; or that no more calls can be held, and when to look again."""

    heard: bool
    is_busy: bool
    again_s: float


class Exchanged(BaseModel):
    """Leases, and when something not claimable now becomes so."""

    leases: list[dict[str, Any]]
    ended: dict[str, str] = Field(description="the final status of each job that got it with this call")
    next_due_ms: int | None
    now_ms: int


class LeaseStates(BaseModel):
    """What became of each lease."""

    states: list[Literal["held", "cancel", "lost"]]


class Kept(BaseModel):
    """Whether it was kept."""

    kept: bool


class Known(BaseModel):
    """The algorithm, if it is known."""

    algorithm: dict[str, Any] | None


class Offered(BaseModel):
    """A file, and the ticket to its bytes."""

    file: dict[str, Any]
    ticket: str


class Promised(BaseModel):
    """The ticket to send a file by, in parts of *part_bytes*."""

    file_id: str
    ticket: str
    part_bytes: int


class Parts(BaseModel):
    """Numbers of parts, from 0."""

    parts: list[int]


class Stored(BaseModel):
    """A file that is kept."""

    file: dict[str, Any]
