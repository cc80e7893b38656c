"""Deployments that somebody wished for, through the function `deployments`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.deployments.handler import create_app
from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.deployments.node import Gpu, Node
from jangada.deployments.replica import ReplicaStatus, Wanted
from jangada.deployments.scaling import Reason
from jangada.jobs.queue import QueueEntry
from jangada.tenants import Tenant
from jangada.wiring import Services

from .conftest import headers_of

OCR = {"name": "acme-ocr", "algorithm": "doc-ocr", "algorithm_version": "1.4.2"}


class Api:
    """The function, as an administrator and as tenants use it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.http: FlaskClient = create_app(services).test_client()
        self.admin = headers_of(services, "admin")
        for name in ("acme", "globex"):
            services.tenants.insert_tenant(Tenant(name, name, services.clock()))

    def as_(self, tenant: str, *scopes: str) -> dict[str, str]:
        return headers_of(self.services, *(scopes or ("algorithms:read", "deployments:write")), tenant_id=tenant)

    def create(self, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **more: Any) -> Any:
        return self.http.post("/v1/deployments", json=(body or OCR) | more, headers=headers or self.admin)

    def get(self, name: str = "acme-ocr", headers: dict[str, str] | None = None) -> Any:
        return self.http.get(f"/v1/deployments/{name}", headers=headers or self.admin)

    def patch(self, body: Any, name: str = "acme-ocr", headers: dict[str, str] | None = None, **more: str) -> Any:
        named = {key.replace("_", "-"): value for key, value in more.items()}
        return self.http.patch(f"/v1/deployments/{name}", json=body, headers=(headers or self.admin) | named)

    def roll_back(self, name: str = "acme-ocr") -> Any:
        return self.http.post(f"/v1/deployments/{name}/rollback", headers=self.admin)

    def delete(self, name: str = "acme-ocr", headers: dict[str, str] | None = None) -> Any:
        return self.http.delete(f"/v1/deployments/{name}", headers=headers or self.admin)

    def bind(self, **limits: Any) -> None:
        answer = self.http.put("/v1/plans/small", json={"tenants": ["acme"]} | limits, headers=self.admin)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def api(services: Services) -> Iterator[Api]:
    for name in ("doc-ocr", "text-embed"):
        record = AlgorithmRecord(name, "1.4.2", "About it", "cpu", Limits(60.0, 512), 2, {}, {}, name, services.clock())
        services.algorithms.put(record)
    yield Api(services)
    # The queues outlive the test on a server that others use as well.
    services.queue.drop("dep.acme-ocr", [f"job_{at}" for at in range(4)])
    services.queue.resume("dep.acme-ocr")


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["pointer"] for one in answer.json["errors"]]


def test_a_wish_is_shown_with_everything_that_was_left_out(api: Api):
    made = api.create(tenant="acme", scaling={"max": 3}, resources={"gpu": {"min_memory_mib": 24576}})
    assert made.status_code == 201
    assert made.headers["Location"].endswith("/v1/deployments/acme-ocr")
    found = made.json
    assert (found["tenant"], found["generation"], found["mode"]) == ("acme", 1, "on-demand")
    assert (found["scaling"]["min"], found["scaling"]["max"], found["scaling"]["idle_s"]) == (0, 3, 300.0)
    assert found["resources"]["gpu"] == {"count": 1, "min_memory_mib": 24576, "type_any_of": []}
    assert found["urls"]["jobs"].endswith("/v1/deployments/acme-ocr/jobs")
    assert api.get().json == found


