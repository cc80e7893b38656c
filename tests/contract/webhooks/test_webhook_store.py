"""One suite over both webhook stores."""

from datetime import timedelta

import pytest

from jangada.clock import utc_now
from jangada.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from jangada.webhooks.signing import new_secret
from jangada.webhooks.store import DeliveryFilter, SigningSecrets
from jangada.webhooks.store_memory import MemoryWebhookStore
from jangada.webhooks.store_mongo import MongoWebhookStore
from tests.contract.stores import STORES


def made(number: int, tenant: str = "acme", **more) -> Delivery:
    now = utc_now()
    fields = {
        "id": f"msg_{number:026d}-completed",
        "tenant_id": tenant,
        "job_id": f"job_{number:026d}",
        "event": "completed",
        "type": "job.succeeded",
        "url": "https://example.com/",
        "format": "standard",
        "created_at": now,
        "next_at": now,
    }
    return Delivery(**{**fields, **more})


@pytest.fixture(params=STORES)
def store(request):
    if request.param == "memory":
        return MemoryWebhookStore()
    store = MongoWebhookStore(request.getfixturevalue(f"{request.param}_database"))
    store.create_indexes()
    return store


def test_webhook_store_adds_once_and_reads_back(store):
    one, two = made(1), made(2, data={"attempt": 1})
    assert store.add([one]) == [True]
    assert store.add([one, two]) == [False, True]
    assert store.add([]) == []
    assert store.get(two.id) == two
    assert store.get(one.id, "acme") == one
    assert store.get(one.id, "globex") is None
    assert store.get("msg_none") is None


def test_webhook_store_saves_but_not_over_a_later_epoch(store):
    one = made(1)
    assert store.save(one)
    after = one.after(DeliveryAttempt(utc_now(), 5, 503, "status: 503", retry_after_s=3.0))
    assert store.save(after)
    assert store.get(one.id) == after
    again = after.again(utc_now())
    assert store.save(again)
    assert not store.save(after)
    assert store.get(one.id) == again


def test_webhook_store_pages_and_filters(store):
    store.add([made(n) for n in range(5)])
    store.add([made(9, "globex"), made(7, state=DeliveryState.FAILED, next_at=None)])
    ids = [one.id for one in store.page(DeliveryFilter("acme"), 10)]
    assert ids == [made(n).id for n in (7, 4, 3, 2, 1, 0)]
    assert [one.id for one in store.page(DeliveryFilter("acme", before=ids[1]), 2)] == ids[2:4]
    assert [one.id for one in store.page(DeliveryFilter("acme", state=DeliveryState.FAILED), 9)] == ids[:1]
    assert [one.id for one in store.page(DeliveryFilter("acme", job_id=made(3).job_id), 9)] == [made(3).id]


def test_webhook_store_finds_overdue_ones_and_purges_old_ones(store):
    now = utc_now()
    old = now - timedelta(days=40)
    store.add(
        [made(1, next_at=now - timedelta(seconds=300)), made(2), made(3, created_at=old, state=DeliveryState.FAILED)]
    )
    assert [one.id for one in store.overdue(now - timedelta(seconds=120), 10)] == [made(1).id]
    assert store.purge(now - timedelta(days=30)) == 1
    assert store.get(made(3).id) is None


def test_webhook_secrets_are_written_by_comparison(store):
    now = utc_now()
    assert store.secrets("acme") is None
    first = SigningSecrets(new_secret(), now)
    assert store.put_secrets("acme", first, replaces=None)
    assert not store.put_secrets("acme", SigningSecrets(new_secret(), now), replaces=None)
    second = SigningSecrets(new_secret(), now, first.current, now + timedelta(days=1))
    assert not store.put_secrets("acme", second, replaces="whsec_other")
    assert store.put_secrets("acme", second, replaces=first.current)
    assert store.secrets("acme") == second
    assert second.in_force(now) == [second.current, first.current]
    assert second.in_force(now + timedelta(days=1)) == [second.current]


def test_webhook_endpoints_are_disabled_by_tenant_and_url(store):
    for _ in range(2):
        store.disable("acme", "https://a.example/", utc_now())
    assert store.is_disabled("acme", "https://a.example/")
    assert not store.is_disabled("globex", "https://a.example/")
    assert not store.is_disabled("acme", "https://b.example/")
    store.enable("acme", "https://a.example/")
    assert not store.is_disabled("acme", "https://a.example/")
