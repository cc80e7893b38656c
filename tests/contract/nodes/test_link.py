"""Over HTTPS: what gets lost on the way, and what a node may not do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jangada.clock import utc_now
from jangada.deployments.deployment import Placement, Trust
from jangada.deployments.ledger import Entry, Used
from jangada.deployments.replica import Wanted
from jangada.deployments.scaling import Reason
from jangada.errors import ForbiddenError, NotFoundError, StoreUnavailableError, UnauthenticatedError
from jangada.ids import new_id
from jangada.jobs.job import Webhook
from jangada.jobs.orders import parse
from jangada.jobs.outcome import Completion
from jangada.remote.agency import RemoteAgency, RemoteAlgorithms, RemoteClock
from jangada.remote.identity import new_private_key
from jangada.remote.ledger import RemoteLedger
from jangada.remote.link import NodeLink, RefusedError
from tests.contract.nodes.conftest import QUEUE, TENANT, AppPool, Stage


def test_what_a_lost_answer_had_claimed_comes_with_the_next_one(stage: Stage):
    job_id = stage.submit(1)
    link, pool = stage.join()
    stage.serve(link)
    execution = stage.remote(link)
    execution.idle_s()
    execution.exchange()
    pool.lost_answers = 1
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        execution.exchange(want=1)
    (lease,) = execution.exchange(want=1)
    assert (lease.job_id, lease.attempt) == (job_id, 1)
    pool.lost_answers = 1
    with pytest.raises(StoreUnavailableError):
        execution.exchange([Completion(lease, output="done")])
    assert execution.exchange([Completion(lease, output="done")]) == []
    assert stage.job(job_id).output == "done"


def test_many_outcomes_travel_in_several_messages(stage: Stage):
    link, pool = stage.join()
    stage.serve(link)
    execution = stage.remote(link)
    jobs = [stage.submit() for _ in range(3)]
    leases = execution.exchange(want=3)
    pool.sent.clear()
    big = "x" * (3 * 1024 * 1024)
    execution.exchange([Completion(lease, output=big) for lease in leases])
    assert [path for _, path in pool.sent] == ["/v1/nodes/work/exchange"] * 3
    assert all(stage.job(job_id).output == big for job_id in jobs)


def test_an_outcome_that_cannot_be_read_is_refused_for_good(stage: Stage):
    link, _ = stage.join()
    stage.serve(link)
    stage.submit()
    execution = stage.remote(link)
    (lease,) = execution.exchange(want=1)
    lease.receipt = lease.receipt[:-4] + "AAAA"
    with pytest.raises(RefusedError, match="expected what came with a lease"):
        execution.exchange([Completion(lease, output=1)])


def test_leases_and_words_are_worth_nothing_to_another_node(stage: Stage):
    job_id = stage.submit()
    link, _ = stage.join("one")
    stage.serve(link)
    (lease,) = stage.remote(link).exchange(want=1)
    other, _ = stage.join("other")
    stage.serve(other)
    with pytest.raises(RefusedError):
        stage.remote(other).exchange([Completion(lease, output="stolen")])
    with pytest.raises(RefusedError):
        RemoteLedger(other, QUEUE, new_id("exe")).append([_entry(lease.tenant_id)])
    assert not stage.job(job_id).is_final


def _entry(tenant: str | None, deployment: str = "shop") -> Entry:
    return Entry("1", utc_now(), tenant, deployment, QUEUE, "echo", "1.0.0", "exe_x", Used(attempts=1, run_s=2.0))


def test_a_node_sees_neither_tenants_nor_webhooks(stage: Stage):
    stage.submit({"a": 1}, webhook=Webhook("https://hook.example/?key=s3cret", ("completed",), "standard"))
    link, _ = stage.join()
    stage.serve(link)
    (lease,) = stage.remote(link).exchange(want=1)
    assert TENANT not in str(lease)
    assert b"s3cret" not in lease.body
    assert "s3cret" not in lease.receipt
    assert parse(lease.body).webhook is None


def test_the_webhook_of_a_job_that_ran_far_away_is_sent(stage: Stage):
    job_id = stage.submit(webhook=Webhook("https://hook.example/", ("completed",), "standard"))
    link, _ = stage.join()
    stage.serve(link)
    execution = stage.remote(link)
    (lease,) = execution.exchange(want=1)
    execution.exchange([Completion(lease, output=1)])
    assert stage.job(job_id).is_final
    assert stage.services.queue.stats("_webhooks").jobs == 1


def test_a_ring_is_not_lost_on_a_node_that_hung_up(stage: Stage):
    link, _ = stage.join()
    stage.serve(link)
    node = stage.services.nodes.accounts.get(link.identity.node_id)
    work, queue = stage.services.nodes.work, stage.services.queue
    answers = iter([False, True])
    stage.submit()
    rings = []
    queue.ring = rings.append
    assert work.hear(node, QUEUE, 5.0, is_gone=lambda: next(answers)) is False
    assert rings == [QUEUE]
    assert work.hear(node, QUEUE, 5.0, is_gone=lambda: True) is False
    assert work.hear(node, QUEUE, 5.0) is True


def test_only_queues_with_a_replica_here_are_claimed_from(stage: Stage):
    stage.submit()
    link, _ = stage.join()
    execution = stage.remote(link)
    assert execution.exchange(want=1) == []
    assert stage.services.queue.stats(QUEUE).leased == 0


def test_an_untrusted_node_sees_only_what_allows_it(stage: Stage):
    store = stage.services.deployments
    secret = replace(stage.shop, name="secret", queue="dep.secret", placement=Placement())
    assert store.insert(secret)
    store.put_wanted(Wanted("secret", 2, Reason.MINIMUM, utc_now()))
    link, _ = stage.join(trust=Trust.UNTRUSTED)
    stage.serve(link)
    agency = RemoteAgency(link, RemoteClock(), only_wished=True)
    (seen,) = agency.page()
    assert (seen.name, seen.tenant_id) == ("shop", None)
    assert set(agency.wanted()) == {"shop"}
    assert [node.id for node in agency.nodes()] == [link.identity.node_id]
    with pytest.raises(ForbiddenError):
        agency.claim_replica(secret.stable, "", now=utc_now(), until=utc_now())
    with pytest.raises(ForbiddenError):
        link.post("/bell", {"queue": "dep.secret", "wait_s": 0.0})
    # Even with a place that it should never have got.
    stage.serve(link, secret.stable)
    execution = stage.remote(link)
    execution._us["queue"] = "dep.secret"
    assert execution.exchange(want=1) == []


def test_what_an_untrusted_node_says_of_an_algorithm_is_left_aside(stage: Stage):
    from jangada.algorithms.algorithm import AlgorithmRecord
    from jangada.algorithms.manifest import Limits

    record = AlgorithmRecord("echo", "1.0.0", "", "cpu", Limits(), 3, {}, {}, "echo", utc_now())
    for trust, kept in ((Trust.UNTRUSTED, None), (Trust.TRUSTED, record.version)):
        link, _ = stage.join(trust=trust)
        algorithms = RemoteAlgorithms(link)
        algorithms.put(record)
        found = algorithms.get("echo")
        assert (found.version if found else None) == kept


def test_an_agent_claims_says_and_gives_up(stage: Stage):
    link, _ = stage.join()
    stage.serve(link)
    clock = RemoteClock(lambda: utc_now() - timedelta(hours=1))
    agency = RemoteAgency(link, clock, only_wished=True)
    (shop,) = agency.page()
    assert abs((clock() - utc_now()).total_seconds()) < 30
    made = agency.claim_replica(shop.stable, "", now=clock(), until=clock())
    assert made is not None
    assert made.node_id == link.identity.node_id
    from jangada.deployments.replica import ReplicaStatus

    assert agency.update_replica(made, ReplicaStatus.READY, phases_s={"setup": 0.1}, slots=2)
    agency.page()
    assert {one.id: one.slots for one in agency.replicas()}[made.id] == 2
    assert agency.release_replica(made)
    assert not agency.release_replica(made)
    with pytest.raises(ForbiddenError, match="gpus"):
        agency.claim_replica(shop.stable, "", now=clock(), until=clock(), gpus=("GPU-1",))


def test_what_was_used_is_billed_to_the_jobs_tenant_and_idle_time_to_the_owner(stage: Stage):
    stage.submit()
    link, _ = stage.join()
    stage.serve(link)
    (lease,) = stage.remote(link).exchange(want=1)
    ledger = RemoteLedger(link, QUEUE, new_id("exe"))
    ledger.append([_entry(lease.tenant_id)])
    ledger.append([_entry(lease.tenant_id)])
    ledger.append([replace(_entry(None), id="2", used=Used(idle_s=5.0))])
    idler, _ = stage.join("idler")
    RemoteLedger(idler, QUEUE, new_id("exe")).append([replace(_entry(None), id="2", used=Used(idle_s=7.0))])
    day = utc_now().strftime("%Y-%m-%d")
    sums = stage.services.ledger.usage(day, day)
    assert {(key.tenant_id, key.deployment, used.run_s, used.idle_s) for key, used in sums.items()} == {
        (TENANT, "shop", 2.0, 5.0),
        (None, "shop", 0.0, 7.0),
    }


def test_the_session_is_renewed_and_a_revoked_node_has_none(stage: Stage):
    link, pool = stage.join()
    stage.serve(link)
    link.post("/heartbeat", {})
    link._token = "node_x.forged"
    link.post("/heartbeat", {})
    assert [path for _, path in pool.sent if path.endswith("sessions")] == [
        f"/v1/nodes/{link.identity.node_id}/sessions"
    ] * 2
    stage.services.nodes.accounts.revoke(link.identity.node_id, by="key_test")
    assert stage.services.deployments.replicas() == []
    with pytest.raises(UnauthenticatedError, match="revoked"):
        link.post("/heartbeat", {})


def test_another_key_opens_no_session(stage: Stage):
    link, _ = stage.join()
    thief = NodeLink(replace(link.identity, private_key=new_private_key()), pool=AppPool(stage.app))
    with pytest.raises(UnauthenticatedError, match="not made with the node's key"):
        thief.post("/heartbeat", {})


def test_a_captured_answer_to_a_challenge_cannot_be_sent_again(stage: Stage):
    accounts = stage.services.nodes.accounts
    link, _ = stage.join()
    node_id = link.identity.node_id
    challenge = accounts.challenge(node_id)
    signature = link.identity.sign(challenge)
    accounts.open_session(node_id, challenge, signature)
    with pytest.raises(UnauthenticatedError, match="used already"):
        accounts.open_session(node_id, challenge, signature)


def test_a_page_that_is_not_the_platform_counts_as_away(stage: Stage):
    link, pool = stage.join()
    link.post("/heartbeat", {})
    stage.app.view_functions["heartbeat"] = lambda: "<html>Please sign in to this network</html>"
    with pytest.raises(StoreUnavailableError, match="expected JSON"):
        link.post("/heartbeat", {})
    pool.is_cut = True
    with pytest.raises(StoreUnavailableError, match="the link is cut"):
        link.post("/heartbeat", {})


def test_what_is_not_there_is_said(stage: Stage):
    link, _ = stage.join()
    with pytest.raises(NotFoundError):
        link.post("/nothing/here", {})