def test_what_was_shown_can_be_sent_back_and_changes_nothing_but_the_generation(api: Api):
    first = api.create(
        tenant="acme",
        warm=[{"cron": "0 8 * * *", "duration_s": 60}],
        placement={"labels": {"zone": "a"}, "trust": "any"},
        canary={"algorithm_version": "2.0.0", "share": 0.25},
    ).json
    fixed = {"name", "object", "algorithm", "tenant", "device", "is_default", "previous_version", "generation"}
    fixed |= {"status", "urls", "created_at", "updated_at"}
    again = api.patch({key: value for key, value in first.items() if key not in fixed}).json
    assert again["generation"] == 2
    same = set(first) - {"generation", "updated_at", "status"}
    assert {key: again[key] for key in same} == {key: first[key] for key in same}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scaling": {"min": 5, "max": 2}}, "/scaling/min"),
        ({"scaling": {"min": 0}, "mode": "online"}, "/scaling/min"),
        ({"scaling": {"max": 0}}, "/scaling/max"),
        ({"scaling": {"min": "1"}}, "/scaling/min"),
        ({"scaling": {"buffer": 1}}, "/scaling/buffer"),
        ({"warm": [{"cron": "every day", "duration_s": 60}]}, "/warm/0/cron"),
        ({"warm": [{"cron": "0 8 * * *", "duration_s": 60, "replicas": 9}]}, "/warm/0/replicas"),
        ({"batching": {"max_wait_ms": 5}}, "/batching/max_wait_ms"),
        ({"canary": {"algorithm_version": "1.4.2", "share": 0.5}}, "/canary/algorithm_version"),
        ({"canary": {"algorithm_version": "2.0.0", "share": 1.5}}, "/canary/share"),
        ({"algorithm": "nothing"}, "/algorithm"),
        ({"name": "Not A Name"}, "/name"),
        ({"gpus": 2}, "/gpus"),
        ({"resources": {"cpu": 2}}, "/resources/cpu"),
        ({"tenant": "nobody"}, "/tenant"),
        ({"tenant": "*", "default": True}, "/default"),
    ],
)
def test_a_wrong_wish_is_refused_at_the_field(api: Api, change: dict[str, Any], pointer: str):
    assert pointers(api.create(**change)) == [pointer]


def test_online_means_at_least_one(api: Api):
    assert api.create(mode="online").json["scaling"]["min"] == 1


def test_a_name_is_taken_once_and_an_algorithms_only_by_its_own_shared_one(api: Api):
    assert api.create().status_code == 201
    assert api.create().status_code == 409
    assert api.create(name="text-embed").status_code == 409
    assert api.create(name="doc-ocr").status_code == 409


def test_the_shared_one_of_an_algorithm_can_be_changed_and_taken_back(api: Api):
    assert api.get("doc-ocr").headers["ETag"] == '"0"'
    changed = api.patch({"scaling": {"max": 9}, "mode": "online"}, "doc-ocr")
    assert (changed.json["generation"], changed.json["scaling"]["max"], changed.json["tenant"]) == (1, 9, None)
    assert changed.json["is_default"] is True
    found = api.services.deployments.get("doc-ocr")
    assert found is not None
    assert found.queue == "doc-ocr"
    assert api.delete("doc-ocr").status_code == 204
    assert api.get("doc-ocr").json["generation"] == 0
    assert api.delete("doc-ocr").status_code == 409


def test_two_who_change_at_once_do_not_undo_each_other(api: Api):
    etag = api.create().headers["ETag"]
    first = api.patch({"paused": True}, If_Match=etag)
    assert first.status_code == 200
    late = api.patch({"paused": False}, If_Match=etag)
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert api.patch({"paused": False}, If_Match=first.headers["ETag"]).json["paused"] is False


def test_null_in_a_change_is_as_when_never_given(api: Api):
    api.create(scaling={"max": 7, "idle_s": 5}, model="ocr@prod")
    found = api.patch({"scaling": {"idle_s": None}, "model": None}).json
    assert (found["scaling"]["max"], found["scaling"]["idle_s"], found["model"]) == (7, 300.0, None)
    assert pointers(api.patch({"algorithm": "text-embed"})) == ["/algorithm"]


