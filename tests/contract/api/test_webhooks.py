"""API conventions §6: the delivery log and the signing secret."""

from dataclasses import replace

import pytest

from jangada.clock import utc_now
from jangada.webhooks.delivery import DeliveryAttempt, DeliveryState
from jangada.webhooks.signing import key_of
from jangada.webhooks.sweep import WebhookSweep


@pytest.fixture
def deliveries(api):
    """Three finished jobs with a delivery each: pending, delivered, failed."""
    for _ in range(3):
        api.submit(webhook={"url": "https://app.example.com/hooks"})
        api.run_one({"text": "x"})
    WebhookSweep(api.services.queue, api.services.store, api.services.webhooks).sweep_once()
    found = api.get("/v1/webhooks/deliveries").json["data"]
    assert len(found) == 3
    store = api.services.webhooks
    now = utc_now()
    store.save(store.get(found[1]["id"]).after(DeliveryAttempt(now, 12, 200, None)))
    store.save(store.get(found[2]["id"]).after(DeliveryAttempt(now, 9, 410, "status: 410", permanent=True)))
    return [api.get(f"/v1/webhooks/deliveries/{one['id']}").json for one in found]


def test_a_finished_job_has_a_delivery(api, deliveries):
    delivery = deliveries[1]
    assert delivery["object"] == "webhook_delivery"
    assert delivery["type"] == "job.succeeded"
    assert delivery["state"] == "delivered"
    assert delivery["attempts"][0]["status"] == 200
    assert api.services.store.webhooks_due(10) == []


def test_deliveries_are_filtered_and_paged(api, deliveries):
    def ids(query):
        return [one["id"] for one in api.get(f"/v1/webhooks/deliveries?{query}").json["data"]]

    assert ids("state=failed") == [deliveries[2]["id"]]
    assert ids(f"job={deliveries[0]['job_id']}") == [deliveries[0]["id"]]
    first = api.get("/v1/webhooks/deliveries?limit=2").json
    assert first["has_more"] is True
    assert [one["id"] for one in first["data"]] == [deliveries[0]["id"], deliveries[1]["id"]]
    assert ids(f"limit=2&cursor={first['next_cursor']}") == [deliveries[2]["id"]]
    assert api.get("/v1/webhooks/deliveries?state=lost").status_code == 422


def test_redelivery_is_pending_again_with_the_same_id(api, deliveries):
    answer = api.post(f"/v1/webhooks/deliveries/{deliveries[2]['id']}/redeliver")
    assert answer.status_code == 202
    assert (answer.json["id"], answer.json["state"]) == (deliveries[2]["id"], "pending")
    assert len(answer.json["attempts"]) == 1
    assert answer.headers["Location"] == f"/v1/webhooks/deliveries/{deliveries[2]['id']}"


def test_another_tenants_delivery_is_404(api, deliveries):
    path = f"/v1/webhooks/deliveries/{deliveries[0]['id']}"
    assert api.get(path, tenant="globex").status_code == 404
    assert api.post(f"{path}/redeliver", tenant="globex").status_code == 404
    assert api.get("/v1/webhooks/deliveries", tenant="globex").json["data"] == []


def test_the_secret_is_made_at_first_use_and_stays(api):
    first = api.get("/v1/webhooks/secret")
    assert len(key_of(first.json["secret"])) == 32
    assert first.json["previous"] is None
    assert first.headers["Cache-Control"] == "no-store"
    assert api.get("/v1/webhooks/secret").json == first.json
    assert api.get("/v1/webhooks/secret", tenant="globex").json["secret"] != first.json["secret"]


def test_rotation_keeps_the_previous_secret_for_a_while(api):
    before = api.get("/v1/webhooks/secret").json["secret"]
    answer = api.post("/v1/webhooks/secret")
    assert answer.status_code == 201
    assert answer.json["previous"] == before
    assert answer.json["secret"] != before
    assert answer.json["previous_until"] > answer.json["created_at"]
    assert api.get("/v1/webhooks/secret").json == answer.json


def test_a_redelivery_cannot_overtake_a_later_one(api, deliveries):
    store = api.services.webhooks
    old = store.get(deliveries[2]["id"])
    store.save(old.again(utc_now()))
    assert store.save(replace(old, state=DeliveryState.DELIVERED)) is False
