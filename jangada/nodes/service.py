"""Who may join, who a node is, and that it is no more: tokens, keys, sessions."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from jangada.clock import Clock, to_ms, utc_now
from jangada.deployments.deployment import Trust
from jangada.deployments.store import DeploymentStore
from jangada.errors import FieldError, InvalidRequestError, NotFoundError, UnauthenticatedError
from jangada.ids import new_id
from jangada.logs import get_logger
from jangada.nodes.node import JoinedNode, JoinToken
from jangada.nodes.seal import Seal
from jangada.nodes.store import NodeStore
from jangada.remote.identity import proves, read_public_key

SESSION_S = 600.0
CHALLENGE_S = 60.0
REMEMBERED_S = 2.0
"""So long a replica may take a node that was revoked for one that was not."""
MOST_REMEMBERED = 10_000

_PREFIX = "jgn_"
_CHALLENGE, _SESSION = "challenge", "session"

_log = get_logger()


class NodeService:
    """Everything here raises `StoreUnavailableError` when the store is away."""

    def __init__(self, store: NodeStore, deployments: DeploymentStore, seal: Seal, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._deployments = deployments
        self._seal = seal
        self._clock = clock
        self._known: dict[str, tuple[float, JoinedNode]] = {}
        self._lock = threading.Lock()

    # --- administrators -------------------------------------------------------------

    def create_token(
        self, *, trust: Trust, labels: Mapping[str, str], valid_s: float, by: str, verify_share: float = 0.0
    ) -> tuple[JoinToken, str]:
        """A token that lets one machine join within *valid_s*, and its text, which is known only now."""
        now = self._clock()
        secret = secrets.token_urlsafe(32)
        token = JoinToken(
            id=new_id("join"),
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            trust=trust,
            labels=dict(labels),
            created_at=now,
            expires_at=now + timedelta(seconds=valid_s),
            created_by=by,
            verify_share=verify_share,
        )
        self._store.insert_token(token)
        _log.info("node.token_created", token_id=token.id, trust=trust.value, by=by)
        return token, f"{_PREFIX}{token.id.partition('_')[2]}_{secret}"

    def page(self) -> list[JoinedNode]:
        """Every node that ever joined, by name."""
        return self._store.page()

    def get(self, node_id: str) -> JoinedNode:
        """The node of that id. Raises `NotFoundError`."""
        found = self._store.get(node_id)
        if found is None:
            raise NotFoundError(f"there is no node {node_id}")
        return found

    def revoke(self, node_id: str, *, by: str) -> JoinedNode:
        """
        End a node for good; again changes nothing. Raises `NotFoundError`.

        Its sessions end within `REMEMBERED_S`, its replicas are free for others at once;
        its jobs go on elsewhere when their leases have run out.
        """
        now = self._clock()
        node = self._changed(node_id, lambda it: it if it.revoked_at is not None else replace(it, revoked_at=now))
        if node.revoked_at == now:
            _log.info("node.revoked", node_id=node_id, by=by)
        self._forget(node_id)
        return node

    def suspend(self, node: JoinedNode, reason: str) -> None:
        """Give *node* no more work, because of what it did; what it runs is taken from it."""
        self._changed(node.id, lambda it: replace(it, suspended_for=reason))
        _log.warning("node.suspended", node_id=node.id, reason=reason)
        self._forget(node.id)

    def resume(self, node_id: str, *, by: str) -> JoinedNode:
        """End a suspension. Raises `NotFoundError`."""
        node = self._changed(node_id, lambda it: replace(it, suspended_for=None))
        _log.info("node.resumed", node_id=node_id, by=by)
        return node

    def _changed(self, node_id: str, change: Callable[[JoinedNode], JoinedNode]) -> JoinedNode:
        changed = self._store.change(node_id, change)
        if changed is None:
            raise NotFoundError(f"there is no node {node_id}")
        return changed

    def _forget(self, node_id: str) -> None:
        with self._lock:
            self._known.pop(node_id, None)
        for replica in self._deployments.replicas():
            if replica.node_id == node_id:
                self._deployments.release_replica(replica)
        self._deployments.remove_node(node_id)

    # --- machines -------------------------------------------------------------------

    def join(self, text: str, *, public_key: str, name: str) -> JoinedNode:
        """
        Enrol the owner of *public_key* by the token *text*, which is used up with that.

        Once more with the same key answers the same: an answer may get lost. Raises
        `UnauthenticatedError` for a token that is unknown, expired or used by another,
        and `InvalidRequestError` for what is no key.
        """
        token = self._token(text)
        try:
            read_public_key(public_key)
        except ValueError:
            detail = "expected the 32 bytes of an Ed25519 public key in base64"
            raise InvalidRequestError(f"public_key: {detail}", errors=[FieldError("/public_key", detail)]) from None
        node = JoinedNode(
            id=token.node_id,
            name=name,
            public_key=public_key,
            trust=token.trust,
            joined_at=self._clock(),
            labels=dict(token.labels),
            verify_share=token.verify_share,
        )
        # The insert is what uses the token up: of two machines at once one gets in.
        if self._store.insert(node):
            _log.info("node.joined", node_id=node.id, node=name, trust=node.trust.value)
            return node
        known = self._store.get(node.id)
        if known is None or known.public_key != public_key or known.revoked_at is not None:
            raise UnauthenticatedError("the join token was used already")
        return known

    def _token(self, text: str) -> JoinToken:
        key, _, secret = text.removeprefix(_PREFIX).partition("_")
        token = self._store.get_token(f"join_{key}") if text.startswith(_PREFIX) else None
        digest = hashlib.sha256(secret.encode()).hexdigest()
        if token is None or not hmac.compare_digest(token.digest, digest):
            raise UnauthenticatedError("there is no such join token")
        if token.expires_at <= self._clock():
            raise UnauthenticatedError("the join token has expired")
        return token

    def challenge(self, node_id: str) -> str:
        """What the node has to sign next, within `CHALLENGE_S`. Anyone may ask: it tells nothing."""
        until = to_ms(self._clock()) + int(CHALLENGE_S * 1000)
        return self._seal.close([secrets.token_hex(16), until], _CHALLENGE, node_id)

    def open_session(self, node_id: str, challenge: str, signature: str) -> str:
        """
        A bearer token for `SESSION_S`, for who signed *challenge* with the node's key.

        Each challenge counts once. Raises `UnauthenticatedError`.
        """
        try:
            word, until_ms = self._seal.open(challenge, _CHALLENGE, node_id)
        except ValueError:
            raise UnauthenticatedError("the challenge is not one of ours") from None
        now = self._clock()
        if until_ms <= to_ms(now):
            raise UnauthenticatedError("the challenge has expired")
        node = self._living(node_id)
        if not proves(node.public_key, challenge, signature):
            raise UnauthenticatedError("the signature is not made with the node's key")
        if not self._store.use_once(str(word), now):
            raise UnauthenticatedError("the challenge was used already")
        ends_ms = to_ms(now) + int(SESSION_S * 1000)
        return f"{node_id}.{self._seal.close(ends_ms, _SESSION, node_id)}"

    def authenticate(self, header: str | None) -> JoinedNode:
        """Whose session the ``Authorization`` *header* holds. Raises `UnauthenticatedError`."""
        scheme, _, credential = (header or "").partition(" ")
        node_id, dot, sealed = credential.strip().partition(".")
        if scheme.lower() != "bearer" or not dot or not node_id.startswith("node_"):
            raise UnauthenticatedError("expected a node's session: Authorization: Bearer …")
        try:
            ends_ms = int(self._seal.open(sealed, _SESSION, node_id))
        except ValueError:
            raise UnauthenticatedError("the session is not one of ours") from None
        if ends_ms <= to_ms(self._clock()):
            raise UnauthenticatedError("the session has ended")
        return self._living(node_id)

    def _living(self, node_id: str) -> JoinedNode:
        """The node, if it may still do anything, as of a moment ago."""
        now = time.monotonic()
        at, known = self._known.get(node_id, (0.0, None))
        if known is not None and now - at < REMEMBERED_S:
            return known
        found = self._store.get(node_id)
        if found is None or found.revoked_at is not None:
            raise UnauthenticatedError("this node is not known here, or was revoked")
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[node_id] = (now, found)
        return found
