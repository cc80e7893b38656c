"""Nodes as administrators see them: tokens to join by, a list, an end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Flask, Response

from jangada.deployments.deployment import Trust
from jangada.deployments.node import Node
from jangada.errors import NotFoundError
from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.nodes.node import JoinedNode
from jangada.tenants import Scope
from jangada.wiring import Services

from .answers import JoinTokenObject, NodeList, NodeObject
from .requests import NewJoinToken, NodeChange

_TAG = "nodes"
_SCOPES = ("admin",)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    _register_tokens(app, services)
    _register_nodes(app, services)


def _register_tokens(app: Flask, services: Services) -> None:
    @app.post("/v1/nodes/tokens")
    @documented(
        "Create a join token",
        tag=_TAG,
        scopes=_SCOPES,
        body=NewJoinToken,
        description="One machine can join with it, once: `jangada node join`. Its text is shown only now.",
        answers={201: Answer("made", JoinTokenObject)},
        problems=[400, 413, 415, 422],
    )
    def create_token() -> Response:
        who = caller(Scope.ADMIN)
        wanted = read_json(NewJoinToken)
        token, text = services.nodes.accounts.create_token(
            trust=Trust(wanted.trust),
            labels=wanted.labels,
            valid_s=wanted.valid_s,
            by=who.key_id,
            verify_share=wanted.verify_share,
        )
        made = {
            "id": token.id,
            "object": "node_token",
            "token": text,
            "trust": token.trust.value,
            "labels": dict(token.labels),
            "verify_share": token.verify_share,
            "expires_at": token.expires_at,
        }
        return respond(made, 201, headers={"Cache-Control": "no-store"})


def _register_nodes(app: Flask, services: Services) -> None:
    @app.get("/v1/nodes")
    @documented(
        "List nodes",
        tag=_TAG,
        scopes=_SCOPES,
        description="Those that are heard of, and those that joined, until they are revoked.",
        answers={200: Answer("by name", NodeList)},
    )
    def list_nodes() -> Response:
        caller(Scope.ADMIN)
        return respond({"data": [one for one in _objects(services) if one["state"] != "revoked"]})

    @app.get("/v1/nodes/<node_id>")
    @documented("Get a node", tag=_TAG, scopes=_SCOPES, answers={200: Answer("the node", NodeObject)}, problems=[404])
    def get_node(node_id: str) -> Response:
        caller(Scope.ADMIN)
        return respond(_object_of(services, node_id))

    @app.patch("/v1/nodes/<node_id>")
    @documented(
        "End a node's suspension",
        tag=_TAG,
        scopes=_SCOPES,
        body=NodeChange,
        answers={200: Answer("as it is now", NodeObject)},
        problems=[400, 404, 413, 415, 422],
    )
    def change_node(node_id: str) -> Response:
        who = caller(Scope.ADMIN)
        read_json(NodeChange)
        services.nodes.accounts.resume(node_id, by=who.key_id)
        return respond(_object_of(services, node_id))

    @app.delete("/v1/nodes/<node_id>")
    @documented(
        "Revoke a node",
        tag=_TAG,
        scopes=_SCOPES,
        description="Its key is worth nothing any more. Its replicas start elsewhere at once, its jobs go on there "
        "when their leases have run out. Of nodes that joined over HTTPS only.",
        answers={204: Answer("gone")},
        problems=[404],
    )
    def revoke_node(node_id: str) -> Response:
        who = caller(Scope.ADMIN)
        services.nodes.accounts.revoke(node_id, by=who.key_id)
        return Response(status=204)


def _object_of(services: Services, node_id: str) -> dict[str, Any]:
    for one in _objects(services):
        if one["id"] == node_id:
            return one
    raise NotFoundError(f"there is no node {node_id}")


def _objects(services: Services) -> list[dict[str, Any]]:
    now = services.clock()
    heard = {one.id: one for one in services.deployments.nodes()}
    replicas = Counter(one.node_id for one in services.deployments.replicas() if one.is_live(now))
    joined = {one.id: one for one in services.nodes.accounts.page()}
    found = [
        _object(known, heard.get(known.id), joined.get(known.id), replicas[known.id], services)
        for known in {**joined, **heard}.values()
    ]
    return sorted(found, key=lambda one: (one["name"], one["id"]))


def _object(
    known: Node | JoinedNode, machine: Node | None, joined: JoinedNode | None, replicas: int, services: Services
) -> dict[str, Any]:
    alive = machine is not None and machine.is_alive(services.clock())
    state = "alive" if alive else "away"
    if joined is not None and joined.suspended_for is not None:
        state = "suspended"
    if joined is not None and joined.revoked_at is not None:
        state = "revoked"
    return {
        "id": known.id,
        "object": "node",
        "name": known.name,
        "state": state,
        "trust": known.trust.value,
        "transport": "direct" if joined is None else "https",
        "labels": dict(known.labels),
        "cpu_millicores": machine.cpu_millicores if machine else None,
        "memory_mib": machine.memory_mib if machine else None,
        "gpus": [{"type": gpu.type, "memory_mib": gpu.memory_mib} for gpu in (machine.gpus if machine else ())],
        "replicas": replicas,
        "joined_at": joined.joined_at if joined else None,
        "suspended_for": joined.suspended_for if joined else None,
        "verify_share": joined.verify_share if joined else 0.0,
    }
