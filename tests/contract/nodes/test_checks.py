"""Some of what an untrusted node does is done again elsewhere, and compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jangada.deployments.deployment import Trust
from jangada.jobs.job import JobStatus
from jangada.jobs.outcome import Completion
from jangada.nodes.checks import PATIENCE, alike
from tests.contract.nodes.conftest import Stage


@pytest.fixture
def stranger(stage: Stage):
    """An untrusted node of which everything is checked."""
    link, _ = stage.join(trust=Trust.UNTRUSTED)
    store = stage.services.node_store
    store.change(link.identity.node_id, lambda it: replace(it, verify_share=1.0))
    stage.serve(link)
    return link


def done_by(execution, output):
    (lease,) = execution.exchange(want=1)
    done = Completion(lease, output=output)
    execution.exchange([done])
    return done


def test_what_two_nodes_agree_on_is_the_outcome(stage: Stage, stranger):
    job_id = stage.submit()
    execution = stage.remote(stranger)
    done = done_by(execution, {"sum": 1.0000000001})
    assert not stage.job(job_id).is_final
    # Its answer may have got lost; and it does not get the job again.
    execution.exchange([done])
    assert execution.exchange(want=1) == []
    assert not stage.job(job_id).is_final
    done_by(stage.direct(), {"sum": 1.0})
    job = stage.job(job_id)
    assert (job.status, job.output) == (JobStatus.SUCCEEDED, {"sum": 1.0})
    stage.services.nodes.agency._checks.compare()
    assert stage.services.node_store.checks(None) == []
    assert stage.services.nodes.accounts.get(stranger.identity.node_id).suspended_for is None


def test_a_node_whose_output_differs_is_suspended_and_counts_no_more(stage: Stage, stranger):
    job_id = stage.submit()
    execution = stage.remote(stranger)
    done_by(execution, {"total": 1})
    done_by(stage.direct(), {"total": 2})
    stage.services.nodes.agency._checks.compare()
    node = stage.services.nodes.accounts.get(stranger.identity.node_id)
    assert job_id in node.suspended_for
    assert stage.job(job_id).output == {"total": 2}
    assert stage.services.deployments.replicas() == []
    other = stage.submit()
    assert execution.exchange(want=1) == []
    assert stranger.post("/wishes", {})["deployments"] == []
    assert not stage.job(other).is_final
    stage.services.nodes.accounts.resume(node.id, by="key_test")
    assert stage.services.nodes.accounts.get(node.id).suspended_for is None


def test_where_nobody_else_is_the_node_does_it_again(stage: Stage, stranger):
    job_id = stage.submit()
    execution = stage.remote(stranger)
    done_by(execution, 1)
    store = stage.services.node_store
    (check,) = store.checks([job_id])
    store.delete_check(job_id)
    store.insert_check(replace(check, at=check.at - PATIENCE - timedelta(seconds=1)))
    done_by(execution, 1)
    assert stage.job(job_id).output == 1


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_only_a_share_is_checked_and_nothing_of_a_trusted_node(stage: Stage, share):
    for trust in (Trust.TRUSTED, Trust.UNTRUSTED):
        link, _ = stage.join(trust=trust)
        store = stage.services.node_store
        store.change(link.identity.node_id, lambda it: replace(it, verify_share=share))
        stage.serve(link)
        jobs = [stage.submit() for _ in range(40)]
        execution = stage.remote(link)
        leases = execution.exchange(want=40)
        execution.exchange([Completion(lease, output=1) for lease in leases])
        final = sum(stage.job(job_id).is_final for job_id in jobs)
        if share and trust is Trust.UNTRUSTED:
            assert 5 < final < 35
        else:
            assert final == 40


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.0000001, True),
        (1.0, 1.001, False),
        (1, True, False),
        (True, True, True),
        ([1, 2], [1, 2], True),
        ([1], [1, 2], False),
        ({"a": [0.1]}, {"a": [0.1 + 1e-9]}, True),
        ({"a": 1}, {"b": 1}, False),
        ("a", "a", True),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_outputs_are_compared_by_what_they_say(one, other, same):
    assert alike(one, other) is same
    assert alike(other, one) is same
