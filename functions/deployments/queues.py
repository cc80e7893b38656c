"""Queues over HTTP, for administrators: look, pause, drain, resume, slow down, requeue dead letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from flask import Flask, Response, request

from jangada.errors import FieldError, InvalidRequestError, NotFoundError
from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.jobs.dead_letters import DeadFilter, DeadLetter, DeadLetters, Requeued
from jangada.jobs.queue_view import QueueControl, QueueStats, WaitingJob
from jangada.tenants import Scope
from jangada.wiring import Services

from .queue_answers import (
    MOST_REQUEUED,
    DeadLetterList,
    QueueObject,
    QueuePage,
    RateRequest,
    RequeuedJobs,
    RequeueRequest,
    WaitingJobs,
)

_TAG = "queues"
_SCOPES = ("admin",)
_LIMIT = Parameter("limit", "how many", {"type": "integer", "minimum": 1, "maximum": 200, "default": 20})
_DEAD_FILTER = (
    Parameter("tenant", "only of this tenant"),
    Parameter("error_code", "only those that failed with this code"),
    Parameter("algorithm_version", "only of this version"),
)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    _register_views(app, services)
    _register_switches(app, services)
    _register_dead_letters(app, services)


def _register_views(app: Flask, services: Services) -> None:
    @app.get("/v1/queues")
    @documented(
        "List queues",
        tag=_TAG,
        scopes=_SCOPES,
        parameters=LIST_PARAMETERS,
        answers={200: Answer("by name", QueuePage, headers=["Link"])},
        problems=[422],
    )
    def list_queues() -> Response:
        caller(Scope.ADMIN)
        page = page_request()
        known = _known(services)
        names = [name for name in sorted(known) if page.after is None or name > page.after]
        shown = names[: page.limit]
        objects = [queue_object(services.queue.stats(name), known[name]) for name in shown]
        return respond_page(objects, next_position=shown[-1] if len(names) > page.limit else None)

    @app.get("/v1/queues/<name>")
    @documented(
        "Get a queue",
        tag=_TAG,
        scopes=_SCOPES,
        answers={200: Answer("as it stands", QueueObject)},
        problems=[404],
    )
    def get_queue(name: str) -> Response:
        caller(Scope.ADMIN)
        return _shown(services, name)

    @app.get("/v1/queues/<name>/jobs")
    @documented(
        "Look at the jobs that are next",
        tag=_TAG,
        scopes=_SCOPES,
        parameters=[_LIMIT],
        description="In the order in which they are claimed, ageing apart. It changes nothing.",
        answers={200: Answer("the next ones first", WaitingJobs)},
        problems=[404, 422],
    )
    def peek_queue(name: str) -> Response:
        caller(Scope.ADMIN)
        _algorithms_of(services, name)
        found = services.queue.peek(name, limit=page_request().limit)
        return respond({"data": [_waiting_object(job) for job in found]})


def _register_switches(app: Flask, services: Services) -> None:
    def switch(name: str, turn: Callable[[str], QueueControl]) -> Response:
        caller(Scope.ADMIN)
        _algorithms_of(services, name)
        turn(name)
        return _shown(services, name)

    @app.post("/v1/queues/<name>/pause")
    @documented(
        "Pause a queue",
        tag=_TAG,
        scopes=_SCOPES,
        description="No more jobs are handed out until it is resumed. Jobs are accepted, and what runs goes on.",
        answers={200: Answer("paused", QueueObject)},
        problems=[404],
    )
    def pause_queue(name: str) -> Response:
        return switch(name, services.queue.pause)

    @app.post("/v1/queues/<name>/drain")
    @documented(
        "Drain a queue",
        tag=_TAG,
        scopes=_SCOPES,
        description="Submits are refused (503) until it is resumed; what it holds is worked off.",
        answers={200: Answer("draining", QueueObject)},
        problems=[404],
    )
    def drain_queue(name: str) -> Response:
        return switch(name, services.queue.drain)

    @app.post("/v1/queues/<name>/resume")
    @documented(
        "Resume a queue",
        tag=_TAG,
        scopes=_SCOPES,
        description="Ends a pause and a drain. A rate limit stays.",
        answers={200: Answer("resumed", QueueObject)},
        problems=[404],
    )
    def resume_queue(name: str) -> Response:
        return switch(name, services.queue.resume)

    @app.put("/v1/queues/<name>/rate")
    @documented(
        "Limit the rate of a queue",
        tag=_TAG,
        scopes=_SCOPES,
        body=RateRequest,
        description="At most `per_s` jobs are handed out a second on average, `burst` at once. "
        "`per_s` null ends the limit.",
        answers={200: Answer("limited", QueueObject)},
        problems=[400, 404, 413, 415, 422],
    )
    def limit_queue(name: str) -> Response:
        caller(Scope.ADMIN)
        wanted = read_json(RateRequest)
        return switch(name, lambda one: services.queue.limit_rate(one, wanted.per_s, burst=wanted.burst))


def _register_dead_letters(app: Flask, services: Services) -> None:
    def letters() -> DeadLetters:
        return DeadLetters(services.queue, services.store, services.jobs, clock=services.clock)

    @app.get("/v1/queues/<name>/dead")
    @documented(
        "List dead letters",
        tag=_TAG,
        scopes=_SCOPES,
        parameters=[_LIMIT, *_DEAD_FILTER],
        answers={200: Answer("newest first", DeadLetterList)},
        problems=[404, 422],
    )
    def list_dead(name: str) -> Response:
        caller(Scope.ADMIN)
        _algorithms_of(services, name)
        where = DeadFilter(
            tenant_id=request.args.get("tenant"),
            error_code=request.args.get("error_code"),
            algorithm_version=request.args.get("algorithm_version"),
        )
        found = letters().find(name, where, limit=page_request().limit)
        return respond({"data": [_dead_object(letter) for letter in found]})

    @app.post("/v1/queues/<name>/requeue")
    @documented(
        "Requeue dead letters",
        tag=_TAG,
        scopes=_SCOPES,
        body=RequeueRequest,
        description="Each becomes a new job that does the same, with `retry_of`, and leaves the list. "
        f"At most {MOST_REQUEUED} per call, oldest first.",
        answers={200: Answer("what became of each", RequeuedJobs)},
        problems=[400, 404, 413, 415, 422],
    )
    def requeue_dead(name: str) -> Response:
        caller(Scope.ADMIN)
        _algorithms_of(services, name)
        wanted = read_json(RequeueRequest)
        done = list(islice(letters().requeue(name, wanted.jobs, where=_filter(wanted, services)), MOST_REQUEUED))
        more = wanted.jobs is None and len(done) == MOST_REQUEUED
        return respond({"data": [_requeued_object(one) for one in done], "has_more": more})


def _known(services: Services) -> dict[str, list[str]]:
    """The queues that there are, and whose jobs wait in each."""
    known: dict[str, list[str]] = {}
    for record in services.algorithms.page():
        known.setdefault(record.queue, []).append(record.name)
    for deployment in services.deployments.page():
        for lane in deployment.lanes:
            algorithms = known.setdefault(lane.queue, [])
            if lane.algorithm not in algorithms:
                algorithms.append(lane.algorithm)
    return known


def _algorithms_of(services: Services, name: str) -> list[str]:
    found = _known(services).get(name)
    if found is None:
        raise NotFoundError(f"there is no queue {name}")
    return found


def _shown(services: Services, name: str) -> Response:
    algorithms = _algorithms_of(services, name)
    return respond(queue_object(services.queue.stats(name), algorithms))


def _filter(wanted: RequeueRequest, services: Services) -> DeadFilter:
    if wanted.jobs is not None and wanted.model_fields_set != {"jobs"}:
        detail = "expected jobs alone, or a filter"
        raise InvalidRequestError(detail, errors=[FieldError("/jobs", detail)])
    now = services.clock()

    def ago(seconds: float | None) -> Any:
        return None if seconds is None else now - timedelta(seconds=seconds)

    return DeadFilter(
        tenant_id=wanted.tenant,
        error_code=wanted.error_code,
        algorithm_version=wanted.algorithm_version,
        died_before=ago(wanted.older_than_s),
        died_after=ago(wanted.newer_than_s),
    )


def queue_object(stats: QueueStats, algorithms: Sequence[str]) -> Mapping[str, Any]:
    """A queue as the API shows it."""
    control = stats.control
    limit = None if control.rate_per_s is None else {"per_s": control.rate_per_s, "burst": control.burst}
    return {
        "name": stats.queue,
        "object": "queue",
        "algorithms": list(algorithms),
        "paused": control.paused,
        "draining": control.draining,
        "rate_limit": limit,
        "jobs": stats.jobs,
        "ready": stats.ready,
        "delayed": stats.delayed,
        "leased": stats.leased,
        "settling": stats.settling,
        "dead": stats.dead,
        "bytes": stats.bytes,
        "oldest_s": stats.oldest_s,
        "tenants": stats.tenants,
    }


def _waiting_object(job: WaitingJob) -> Mapping[str, Any]:
    return {
        "id": job.job_id,
        "object": "waiting_job",
        "tenant": job.tenant_id,
        "priority": job.priority.value,
        "age_s": job.age_s,
        "attempts": job.attempts,
    }


def _dead_object(letter: DeadLetter) -> Mapping[str, Any]:
    job = letter.job
    return {
        "id": job.id,
        "object": "dead_letter",
        "tenant": job.tenant_id,
        "algorithm": job.algorithm,
        "algorithm_version": job.algorithm_version,
        "attempts": job.attempt,
        "error": job.error,
        "died_at": letter.died_at,
    }


def _requeued_object(one: Requeued) -> Mapping[str, Any]:
    return {
        "id": one.job_id,
        "new_job": one.new_job.id if one.new_job is not None else None,
        "error": one.error.detail if one.error is not None else None,
    }
