"""What the routes of nodes read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jangada.http.body import RequestModel
from jangada.remote.wire import LONGEST_WAIT_S

Text = Annotated[str, Field(min_length=1, max_length=128)]
Labels = Annotated[dict[Text, Annotated[str, Field(max_length=128)]], Field(max_length=32)]
Queue = Annotated[str, Field(min_length=1, max_length=128)]
ExecutorId = Annotated[str, Field(pattern=r"^exe_[0-9A-HJKMNP-TV-Z]{26}$")]
Sealed = Annotated[str, Field(min_length=1, max_length=1024 * 1024)]
Object = dict[str, Any]


class NewJoinToken(RequestModel):
    """The right of one machine to join."""

    trust: Literal["trusted", "untrusted"] = Field(
        default="trusted", description="`untrusted`: gets only deployments whose placement says `trust: any`"
    )
    labels: Labels = Field(default={}, description="stay with the node; what it says of itself cannot change them")
    verify_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="of what an untrusted node does, so much is done again elsewhere and compared; a node whose "
        "output differs is suspended. For algorithms that make the same of the same input",
    )
    valid_s: Annotated[float, Field(gt=0, le=7 * 86_400)] = Field(default=3600.0, description="to be used within")


class JoinRequest(RequestModel):
    """A machine that joins."""

    token: Annotated[str, Field(min_length=1, max_length=256)]
    public_key: Annotated[str, Field(max_length=64)] = Field(description="Ed25519 (RFC 8032), its 32 bytes in base64")
    name: Text


class NodeChange(RequestModel):
    """What can be changed of a node."""

    suspended: Literal[False] = Field(description="end a suspension")


class SessionRequest(RequestModel):
    """Proof that a node has its key."""

    challenge: Annotated[str, Field(max_length=512)]
    signature: Annotated[str, Field(max_length=128)] = Field(
        description='Ed25519 over "jangada node session", a line break and the challenge, in base64'
    )


class Nothing(RequestModel):
    """An empty object."""


class LookRequest(RequestModel):
    """An agent looks at the wishes."""

    urgent: Annotated[list[Text], Field(max_length=1000)] = Field(default=[], description="lanes whose bell was heard")
    only_wished: bool = Field(default=False, description="leave alone the deployments that nobody asked for")


class Machine(RequestModel):
    """What a machine has."""

    node: Object


class PlaceRequest(RequestModel):
    """An agent claims a replica's place."""

    lane: Text
    rollout: int
    gpus: Annotated[list[Text], Field(max_length=64)] = Field(default=[])


class ReplicaChange(RequestModel):
    """How far a replica is."""

    status: Literal["starting", "ready", "draining"]
    phases_s: Annotated[dict[Text, Annotated[float, Field(ge=0)]], Field(max_length=32)] | None = None
    slots: Annotated[int, Field(ge=1, le=10_000)] | None = None
    executor_id: ExecutorId | None = None


class BellRequest(RequestModel):
    """Wait for a queue's bell."""

    queue: Queue
    wait_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)]


class DeskRequest(RequestModel):
    """An executor, and the queue it works on."""

    queue: Queue
    executor_id: ExecutorId


class Event(RequestModel):
    """One thing that a running job reported."""

    kind: Text
    data: Object


class Told(RequestModel):
    """The last things that an attempt reported."""

    receipt: Sealed
    events: Annotated[list[Event], Field(max_length=1024)]


class ExchangeRequest(DeskRequest):
    """Outcomes out, leases in."""

    told: Annotated[list[Told], Field(max_length=256)] = Field(default=[])
    completions: Annotated[list[Object], Field(max_length=1024)] = Field(default=[])
    want: Annotated[int, Field(ge=0, le=10_000)] = 0
    running: bool = True
    settle: int = 0
    ran_by: Annotated[list[str | None], Field(min_length=1, max_length=3)]
    token: Annotated[str, Field(pattern=r"^[0-9a-z.]{1,64}$")] | None = None
    again: bool = False


class LeasesRequest(DeskRequest):
    """Leases, by their receipts."""

    receipts: Annotated[list[Sealed], Field(max_length=1024)]


class EventsRequest(DeskRequest):
    """What a running job reported."""

    receipt: Sealed
    events: Annotated[list[Event], Field(max_length=1024)]


class UsedRequest(DeskRequest):
    """What an executor used."""

    entries: Annotated[list[Object], Field(max_length=1024)]


class AlgorithmName(RequestModel):
    """An algorithm."""

    name: Text


class AlgorithmReport(RequestModel):
    """An algorithm as its executor describes it."""

    algorithm: Object
    as_newest: bool = True


class FileRequest(DeskRequest):
    """A file that a job names."""

    receipt: Sealed
    file_id: Text


class NewOutput(DeskRequest):
    """A file that a job made."""

    receipt: Sealed
    filename: Annotated[str, Field(max_length=1024)]
    media_type: Annotated[str, Field(max_length=256)]
    size_bytes: Annotated[int, Field(ge=0, le=2**50)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Ticket(RequestModel):
    """A ticket to an upload."""

    ticket: Annotated[str, Field(min_length=1, max_length=4096)]
