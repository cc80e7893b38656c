"""Queues, for those who look after a platform: every call needs a key with the scope ``admin``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jangada.client.paths import at
from jangada.client.transport import Transport

Pages = Callable[[str, Mapping[str, Any]], Iterator[dict[str, Any]]]

BANDS = ("high", "normal", "low")


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue as the platform last told it."""

    name: str
    algorithms: list[str] = field(default_factory=list)
    paused: bool = False
    draining: bool = False
    rate_per_s: float | None = None
    ready: dict[str, int] = field(default_factory=dict)
    """Jobs that may be claimed, by priority."""
    delayed: int = 0
    leased: int = 0
    settling: int = 0
    dead: int = 0
    jobs: int = 0
    bytes: int = 0
    oldest_s: float | None = None
    tenants: dict[str, int] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def status(self) -> str:
        """``running``, ``paused``, ``draining`` or ``paused, draining``."""
        said = [word for word, so in (("paused", self.paused), ("draining", self.draining)) if so]
        return ", ".join(said) or "running"

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Queue:
        """Read the API's queue object."""
        limit = body.get("rate_limit") or {}
        ready = body.get("ready") or {}
        numbers = ("delayed", "leased", "settling", "dead", "jobs", "bytes")
        return cls(
            name=str(body["name"]),
            algorithms=list(body.get("algorithms") or []),
            paused=bool(body.get("paused")),
            draining=bool(body.get("draining")),
            rate_per_s=limit.get("per_s"),
            ready={band: int(ready.get(band) or 0) for band in BANDS},
            oldest_s=body.get("oldest_s"),
            tenants=dict(body.get("tenants") or {}),
            raw=dict(body),
            **{name: int(body.get(name) or 0) for name in numbers},
        )


class Queues:
    """`Client.queues`: look at queues, hold them up, give dead letters another chance."""

    def __init__(self, transport: Transport, pages: Pages) -> None:
        self._transport = transport
        self._pages = pages

    def list(self) -> list[Queue]:
        """Every queue, by name."""
        return [Queue.from_json(item) for item in self._pages("/v1/queues", {"limit": 200})]

    def get(self, name: str) -> Queue:
        """One queue as it stands."""
        return Queue.from_json(self._transport.json("GET", at("queues", name)))

    def peek(self, name: str, *, limit: int = 20) -> Sequence[dict[str, Any]]:
        """The jobs that are claimed next (``id, tenant, priority, age_s, attempts``); nothing changes."""
        return list(self._transport.json("GET", at("queues", name, "jobs"), params={"limit": limit})["data"])

    def pause(self, name: str) -> Queue:
        """Hand out no more jobs until `resume`; jobs are accepted, what runs goes on."""
        return self._switch(name, "pause")

    def drain(self, name: str) -> Queue:
        """Accept no new jobs until `resume`; what is there is worked off."""
        return self._switch(name, "drain")

    def resume(self, name: str) -> Queue:
        """End a pause and a drain."""
        return self._switch(name, "resume")

    def limit_rate(self, name: str, per_s: float | None, *, burst: int | None = None) -> Queue:
        """Hand out at most *per_s* jobs a second, *burst* at once; None ends the limit."""
        body = {"per_s": per_s} | ({} if burst is None else {"burst": burst})
        return Queue.from_json(self._transport.json("PUT", at("queues", name, "rate"), json_body=body, safe=True))

    def dead(self, name: str, *, limit: int = 20, **where: str | None) -> Sequence[dict[str, Any]]:
        """Dead letters, newest first; *where*: ``tenant``, ``error_code``, ``algorithm_version``."""
        return list(self._transport.json("GET", at("queues", name, "dead"), params={"limit": limit, **where})["data"])

    def requeue(self, name: str, jobs: Sequence[str] | None = None, **where: Any) -> Iterator[dict[str, Any]]:
        """
        Give dead letters another chance: *jobs*, else those that fit *where*, else all; what became of each.

        *where*: ``tenant, error_code, algorithm_version, older_than_s, newer_than_s``. Each item has ``id`` and
        ``new_job``, or ``error`` when it was refused and stays a dead letter; after a refusal no further page is asked.
        """
        body = {field: value for field, value in {"jobs": jobs and list(jobs), **where}.items() if value is not None}
        while True:
            answer = self._transport.json("POST", at("queues", name, "requeue"), json_body=body)
            yield from answer["data"]
            if not answer.get("has_more") or any(item.get("error") for item in answer["data"]):
                return

    def _switch(self, name: str, verb: str) -> Queue:
        return Queue.from_json(self._transport.json("POST", at("queues", name, verb), safe=True))
