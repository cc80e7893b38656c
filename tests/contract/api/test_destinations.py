"""Where jobs go: deployments that are named, a tenant's default, the shared one, a canary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jangada.clock import utc_now
from jangada.deployments.deployment import Canary, Deployment, Timeouts
from jangada.deployments.queues import own_queue

from .conftest import Api, algorithm


def wish(api: Api, name: str, tenant_id: str | None = "acme", **more: Any) -> Deployment:
    now = utc_now()
    facts: dict[str, Any] = {"algorithm": "echo", "queue": own_queue(name), "tenant_id": tenant_id} | more
    made = Deployment(name=name, created_at=now, updated_at=now, **facts)
    assert api.services.deployments.insert(made)
    return made


def went(api: Api, job: dict[str, Any]) -> tuple[str, str]:
    stored = api.services.store.get(job["id"])
    assert stored is not None
    return stored.deployment, stored.queue


def test_a_job_goes_to_the_deployment_that_it_names(api: Api):
    wish(api, "acme-echo", algorithm_version="1.4.0")
    job = api.submit(deployment="acme-echo")
    assert (job["deployment"], job["algorithm"], job["algorithm_version"]) == ("acme-echo", "echo", "1.4.0")
    assert went(api, job) == ("acme-echo", "dep.acme-echo")
    assert api.claim("dep.acme-echo").job_id == job["id"]


def test_the_path_of_a_deployment_knows_its_algorithm(api: Api):
    wish(api, "acme-echo")
    made = api.post("/v1/deployments/acme-echo/jobs", {"input": {"text": "olá"}})
    assert made.status_code == 202
    assert (made.json["deployment"], made.json["algorithm"]) == ("acme-echo", "echo")
    api.submit()
    listed = api.get("/v1/deployments/acme-echo/jobs").json["data"]
    assert [job["id"] for job in listed] == [made.json["id"]]
    assert api.get("/v1/deployments/acme-echo/jobs", tenant="globex").json["data"] == []


def test_the_shared_one_of_an_algorithm_has_a_path_too(api: Api):
    made = api.post("/v1/deployments/echo/jobs", {"input": {"text": "olá"}})
    assert (made.status_code, made.json["deployment"]) == (202, "echo")
    assert went(api, made.json) == ("echo", "echo")


def test_on_a_deployments_path_algorithm_and_deployment_are_unknown_fields(api: Api):
    wish(api, "acme-echo")
    for field in ("algorithm", "deployment"):
        refused = api.post("/v1/deployments/acme-echo/jobs", {"input": {"text": "x"}, field: "echo"})
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, f"/{field}")


def test_another_tenants_deployment_does_not_exist(api: Api):
    wish(api, "acme-echo")
    refused = api.post("/v1/deployments/acme-echo/jobs", {"input": {"text": "x"}}, tenant="globex")
    assert refused.status_code == 404
    body = {"algorithm": "echo", "deployment": "acme-echo", "input": {"text": "x"}}
    assert api.post("/v1/jobs", body, tenant="globex").status_code == 404
    assert api.post("/v1/jobs", body | {"algorithm": "any"}).status_code == 404


def test_a_credentials_tenant_decides_the_default(api: Api):
    wish(api, "acme-echo", is_default=True)
    wish(api, "acme-other")
    assert went(api, api.submit()) == ("acme-echo", "dep.acme-echo")
    assert went(api, api.submit(deployment="echo")) == ("echo", "echo")
    other = api.post("/v1/jobs", {"algorithm": "echo", "input": {"text": "x"}}, tenant="globex").json
    assert went(api, other) == ("echo", "echo")


def test_one_that_is_wished_just_now_is_found_at_once_by_name(api: Api):
    api.submit()  # the directory has been read
    wish(api, "acme-echo")
    assert went(api, api.submit(deployment="acme-echo")) == ("acme-echo", "dep.acme-echo")


def test_a_deployment_may_allow_less_time_than_its_algorithm(api: Api):
    wish(api, "acme-echo", timeouts=Timeouts(execution_s=30.0))
    assert api.submit(deployment="acme-echo")["policy"]["execution_timeout_s"] == 30.0
    body = {"input": {"text": "x"}, "policy": {"execution_timeout_s": 60}}
    refused = api.post("/v1/deployments/acme-echo/jobs", body)
    assert (refused.status_code, refused.json["errors"][0]["detail"]) == (422, "acme-echo allows at most 30")


def test_a_retry_goes_where_the_job_went(api: Api):
    wish(api, "acme-echo")
    job = api.submit(deployment="acme-echo")
    api.finish(api.claim("dep.acme-echo"), {})
    again = api.post(f"/v1/jobs/{job['id']}/retry").json
    assert went(api, again) == ("acme-echo", "dep.acme-echo")


def test_jobs_of_one_affinity_meet_the_same_version(api: Api):
    wish(api, "acme-echo", algorithm_version="1.4.2", canary=Canary("2.0.0", 0.5))
    versions = {
        key: {api.submit(deployment="acme-echo", affinity=key)["algorithm_version"] for _ in range(3)}
        for key in ("a", "b", "c", "d", "e", "f", "g", "h")
    }
    assert all(len(seen) == 1 for seen in versions.values())
    assert {"1.4.2", "2.0.0"} == set.union(*versions.values())


def test_jobs_of_a_canary_wait_in_a_queue_of_their_own(api: Api):
    wish(api, "acme-echo", algorithm_version="1.4.2", canary=Canary("2.0.0", 1.0))
    assert went(api, api.submit(deployment="acme-echo")) == ("acme-echo", "dep.acme-echo.canary")


def test_a_batch_goes_to_several_deployments(api: Api):
    wish(api, "acme-echo")
    items = [
        {"algorithm": "echo", "input": {"text": "x"}} | more
        for more in ({}, {"deployment": "acme-echo"}, {"deployment": "nothing"})
    ]
    answer = api.post("/v1/jobs/batch", items).json
    assert [one["status"] for one in answer["data"]] == [202, 202, 404]
    assert [one["job"]["deployment"] for one in answer["data"][:2]] == ["echo", "acme-echo"]


@pytest.mark.parametrize("share", [0.0, None])
def test_a_canary_that_ended_gets_no_more_jobs(api: Api, share: float | None):
    made = wish(api, "acme-echo", algorithm_version="1.4.2", canary=Canary("2.0.0", 1.0))
    ended = None if share is None else Canary("1.4.2", share)
    assert api.services.deployments.replace(replace(made, canary=ended, generation=2), generation=1)
    assert went(api, api.submit(deployment="acme-echo")) == ("acme-echo", "dep.acme-echo")


def test_an_input_is_checked_by_the_schema_of_the_version_that_will_run_it(api: Api):
    wish(api, "acme-echo", algorithm_version="2.0.0")
    newer = {"type": "object", "properties": {"page": {"type": "integer"}}, "required": ["page"]}
    path = "/v1/deployments/acme-echo/jobs"
    assert api.post(path, {"input": {"text": "nobody has described 2.0.0 yet"}}).status_code == 202
    assert api.post(path, {"input": {"page": 1}}).status_code == 422
    # Another deployment's: what is known of a version is remembered for two seconds.
    wish(api, "newer", algorithm_version="3.0.0")
    api.services.algorithms.put(replace(algorithm("echo", newer), version="3.0.0"), as_newest=False)
    assert api.post("/v1/deployments/newer/jobs", {"input": {"page": 1}}).status_code == 202
    refused = api.post("/v1/deployments/newer/jobs", {"input": {"text": "old"}})
    assert (refused.status_code, refused.json["code"]) == (422, "invalid_input")
    assert api.submit()["algorithm_version"] == "1.4.2"
