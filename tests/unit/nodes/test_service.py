"""Who may join, and who a node is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jangada.deployments.deployment import Trust
from jangada.deployments.store_memory import MemoryDeploymentStore
from jangada.errors import InvalidRequestError, NotFoundError, UnauthenticatedError
from jangada.nodes.seal import Seal
from jangada.nodes.service import CHALLENGE_S, REMEMBERED_S, SESSION_S, NodeService
from jangada.nodes.store_memory import MemoryNodeStore
from jangada.remote.identity import NodeIdentity, new_private_key


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(clock: Clock) -> NodeService:
    store = MemoryNodeStore()
    return NodeService(store, MemoryDeploymentStore(), Seal(store.secret), clock=clock)


def token_of(accounts: NodeService, **facts) -> str:
    return accounts.create_token(**{"trust": Trust.TRUSTED, "labels": {}, "valid_s": 60.0, "by": "key_1"} | facts)[1]


def identity(node_id: str = "") -> NodeIdentity:
    return NodeIdentity("https://jangada.example", node_id, new_private_key())


def joined(accounts: NodeService, **facts) -> NodeIdentity:
    me = identity()
    node = accounts.join(token_of(accounts, **facts), public_key=me.public_key, name="desktop")
    return NodeIdentity(me.url, node.id, me.private_key)


def session_of(accounts: NodeService, me: NodeIdentity) -> str:
    challenge = accounts.challenge(me.node_id)
    return f"Bearer {accounts.open_session(me.node_id, challenge, me.sign(challenge))}"


def test_trust_and_labels_are_the_tokens(accounts: NodeService):
    me = joined(accounts, trust=Trust.UNTRUSTED, labels={"zone": "attic"})
    node = accounts.get(me.node_id)
    assert (node.trust, dict(node.labels), node.name) == (Trust.UNTRUSTED, {"zone": "attic"}, "desktop")
    assert not node.is_trusted


def test_a_token_lets_one_key_in_once(accounts: NodeService):
    token, me = token_of(accounts), identity()
    first = accounts.join(token, public_key=me.public_key, name="one")
    # Its answer may have got lost.
    assert accounts.join(token, public_key=me.public_key, name="one").id == first.id
    with pytest.raises(UnauthenticatedError, match="used already"):
        accounts.join(token, public_key=identity().public_key, name="two")
    assert len(accounts.page()) == 1


def test_a_token_ends(accounts: NodeService, clock: Clock):
    token = token_of(accounts)
    clock.pass_(61)
    with pytest.raises(UnauthenticatedError, match="expired"):
        accounts.join(token, public_key=identity().public_key, name="late")


@pytest.mark.parametrize("change", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t[4:], lambda _: ""])
def test_what_is_no_token_is_refused(accounts: NodeService, change):
    with pytest.raises(UnauthenticatedError, match="no such"):
        accounts.join(change(token_of(accounts)), public_key=identity().public_key, name="x")


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!"])
def test_what_is_no_key_uses_no_token_up(accounts: NodeService, key: str):
    token = token_of(accounts)
    with pytest.raises(InvalidRequestError, match="public_key"):
        accounts.join(token, public_key=key, name="x")
    accounts.join(token, public_key=identity().public_key, name="x")


def test_a_session_tells_who_it_is_until_it_ends(accounts: NodeService, clock: Clock):
    me = joined(accounts)
    session = session_of(accounts, me)
    assert accounts.authenticate(session).id == me.node_id
    clock.pass_(SESSION_S)
    with pytest.raises(UnauthenticatedError, match="ended"):
        accounts.authenticate(session)


def test_a_challenge_ends_and_is_one_nodes(accounts: NodeService, clock: Clock):
    me, other = joined(accounts), joined(accounts)
    challenge = accounts.challenge(me.node_id)
    with pytest.raises(UnauthenticatedError, match="not one of ours"):
        accounts.open_session(other.node_id, challenge, other.sign(challenge))
    clock.pass_(CHALLENGE_S)
    with pytest.raises(UnauthenticatedError, match="expired"):
        accounts.open_session(me.node_id, challenge, me.sign(challenge))


@pytest.mark.parametrize(
    "header", [None, "", "Bearer x", "Bearer node_1.forged", "Basic bm9kZV8xOng=", "Bearer jgd_key_secret"]
)
def test_what_is_no_session_is_refused(accounts: NodeService, header):
    with pytest.raises(UnauthenticatedError):
        accounts.authenticate(header)


def test_a_session_of_another_platform_is_worth_nothing(accounts: NodeService, clock: Clock):
    store = MemoryNodeStore()
    elsewhere = NodeService(store, MemoryDeploymentStore(), Seal(store.secret), clock=clock)
    with pytest.raises(UnauthenticatedError):
        accounts.authenticate(session_of(elsewhere, joined(elsewhere)))


def test_a_revoked_node_is_nobody(accounts: NodeService):
    me = joined(accounts)
    session = session_of(accounts, me)
    accounts.authenticate(session)
    assert accounts.revoke(me.node_id, by="key_1").revoked_at == accounts.revoke(me.node_id, by="key_1").revoked_at
    with pytest.raises(UnauthenticatedError, match="revoked"):
        accounts.authenticate(session)
    with pytest.raises(UnauthenticatedError):
        session_of(accounts, me)


def test_another_replica_hears_of_a_revocation_soon(clock: Clock, monkeypatch):
    store, deployments = MemoryNodeStore(), MemoryDeploymentStore()
    seal = Seal(store.secret)
    here, there = (NodeService(store, deployments, seal, clock=clock) for _ in range(2))
    me = joined(here)
    session = session_of(there, me)
    here.revoke(me.node_id, by="key_1")
    there.authenticate(session)
    import jangada.nodes.service as module

    later = module.time.monotonic() + REMEMBERED_S + 0.1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    with pytest.raises(UnauthenticatedError, match="revoked"):
        there.authenticate(session)


def test_what_is_not_there_cannot_be_revoked(accounts: NodeService):
    with pytest.raises(NotFoundError):
        accounts.revoke("node_nobody", by="key_1")


def test_a_suspended_node_is_known_and_comes_back(accounts: NodeService):
    me = joined(accounts)
    accounts.suspend(accounts.get(me.node_id), "its output differs")
    assert accounts.authenticate(session_of(accounts, me)).suspended_for == "its output differs"
    accounts.resume(me.node_id, by="key_1")
    assert accounts.get(me.node_id).suspended_for is None


def test_a_suspension_by_somebody_who_has_not_heard_undoes_no_revocation(accounts: NodeService):
    me = joined(accounts)
    as_it_was = accounts.get(me.node_id)
    accounts.revoke(me.node_id, by="key_1")
    accounts.suspend(as_it_was, "its output differs")
    assert accounts.get(me.node_id).revoked_at is not None


def test_what_is_sealed_is_bound_to_its_end_and_its_node():
    seal = Seal(MemoryNodeStore().secret)
    closed = seal.close(["a", 1], "receipt", "node_1")
    assert seal.open(closed, "receipt", "node_1") == ["a", 1]
    assert seal.close(["a", 1], "receipt", "node_1") == closed
    for end, node, text in (
        ("tenant", "node_1", closed),
        ("receipt", "node_2", closed),
        ("receipt", "node_1", closed[:-2] + "AA"),
        ("receipt", "node_1", ""),
        ("receipt", "node_1", "é"),
    ):
        with pytest.raises(ValueError, match=r"not sealed|base64|character|ASCII"):
            seal.open(text, end, node)
