"""From a name to a replica, and how long to wait before a restart."""

from __future__ import annotations

import asyncio

import pytest

from jangada.gateway.accounting import Accounting
from jangada.gateway.process import Backoff
from jangada.gateway.provider import Replica
from jangada.gateway.resolver import NoReplicaError, Resolver, split_name
from tests.fixed_provider import FixedProvider, function, started_control


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("echo", ("echo", "openfaas-fn")),
        ("echo.dev", ("echo", "dev")),
        ("a.b.dev", ("a.b", "dev")),
        (".dev", (".dev", "openfaas-fn")),
    ],
)
def test_a_name_is_split_at_its_last_dot(text, split):
    assert split_name(text) == split


def choose(replicas, **options):
    async def choosing():
        provider = FixedProvider([function()], replicas)
        control = await started_control(provider)
        try:
            return await Resolver(control, provider, wait_s=0.0, **options).choose(function())
        finally:
            await control.stop()

    return asyncio.run(choosing())


def test_the_least_loaded_replica_is_chosen():
    replicas = [Replica("echo", "http://a", 3), Replica("echo", "http://b", 1), Replica("echo", "http://c", 2)]
    assert choose(replicas).address == "http://b"


def test_full_replicas_take_nothing():
    with pytest.raises(NoReplicaError, match="2 requests in flight"):
        choose([Replica("echo", "http://a", 2)], max_in_flight=2)


def test_no_replica_is_said():
    with pytest.raises(NoReplicaError, match="no replica of echo is ready"):
        choose([])


def test_backoff_doubles_to_its_bound_and_forgets_after_a_calm_life():
    backoff = Backoff(first_s=0.1, most_s=1.0, calm_s=3.0)
    assert [round(backoff.after(0.0), 3) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.after(3.0) == 0.1
    assert backoff.after(0.0) == 0.2


def test_accounting_counts_what_began_and_how_it_ended():
    accounting = Accounting()
    first, _ = accounting.begin("echo"), accounting.begin("echo")
    accounting.end(first, 200, 0.5)
    account = accounting.of("echo")
    assert (account.started, account.in_flight, account.ended, account.succeeded) == (2, 1, 1, 1)
    assert (account.codes[200].seconds, account.codes[200].buckets[6]) == (0.5, 1)
    assert accounting.invocations("echo") == 1
    assert accounting.invocations("never") == 0
