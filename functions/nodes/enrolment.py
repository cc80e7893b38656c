"""How a machine becomes a node, and shows again and again that it is the one."""

from __future__ import annotations

from flask import Flask, Response

from jangada.http.body import read_json
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.nodes.service import CHALLENGE_S, SESSION_S
from jangada.wiring import Services

from .answers import Challenge, Joined, NodeSession
from .requests import JoinRequest, Nothing, SessionRequest

_TAG = "nodes"
_NO_STORE = {"Cache-Control": "no-store"}


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    accounts = services.nodes.accounts

    @app.post("/v1/nodes/join")
    @documented(
        "Join",
        tag=_TAG,
        public=True,
        body=JoinRequest,
        description="By a join token, which is used up with that. Once more with the same key answers the same.",
        answers={201: Answer("who the node is", Joined)},
        problems=[400, 401, 413, 415, 422],
    )
    def join() -> Response:
        asked = read_json(JoinRequest)
        node = accounts.join(asked.token, public_key=asked.public_key, name=asked.name)
        return respond({"id": node.id, "trust": node.trust.value, "labels": dict(node.labels)}, 201)

    @app.post("/v1/nodes/<node_id>/challenges")
    @documented(
        "Ask for a challenge",
        tag=_TAG,
        public=True,
        body=Nothing,
        answers={200: Answer("to be signed", Challenge)},
        problems=[400, 413, 415, 422],
    )
    def challenge(node_id: str) -> Response:
        read_json(Nothing)
        made = {"challenge": accounts.challenge(node_id), "expires_in": CHALLENGE_S}
        return respond(made, headers=_NO_STORE)

    @app.post("/v1/nodes/<node_id>/sessions")
    @documented(
        "Open a session",
        tag=_TAG,
        public=True,
        body=SessionRequest,
        description="With a signature of the challenge by the node's key. Each challenge counts once.",
        answers={200: Answer("a credential for what follows", NodeSession)},
        problems=[400, 401, 413, 415, 422],
    )
    def open_session(node_id: str) -> Response:
        said = read_json(SessionRequest)
        token = accounts.open_session(node_id, said.challenge, said.signature)
        made = {"access_token": token, "token_type": "Bearer", "expires_in": SESSION_S}
        return respond(made, headers=_NO_STORE)