def test_only_what_concerns_a_replica_replaces_it(api: Api):
    def rollout() -> int:
        found = api.services.deployments.get("acme-ocr")
        assert found is not None
        return found.rollout

    api.create()
    first = rollout()
    api.patch({"scaling": {"max": 5}, "prices": {"cpu_s": 1}})
    assert rollout() == first
    api.patch({"algorithm_version": "1.5.0"})
    second = rollout()
    assert second > first
    api.patch({"resources": {"memory_mib": 1024}})
    assert rollout() > second


def test_a_rollback_goes_to_the_version_before_and_back(api: Api):
    api.create()
    assert api.roll_back().status_code == 409
    api.patch({"algorithm_version": "1.5.0"})
    assert api.get().json["previous_version"] == "1.4.2"
    assert api.roll_back().json["algorithm_version"] == "1.4.2"
    assert api.roll_back().json["algorithm_version"] == "1.5.0"


def test_a_rollback_ends_a_canary_whose_queue_the_stable_version_works_off(api: Api):
    api.create(canary={"algorithm_version": "2.0.0", "share": 0.1})
    found = api.roll_back().json
    assert (found["algorithm_version"], found["canary"]) == ("1.4.2", None)
    kept = api.services.deployments.get("acme-ocr")
    assert kept is not None
    assert [(lane.queue, lane.algorithm_version) for lane in kept.lanes] == [
        ("dep.acme-ocr", "1.4.2"),
        ("dep.acme-ocr.canary", "1.4.2"),
    ]


def test_it_is_not_deleted_while_it_has_jobs(api: Api):
    api.create()
    queue = api.services.queue
    queue.enqueue_many("dep.acme-ocr", [QueueEntry("job_1", "acme", b"{}")])
    refused = api.delete()
    assert (refused.status_code, refused.json["unfinished_jobs"]) == (409, 1)
    assert not queue.control("dep.acme-ocr").draining
    queue.drop("dep.acme-ocr", ["job_1"])
    assert api.delete().status_code == 204
    assert api.get().status_code == 404
    # One of that name that is made later takes jobs again.
    api.create()
    assert not queue.control("dep.acme-ocr").draining


def test_a_tenant_sees_its_own_and_shared_ones_only(api: Api):
    api.create(tenant="acme")
    api.create(name="everybodys", tenant="*")
    listed = api.http.get("/v1/deployments", headers=api.as_("globex")).json["data"]
    assert [one["name"] for one in listed] == ["doc-ocr", "everybodys", "text-embed"]
    assert api.get(headers=api.as_("globex")).status_code == 404
    assert api.get(headers=api.as_("acme")).status_code == 200
    assert api.patch({"paused": True}, headers=api.as_("globex")).status_code == 404
    assert api.patch({"paused": True}, "everybodys", headers=api.as_("globex")).status_code == 403
    assert api.delete("doc-ocr", headers=api.as_("globex")).status_code == 403


def test_wishing_takes_its_scope_which_no_key_has_by_itself(api: Api):
    assert api.create(headers=api.as_("acme", "jobs:write", "algorithms:read")).status_code == 403
    assert api.create(headers=api.as_("acme"), tenant="globex").status_code == 403
    assert api.create(headers=api.as_("acme"), tenant="*").status_code == 403


@pytest.mark.parametrize(
    ("limits", "wish", "limit"),
    [
        ({"max_deployments": 0}, {}, "deployments"),
        ({"max_replicas": 2}, {"scaling": {"max": 3}}, "replicas"),
        (
            {"max_cpu_millicores": 5000},
            {"scaling": {"max": 3}, "resources": {"cpu_millicores": 2000}},
            "cpu_millicores",
        ),
        ({"max_memory_mib": 1000}, {"scaling": {"max": 2}}, "memory_mib"),
        ({"max_gpus": 1}, {"scaling": {"max": 1}, "resources": {"gpu": {"count": 2}}}, "gpus"),
        ({"allows_online": False}, {"mode": "online"}, "online"),
        ({"allows_online": False}, {"warm": [{"cron": "0 8 * * *", "duration_s": 60}]}, "online"),
    ],
)
def test_a_plan_refuses_what_is_beyond_it_and_names_the_limit(api: Api, limits, wish, limit):
    api.bind(**limits)
    refused = api.create(headers=api.as_("acme"), **wish)
    assert (refused.status_code, refused.json["code"]) == (403, "plan_exceeded")
    assert refused.json["limit"]["name"] == limit
    assert "plan small allows" in refused.json["detail"]


