"""Routes that make jobs: submit, batch, retry."""

from __future__ import annotations

from flask import Flask, Response, request

from jangada.errors import JangadaError
from jangada.http.auth import caller
from jangada.http.body import parse_json, read_bytes, read_value, require_media_type, validate
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.render import respond
from jangada.jobs.job import Job

from . import batch, events, prefer, presentation
from .answers import BatchResult, JobBatch, JobObject
from .parts import Parts, origin
from .replay import Memo
from .requests import DeploymentJobRequest, JobRequest

_TAG = "jobs"
_JSON = "application/json"
_BATCH_TYPES = (_JSON, "application/x-ndjson", "application/jsonl")

_IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "the same key with the same body gets the first answer again, for 24 hours; at most 255 printable characters",
    where="header",
)
_SUBMIT = (
    _IDEMPOTENCY,
    Parameter("Prefer", "`respond-async`, or `wait=N` with N from 0 to 60 seconds (RFC 7240)", where="header"),
    Parameter("Cancel-After", "`90s`, `2m`: the same as `policy.deadline_s`", where="header"),
    Parameter("Accept", "`text/event-stream` submits and streams the events", where="header"),
)


def register(app: Flask, parts: Parts) -> None:
    """Add the routes."""

    @app.post("/v1/jobs")
    @documented(
        "Submit a job",
        tag=_TAG,
        scopes=["jobs:write"],
        description="A 202 (or 200) means that the job is durably stored. With `Prefer: wait=N` the answer is held "
        "back until the job is final, at most N seconds; the wait never cancels anything. When another job has the "
        "`unique` key, the answer is that job, with `Unique-Replayed: true`.",
        body=JobRequest,
        parameters=_SUBMIT,
        answers={
            200: Answer("it became final during the wait", JobObject, headers=["Preference-Applied"]),
            202: Answer("accepted", JobObject, headers=["Location", "Retry-After"]),
        },
        problems=[400, 404, 409, 413, 415, 422],
    )
    def submit() -> Response:
        return _submitted(parts, JobRequest, {}, "POST /v1/jobs")

    @app.post("/v1/deployments/<name>/jobs")
    @documented(
        "Submit a job to a deployment",
        tag=_TAG,
        scopes=["jobs:write"],
        description="As `POST /v1/jobs`, to this deployment of its algorithm.",
        body=DeploymentJobRequest,
        parameters=_SUBMIT,
        answers={
            200: Answer("it became final during the wait", JobObject, headers=["Preference-Applied"]),
            202: Answer("accepted", JobObject, headers=["Location", "Retry-After"]),
        },
        problems=[400, 404, 409, 413, 415, 422],
    )
    def submit_to(name: str) -> Response:
        found = parts.directory.named(name, caller("jobs:write").tenant_id)
        # Each algorithm has a shared deployment of its own name, whether anybody wished for it or not.
        goes_to = {"algorithm": name if found is None else found.algorithm, "deployment": name}
        return _submitted(parts, DeploymentJobRequest, goes_to, f"POST /v1/deployments/{name}/jobs")

    @app.post("/v1/jobs/batch")
    @documented(
        "Submit many jobs",
        tag=_TAG,
        scopes=["jobs:write"],
        description="Each item has an outcome of its own; one that is refused stops no other.",
        body=JobBatch,
        body_media_types=_BATCH_TYPES,
        parameters=[_IDEMPOTENCY],
        answers={200: Answer("an outcome per item, in order", BatchResult)},
        problems=[400, 409, 413, 415, 422],
    )
    def submit_batch() -> Response:
        who = caller("jobs:write")
        media_type = require_media_type(*_BATCH_TYPES)
        body = read_bytes()

        def make(whole: str) -> Memo:
            made = batch.jobs_of(batch.items_of(body, media_type), parts.submission, origin(who), whole)
            jobs = [one for one in made if isinstance(one, Job)]
            submitted = iter(parts.jobs.submit_many(jobs, limits=parts.limits(who)) if jobs else ())
            results: list[Job | JangadaError] = [next(submitted) if isinstance(one, Job) else one for one in made]
            return Memo(respond(batch.outcomes(results, href(""))), keep=not batch.is_all_overload(results))

        return parts.replay.response(who.tenant_id, "POST /v1/jobs/batch", body, make)

    @app.post("/v1/jobs/<job_id>/retry")
    @documented(
        "Submit a final job again",
        tag=_TAG,
        scopes=["jobs:write"],
        description="A new job with the same input, by the algorithm's present version; `retry_of` names the old one.",
        parameters=_SUBMIT[:2],
        answers={
            200: Answer("it became final during the wait", JobObject, headers=["Preference-Applied"]),
            202: Answer("accepted", JobObject, headers=["Location", "Retry-After"]),
        },
        problems=[404, 409, 410, 422],
    )
    def retry(job_id: str) -> Response:
        who = caller("jobs:write")
        body = read_bytes()
        if body:
            parse_json(body)

        def make(new_job_id: str) -> Job:
            made = parts.submission.again(parts.job(job_id, "jobs:write"), origin(who), new_job_id)
            return parts.jobs.submit(made, limits=parts.limits(who))

        job, headers = parts.replay.job(who.tenant_id, f"POST /v1/jobs/{job_id}/retry", None, make)
        return _answer(parts, job, headers)


def _submitted(parts: Parts, model: type[DeploymentJobRequest], goes_to: dict[str, str], route: str) -> Response:
    """The answer to a submit whose body is read as *model*; *goes_to* is what the path says of it."""
    who = caller("jobs:write")
    value = read_value()
    asked = validate(model, value)
    wanted = asked if isinstance(asked, JobRequest) else JobRequest.model_construct(**dict(asked), **goes_to)
    wanted.policy.deadline_s = prefer.deadline_s(request.headers.get("Cancel-After"), wanted.policy.deadline_s)

    duplicate: dict[str, str] = {}

    def make(job_id: str) -> Job:
        job = parts.jobs.submit(parts.submission.job(wanted, origin(who), job_id), limits=parts.limits(who))
        if job.id != job_id:
            duplicate["Unique-Replayed"] = "true"
        return job

    job, headers = parts.replay.job(who.tenant_id, route, value, make)
    return _answer(parts, job, headers | duplicate)


def _answer(parts: Parts, job: Job | Response, headers: dict[str, str]) -> Response:
    """
    202 at once, or what `Prefer: wait` or `Accept: text/event-stream` ask for.

    A replay waits and streams like the first time: a client whose connection broke
    while it waited gets what it waited for.
    """
    if isinstance(job, Response):
        job.headers.update(headers)
        return job
    if events.wants_events():
        stream = events.stream(parts.jobs, parts.holding, job, after=0, base=href(""))
        stream.headers.update(headers | presentation.location(job))
        return stream
    wait_s = prefer.wait_s(request.headers.get("Prefer"))
    applied: dict[str, str] = {}
    # With every place taken the job is accepted all the same: 202, and the caller polls.
    if wait_s is not None and (wait_s == 0 or parts.holding.enter()):
        applied["Preference-Applied"] = f"wait={wait_s}"
        if wait_s > 0:
            try:
                job = parts.jobs.wait(job.id, job.tenant_id, wait_s, known=job)
            finally:
                parts.holding.leave()
    elif wait_s is None and "respond-async" in request.headers.get("Prefer", ""):
        applied["Preference-Applied"] = "respond-async"
    response = presentation.current(job) if job.is_final and wait_s else presentation.accepted(job)
    response.headers.update(headers | applied)
    response.headers.add("Vary", "Prefer")
    return response
