"""What a node's agent asks: the wishes, places, that it is alive. All by a node's session."""

from __future__ import annotations

from flask import Flask, Response
from pydantic import TypeAdapter, ValidationError

from jangada.clock import to_ms
from jangada.deployments.deployment import to_json
from jangada.deployments.node import Node
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted
from jangada.errors import FieldError, InvalidRequestError
from jangada.http.body import read_json
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.wiring import Services

from .answers import Heartbeat, Held, PlaceTaken, WishesSeen
from .requests import LookRequest, Machine, Nothing, PlaceRequest, ReplicaChange
from .session import node_of

_TAG = "node agents"
_READ = (400, 413, 415, 422)
_NODE, _REPLICA, _WANTED = TypeAdapter(Node), TypeAdapter(Replica), TypeAdapter(Wanted)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    _register_wishes(app, services)
    _register_life(app, services)
    _register_places(app, services)


def _register_wishes(app: Flask, services: Services) -> None:
    agency = services.nodes.agency

    @app.post("/v1/nodes/wishes")
    @documented(
        "Look at the wishes",
        tag=_TAG,
        body=LookRequest,
        description="What this node may run. How many replicas are wanted is decided with it.",
        answers={200: Answer("as it is now", WishesSeen)},
        problems=_READ,
    )
    def look() -> Response:
        node = node_of(services)
        asked = read_json(LookRequest)
        seen = agency.look(node, urgent=asked.urgent, only_wished=asked.only_wished)
        return respond(
            {
                "now_ms": to_ms(seen.now),
                "deployments": [to_json(one) for one in seen.deployments],
                "wanted": [_WANTED.dump_python(one, mode="json") for one in seen.wanted.values()],
                "replicas": [_REPLICA.dump_python(one, mode="json") for one in seen.replicas],
                "nodes": [_NODE.dump_python(one, mode="json") for one in seen.nodes],
            }
        )


def _register_life(app: Flask, services: Services) -> None:
    agency = services.nodes.agency

    @app.post("/v1/nodes/machine")
    @documented("Describe the machine", tag=_TAG, body=Machine, answers={204: Answer("registered")}, problems=_READ)
    def describe_machine() -> Response:
        node = node_of(services)
        try:
            said = _NODE.validate_python(read_json(Machine).node)
        except ValidationError as error:
            detail = f"expected what a machine has: {error.errors()[0]['msg']}"
            raise InvalidRequestError(detail, errors=[FieldError("/node", detail)]) from None
        agency.describe(node, said)
        return Response(status=204)

    @app.post("/v1/nodes/heartbeat")
    @documented(
        "Say that the agent is alive",
        tag=_TAG,
        body=Nothing,
        description="Every 2 s. The places that the node holds are renewed with it.",
        answers={200: Answer("whether the machine is to be described", Heartbeat)},
        problems=_READ,
    )
    def heartbeat() -> Response:
        node = node_of(services)
        read_json(Nothing)
        return respond({"known": agency.renew(node), "now_ms": to_ms(services.clock())})

    @app.post("/v1/nodes/leave")
    @documented("Leave for now", tag=_TAG, body=Nothing, answers={204: Answer("gone")}, problems=_READ)
    def leave() -> Response:
        node = node_of(services)
        read_json(Nothing)
        agency.leave(node)
        return Response(status=204)


def _register_places(app: Flask, services: Services) -> None:
    agency = services.nodes.agency

    @app.post("/v1/nodes/replicas")
    @documented(
        "Claim a replica's place",
        tag=_TAG,
        body=PlaceRequest,
        answers={200: Answer("the place, if one was free", PlaceTaken)},
        problems=_READ,
    )
    def claim() -> Response:
        node = node_of(services)
        asked = read_json(PlaceRequest)
        made = agency.claim(node, asked.lane, asked.rollout, tuple(asked.gpus))
        return respond({"replica": None if made is None else _REPLICA.dump_python(made, mode="json")})

    @app.post("/v1/nodes/replicas/<replica_id>")
    @documented(
        "Say how far a replica is",
        tag=_TAG,
        body=ReplicaChange,
        answers={200: Answer("whether the place was still this node's", Held)},
        problems=_READ,
    )
    def change(replica_id: str) -> Response:
        node = node_of(services)
        said = read_json(ReplicaChange)
        held = agency.update(
            node,
            replica_id,
            ReplicaStatus(said.status),
            phases_s=said.phases_s,
            slots=said.slots,
            executor_id=said.executor_id,
        )
        return respond({"held": held})

    @app.post("/v1/nodes/replicas/<replica_id>/release")
    @documented(
        "Give a place up",
        tag=_TAG,
        body=Nothing,
        answers={200: Answer("whether the place was still this node's", Held)},
        problems=_READ,
    )
    def release(replica_id: str) -> Response:
        node = node_of(services)
        read_json(Nothing)
        return respond({"held": agency.release(node, replica_id)})