def test_without_a_plan_nothing_of_ones_own(api: Api):
    refused = api.create(headers=api.as_("acme"))
    assert (refused.status_code, refused.json["code"]) == (403, "plan_exceeded")
    assert api.create(tenant="acme").status_code == 201


def test_a_plan_counts_all_of_a_tenants_deployments_and_changes_too(api: Api):
    api.bind(max_replicas=3)
    mine = api.as_("acme")
    assert api.create(headers=mine, scaling={"max": 2}).status_code == 201
    assert api.create(headers=mine, name="second", scaling={"max": 2}).status_code == 403
    assert api.create(headers=mine, name="second", scaling={"max": 1}).status_code == 201
    assert api.patch({"scaling": {"max": 3}}, headers=mine).status_code == 403
    assert api.patch({"paused": True}, headers=mine).status_code == 200


def at_once(api: Api, monkeypatch: pytest.MonkeyPatch, method: str, *calls: Callable[[], Any]) -> list[int]:
    """The status codes of *calls*, which all write at one moment if nothing keeps them from coming that far."""
    store = api.services.deployments
    write, together = getattr(store, method), Barrier(len(calls))

    def write_together(*args: Any, **more: Any) -> bool:
        with suppress(BrokenBarrierError):
            together.wait(1.0)
        return bool(write(*args, **more))

    monkeypatch.setattr(store, method, write_together)
    with ThreadPoolExecutor(len(calls)) as threads:
        return sorted(one.result().status_code for one in [threads.submit(call) for call in calls])


def test_of_two_that_are_wished_for_at_once_the_plan_overlooks_none(api: Api, monkeypatch: pytest.MonkeyPatch):
    api.bind(max_deployments=1)
    mine = api.as_("acme")
    calls = [partial(api.create, headers=mine, name=name) for name in ("acme-ocr", "second")]
    assert at_once(api, monkeypatch, "insert", *calls) == [201, 403]
    assert len(api.services.deployments.page()) == 1


def test_of_two_changes_at_once_the_plan_overlooks_none(api: Api, monkeypatch: pytest.MonkeyPatch):
    api.bind(max_replicas=4)
    mine = api.as_("acme")
    for name in ("acme-ocr", "second"):
        assert api.create(headers=mine, name=name).status_code == 201
    calls = [partial(api.patch, {"scaling": {"max": 3}}, name, mine) for name in ("acme-ocr", "second")]
    assert at_once(api, monkeypatch, "replace", *calls) == [200, 403]
    assert sum(one.scaling.maximum for one in api.services.deployments.page()) == 4


