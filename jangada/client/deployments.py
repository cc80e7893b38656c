"""Deployments and usage: what capacity is wished for, how far it is there, and what was used of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jangada.client.errors import NotFoundError
from jangada.client.paths import at
from jangada.client.transport import Transport

Pages = Callable[[str, Mapping[str, Any]], Iterator[dict[str, Any]]]

FIXED = ("name", "algorithm", "tenant")
"""What cannot be changed once it is made."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One version of a deployment at work."""

    track: str
    algorithm_version: str | None
    state: str
    wanted: int
    ready: int
    starting: int
    queued: int
    running: int
    backlog_s: float
    reason: str | None = None
    problem: str | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Lane:
        """Read the API's lane object."""
        numbers = ("wanted", "ready", "starting", "queued", "running")
        return cls(
            track=str(body["track"]),
            algorithm_version=body.get("algorithm_version"),
            state=str(body.get("state") or ""),
            backlog_s=float(body.get("backlog_s") or 0),
            reason=body.get("reason"),
            problem=body.get("problem"),
            **{name: int(body.get(name) or 0) for name in numbers},
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment as the platform last told it; *raw* has the whole wish."""

    name: str
    algorithm: str
    algorithm_version: str
    tenant: str | None = None
    mode: str = "on-demand"
    generation: int = 0
    previous_version: str | None = None
    state: str = ""
    lanes: list[Lane] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Deployment:
        """Read the API's deployment object."""
        status = body.get("status") or {}
        return cls(
            name=str(body["name"]),
            algorithm=str(body["algorithm"]),
            algorithm_version=str(body.get("algorithm_version") or ""),
            tenant=body.get("tenant"),
            mode=str(body.get("mode") or ""),
            generation=int(body.get("generation") or 0),
            previous_version=body.get("previous_version"),
            state=str(status.get("state") or ""),
            lanes=[Lane.from_json(one) for one in status.get("lanes") or []],
            raw=dict(body),
        )


class Deployments:
    """`Client.deployments`: wish, look, change, roll back, take back."""

    def __init__(self, transport: Transport, pages: Pages) -> None:
        self._transport = transport
        self._pages = pages

    def list(self) -> list[Deployment]:
        """Those that your key may see, by name."""
        return [Deployment.from_json(item) for item in self._pages("/v1/deployments", {"limit": 200})]

    def get(self, name: str) -> Deployment:
        """One as it stands."""
        return Deployment.from_json(self._transport.json("GET", at("deployments", name)))

    def create(self, wish: Mapping[str, Any]) -> Deployment:
        """Wish for a new one: ``name``, ``algorithm``, and what else it is to be."""
        return Deployment.from_json(self._transport.json("POST", "/v1/deployments", json_body=dict(wish)))

    def change(self, name: str, patch: Mapping[str, Any], *, generation: int | None = None) -> Deployment:
        """
        Change what *patch* holds and nothing else; None in it is as when it was never given.

        With *generation* only if that is still the present one; else `ApiError` 412.
        """
        headers = _if_match(generation)
        answer = self._transport.json("PATCH", at("deployments", name), json_body=dict(patch), headers=headers)
        return Deployment.from_json(answer)

    def apply(self, wish: Mapping[str, Any]) -> tuple[Deployment, str]:
        """
        Make what *wish* describes, or change it to that; the deployment, and ``created`` or ``changed``.

        What *wish* leaves out stays as it is.
        """
        name = str(wish.get("name") or "")
        try:
            known = self.get(name)
        except NotFoundError:
            return self.create(wish), "created"
        patch = {key: value for key, value in wish.items() if key not in FIXED or wish[key] != _fixed(known, key)}
        return self.change(name, patch, generation=known.generation), "changed"

    def delete(self, name: str, *, generation: int | None = None) -> None:
        """Take the wish back. Refused (`ConflictError`) while it has unfinished jobs."""
        self._transport.call("DELETE", at("deployments", name), headers=_if_match(generation))

    def rollback(self, name: str, *, generation: int | None = None) -> Deployment:
        """End its canary when it has one, else go back to the version before."""
        answer = self._transport.json("POST", at("deployments", name, "rollback"), headers=_if_match(generation))
        return Deployment.from_json(answer)


def _fixed(known: Deployment, key: str) -> Any:
    value = known.raw.get(key)
    return "*" if key == "tenant" and value is None else value


def _if_match(generation: int | None) -> dict[str, str]:
    return {} if generation is None else {"If-Match": f'"{generation}"'}
