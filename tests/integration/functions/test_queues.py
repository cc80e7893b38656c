"""Queues in the function `deployments`, over memory and over real servers."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from functions.deployments.handler import create_app
from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.ids import new_id
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.job import AttemptFailure, ErrorCode, Job, Policy, Priority
from jangada.wiring import Services

from .conftest import headers_of

QUEUE = "doc-ocr"


@pytest.fixture
def queue(services: Services, request) -> str:
    # Its own for each test: they share one Redis.
    name = f"{QUEUE}-{new_id('q')[-12:].lower()}"
    services.algorithms.put(
        AlgorithmRecord(
            name=QUEUE,
            version="1.4.2",
            description="",
            device="cpu",
            limits=Limits(),
            max_attempts=1,
            input_schema={},
            output_schema={},
            queue=name,
            updated_at=services.clock(),
        )
    )
    return name


@pytest.fixture
def client(services: Services, queue: str) -> FlaskClient:
    return create_app(services).test_client()


@pytest.fixture
def admin(services: Services) -> dict[str, str]:
    return headers_of(services, "admin")


def submit(services: Services, queue: str, *, tenant: str = "acme", priority: Priority = Priority.NORMAL) -> str:
    job = Job(
        id=new_id("job"),
        tenant_id=tenant,
        algorithm=QUEUE,
        algorithm_version="1.4.2",
        deployment=QUEUE,
        queue=queue,
        input={},
        created_at=services.clock(),
        priority=priority,
        policy=Policy(max_attempts=1),
    )
    return services.jobs.submit(job).id


def claim(services: Services, queue: str, want: int = 10) -> tuple[JobExecution, list]:
    execution = JobExecution(services.queue, services.store, queue_name=queue, executor_id="exe_test")
    return execution, execution.exchange(want=want)


def kill(services: Services, queue: str, code: ErrorCode = ErrorCode.ALGORITHM_ERROR) -> None:
    execution, leases = claim(services, queue)
    execution.exchange([Completion(lease, failure=AttemptFailure(code, "it broke")) for lease in leases])


def test_a_queue_is_shown_with_what_waits_and_what_is_held(client, services, queue, admin):
    for priority in (Priority.HIGH, Priority.LOW, Priority.LOW):
        submit(services, queue, priority=priority)
    claim(services, queue, want=1)
    found = client.get(f"/v1/queues/{queue}", headers=admin).json
    assert (found["object"], found["name"], found["algorithms"]) == ("queue", queue, [QUEUE])
    assert found["ready"] == {"high": 0, "normal": 0, "low": 2}
    assert (found["jobs"], found["leased"], found["dead"], found["tenants"]) == (3, 1, 0, {"acme": 3})
    assert found["oldest_s"] >= 0
    assert (found["paused"], found["draining"], found["rate_limit"]) == (False, False, None)


def test_queues_are_listed(client, services, queue, admin):
    listed = client.get("/v1/queues", headers=admin).json
    assert [one["name"] for one in listed["data"]] == [queue]
    assert listed["has_more"] is False


def test_peek_shows_who_is_next_and_takes_nothing(client, services, queue, admin):
    low, high = submit(services, queue, priority=Priority.LOW), submit(services, queue, priority=Priority.HIGH)
    found = client.get(f"/v1/queues/{queue}/jobs?limit=5", headers=admin).json["data"]
    assert [(one["id"], one["priority"], one["tenant"]) for one in found] == [
        (high, "high", "acme"),
        (low, "low", "acme"),
    ]
    assert len(claim(services, queue)[1]) == 2


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(client, services, queue, admin):
    submit(services, queue)
    assert client.post(f"/v1/queues/{queue}/pause", headers=admin).json["paused"] is True
    assert claim(services, queue)[1] == []
    assert client.post(f"/v1/queues/{queue}/resume", headers=admin).json["paused"] is False
    assert len(claim(services, queue)[1]) == 1


def test_a_draining_queue_refuses_what_is_new(client, services, queue, admin):
    submit(services, queue)
    assert client.post(f"/v1/queues/{queue}/drain", headers=admin).json["draining"] is True
    with pytest.raises(Exception, match="drain"):
        submit(services, queue)
    assert len(claim(services, queue)[1]) == 1


def test_a_rate_limit_is_shown_and_ended(client, queue, admin):
    limited = client.put(f"/v1/queues/{queue}/rate", headers=admin, json={"per_s": 2, "burst": 7}).json
    assert limited["rate_limit"] == {"per_s": 2.0, "burst": 7}
    assert client.put(f"/v1/queues/{queue}/rate", headers=admin, json={"per_s": None}).json["rate_limit"] is None


@pytest.mark.parametrize("body", [{}, {"per_s": 0}, {"per_s": "2"}, {"per_s": 1, "burst": 0}, {"per_s": 1, "rate": 2}])
def test_a_rate_that_is_none_is_refused_naming_the_field(client, queue, admin, body):
    answer = client.put(f"/v1/queues/{queue}/rate", headers=admin, json=body)
    assert (answer.status_code, bool(answer.json["errors"][0]["pointer"])) == (422, True)


def test_dead_letters_are_listed_filtered_and_requeued(client, services, queue, admin):
    first = submit(services, queue)
    kill(services, queue)
    second = submit(services, queue, tenant="other")
    kill(services, queue, ErrorCode.OOM)
    listed = client.get(f"/v1/queues/{queue}/dead", headers=admin).json["data"]
    assert {(one["id"], one["tenant"], one["error"]["code"]) for one in listed} == {
        (first, "acme", "algorithm_error"),
        (second, "other", "oom"),
    }
    assert [one["id"] for one in client.get(f"/v1/queues/{queue}/dead?error_code=oom", headers=admin).json["data"]] == [
        second
    ]
    done = client.post(f"/v1/queues/{queue}/requeue", headers=admin, json={"tenant": "acme"}).json
    assert [(one["id"], one["error"]) for one in done["data"]] == [(first, None)]
    assert done["has_more"] is False
    assert services.store.get(done["data"][0]["new_job"]).retry_of == first
    assert client.get(f"/v1/queues/{queue}", headers=admin).json["dead"] == 1


def test_dead_letters_are_requeued_by_id_by_age_and_all(client, services, queue, admin):
    ids = [submit(services, queue) for _ in range(3)]
    kill(services, queue)
    path = f"/v1/queues/{queue}/requeue"
    named = client.post(path, headers=admin, json={"jobs": [ids[1], "job_unknown"]}).json["data"]
    assert [one["id"] for one in named] == [ids[1]]
    assert client.post(path, headers=admin, json={"older_than_s": 3600}).json["data"] == []
    assert {one["id"] for one in client.post(path, headers=admin, json={}).json["data"]} == {ids[0], ids[2]}


def test_a_requeue_that_is_refused_says_why_and_the_letter_stays(client, services, queue, admin):
    job_id = submit(services, queue)
    kill(services, queue)
    services.queue.drain(queue)
    (refused,) = client.post(f"/v1/queues/{queue}/requeue", headers=admin, json={}).json["data"]
    assert (refused["id"], refused["new_job"]) == (job_id, None)
    assert "drain" in refused["error"]
    assert client.get(f"/v1/queues/{queue}", headers=admin).json["dead"] == 1


def test_jobs_and_a_filter_together_are_refused(client, queue, admin):
    answer = client.post(f"/v1/queues/{queue}/requeue", headers=admin, json={"jobs": [], "tenant": "acme"})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/jobs")


CALLS = [
    ("GET", ""),
    ("GET", "/jobs"),
    ("GET", "/dead"),
    ("POST", "/pause"),
    ("POST", "/drain"),
    ("POST", "/resume"),
    ("PUT", "/rate"),
    ("POST", "/requeue"),
]


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_only_an_admin_may_and_only_with_a_queue_that_there_is(client, services, queue, admin, method, rest):
    path = f"/v1/queues/{queue}{rest}"
    assert client.open(path, method=method, json={}).status_code == 401
    assert client.open(path, method=method, json={}, headers=headers_of(services)).status_code == 403
    missing = client.open(
        f"/v1/queues/nope{rest}", method=method, json={"per_s": 1} if rest == "/rate" else {}, headers=admin
    )
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")


def test_the_list_is_for_admins(client, services):
    assert client.get("/v1/queues", headers=headers_of(services)).status_code == 403


def test_a_letter_that_died_long_ago_can_be_left_out(client, services, queue, admin):
    submit(services, queue)
    kill(services, queue)
    path = f"/v1/queues/{queue}/requeue"
    assert len(client.post(path, headers=admin, json={"newer_than_s": 3600}).json["data"]) == 1