def test_whoever_died_while_changing_keeps_others_waiting_no_longer_than_said(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    now = api.services.clock()
    api.services.deployments.lock_wishes("acme", "dead", now=now, until=now + timedelta(seconds=0.2))
    assert api.create(tenant="acme").status_code == 201
    api.services.deployments.lock_wishes("acme", "slow", now=now, until=now + timedelta(hours=1))
    monkeypatch.setattr("jangada.deployments.service.CHANGE_WITHIN_S", 0.1)
    refused = api.patch({"paused": True})
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert "tenant acme" in refused.json["detail"]


def test_prices_are_the_operators(api: Api):
    api.bind()
    mine = api.as_("acme")
    api.patch({"prices": {"cpu_s": 0.25}}, "doc-ocr")
    assert api.create(headers=mine, prices={"cpu_s": 0.01}).status_code == 403
    assert api.create(headers=mine).json["prices"] == {"cpu_s": 0.25, "gpu_s": 0.0}
    assert api.patch({"prices": {"cpu_s": 0}}, headers=mine).status_code == 403
    assert api.patch({"paused": True}, headers=mine).json["prices"]["cpu_s"] == 0.25
    assert api.patch({"prices": {"cpu_s": 0.5}}).json["prices"]["cpu_s"] == 0.5


def test_plans_are_listed_and_deleted(api: Api):
    api.bind(max_gpus=0)
    (plan,) = api.http.get("/v1/plans", headers=api.admin).json["data"]
    assert (plan["name"], plan["tenants"], plan["max_gpus"], plan["max_replicas"]) == ("small", ["acme"], 0, None)
    unknown = api.http.put("/v1/plans/small", json={"tenants": ["nobody"]}, headers=api.admin)
    assert pointers(unknown) == ["/tenants/0"]
    assert api.http.delete("/v1/plans/small", headers=api.admin).status_code == 204
    assert api.http.delete("/v1/plans/small", headers=api.admin).status_code == 404


def test_a_tenants_default_is_the_one_that_was_made_it_last(api: Api):
    api.create(tenant="acme", default=True)
    api.create(name="newer", tenant="acme", default=True)
    api.create(name="others", tenant="globex", default=True)
    assert [api.get(name).json["default"] for name in ("acme-ocr", "newer", "others")] == [False, True, True]


def test_the_status_says_how_far_it_is_and_why_it_is_no_further(api: Api):
    api.create(tenant="acme", resources={"gpu": {"min_memory_mib": 24576}}, scaling={"max": 2})
    (lane,) = api.get().json["status"]["lanes"]
    assert (lane["wanted"], lane["state"]) == (0, "idle")
    assert lane["problem"] == "no node is registered: start one with `jangada node run`"
    now, store = api.services.clock(), api.services.deployments
    until = now + timedelta(minutes=5)
    small = Node("node_1", "one", 8000, 8192, until, gpus=(Gpu("GPU-t", "T4", 15360),))
    store.put_node(small)
    assert api.get().json["status"]["lanes"][0]["problem"] == "no node offers gpu ≥ 24 GiB"
    store.put_node(Node("node_1", "one", 8000, 8192, until, gpus=(Gpu("GPU-a", "A100", 40960),)))
    assert api.get().json["status"]["lanes"][0]["problem"] is None
    api.services.queue.enqueue_many("dep.acme-ocr", [QueueEntry(f"job_{at}", "acme", b"{}") for at in range(4)])
    store.put_wanted(Wanted("acme-ocr", 2, Reason.BACKLOG, now, 1.25, {"spawn": 0.5}))
    found = store.get("acme-ocr")
    assert found is not None
    made = store.claim_replica(found.stable, "node_1", now=now, until=until, gpus=("GPU-a",))
    assert made is not None
    starting = api.get().json["status"]
    assert (starting["state"], starting["lanes"][0]["starting"]) == ("starting", 1)
    assert starting["lanes"][0]["problem"].startswith("every node that matches is full: none has 1 core, 512 MiB")
    store.update_replica(made, ReplicaStatus.READY, ready_at=now)
    lane = api.get().json["status"]["lanes"][0]
    assert (lane["state"], lane["ready"], lane["wanted"], lane["reason"]) == ("ready", 1, 2, "backlog")
    assert (lane["queued"], lane["backlog_s"]) == (4, 4.0)
    assert lane["last_start"] == {"total_s": 1.25, "phases_s": {"spawn": 0.5}}


def test_its_queue_is_among_the_queues(api: Api):
    api.create(canary={"algorithm_version": "2.0.0", "share": 0.5})
    names = [one["name"] for one in api.http.get("/v1/queues", headers=api.admin).json["data"]]
    assert names == ["dep.acme-ocr", "dep.acme-ocr.canary", "doc-ocr", "text-embed"]
    assert api.http.post("/v1/queues/dep.acme-ocr/pause", headers=api.admin).json["algorithms"] == ["doc-ocr"]
