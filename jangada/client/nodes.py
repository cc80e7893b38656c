"""Nodes, for administrators: let machines join, see them, end them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jangada.client.paths import at
from jangada.client.transport import Transport


class Nodes:
    """The nodes of a platform; all of it takes the scope ``admin``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create_token(
        self,
        *,
        trust: str = "trusted",
        labels: Mapping[str, str] | None = None,
        valid_s: float = 3600.0,
        verify_share: float = 0.0,
    ) -> dict[str, Any]:
        """
        A token (under ``token``, shown only now) by which one machine can join within *valid_s*.

        *verify_share*: so much of what an untrusted one does is done again elsewhere and compared.
        """
        wanted = {
            "trust": trust,
            "labels": dict(labels or {}),
            "valid_s": float(valid_s),
            "verify_share": float(verify_share),
        }
        return dict(self._transport.json("POST", "/v1/nodes/tokens", json_body=wanted))

    def list(self) -> list[dict[str, Any]]:
        """Those that are heard of, and those that joined, by name."""
        return list(self._transport.json("GET", "/v1/nodes")["data"])

    def get(self, node_id: str) -> dict[str, Any]:
        """One of them, or one that was revoked."""
        return dict(self._transport.json("GET", at("nodes", node_id)))

    def revoke(self, node_id: str) -> None:
        """End it for good."""
        self._transport.call("DELETE", at("nodes", node_id))

    def resume(self, node_id: str) -> dict[str, Any]:
        """End its suspension."""
        return dict(self._transport.json("PATCH", at("nodes", node_id), json_body={"suspended": False}))
