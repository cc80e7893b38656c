"""Routes of jobs that exist: look, list, cancel, logs, events, feedback."""

from __future__ import annotations

from flask import Flask, Response, request

from jangada.clock import from_ms, rfc3339
from jangada.errors import FieldError, InvalidRequestError
from jangada.http.auth import caller
from jangada.http.body import read_bytes, read_json
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import page_request, respond_page
from jangada.http.render import respond
from jangada.ids import new_id
from jangada.jobs.feedback import Feedback
from jangada.jobs.job import JobStatus
from jangada.jobs.store import JobFilter
from jangada.jobs.view import job_object

from . import events, presentation
from .answers import FeedbackObject, JobObject, JobPage, LogPage
from .parts import Parts
from .requests import FeedbackRequest

_TAG = "jobs"
_MOST_LINES = 1000
_STATUSES = [status.value for status in JobStatus]
_PAGE = (
    Parameter("status", "only in this status", {"type": "string", "enum": _STATUSES}),
    Parameter("algorithm", "only of this algorithm"),
    Parameter("deployment", "only of this deployment"),
    Parameter("limit", "how many", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Parameter("cursor", "`next_cursor` of the page before"),
)
_AFTER = Parameter("after", "the number of the last one that was seen", {"type": "integer", "minimum": 0, "default": 0})


def register(app: Flask, parts: Parts) -> None:
    """Add the routes."""

    @app.get("/v1/jobs")
    @documented(
        "List jobs",
        tag=_TAG,
        scopes=["jobs:read"],
        parameters=_PAGE,
        answers={200: Answer("newest first", JobPage, headers=["Link"])},
        problems=[422],
    )
    def list_jobs() -> Response:
        return _listed(parts, request.args.get("deployment"))

    @app.get("/v1/deployments/<name>/jobs")
    @documented(
        "List a deployment's jobs",
        tag=_TAG,
        scopes=["jobs:read"],
        parameters=[one for one in _PAGE if one.name != "deployment"],
        answers={200: Answer("your tenant's, newest first", JobPage, headers=["Link"])},
        problems=[422],
    )
    def list_jobs_of(name: str) -> Response:
        return _listed(parts, name)

    @app.get("/v1/jobs/<job_id>")
    @documented(
        "Get a job",
        tag=_TAG,
        scopes=["jobs:read"],
        parameters=[Parameter("If-None-Match", "the ETag that was seen last", where="header")],
        answers={
            200: Answer("the job as it stands", JobObject, headers=["ETag", "Retry-After"]),
            304: Answer("nothing has changed", headers=["ETag", "Retry-After"]),
        },
        problems=[404, 410],
    )
    def get_job(job_id: str) -> Response:
        return presentation.current(parts.job(job_id, "jobs:read"))

    @app.post("/v1/jobs/<job_id>/cancel")
    @documented(
        "Cancel a job",
        tag=_TAG,
        scopes=["jobs:write"],
        description="A queued job is canceled when this returns; a running one is told to stop, and killed after "
        "its grace period. Calling it again changes nothing.",
        answers={
            200: Answer("it is final (`canceled`, or it had ended before)", JobObject, headers=["ETag"]),
            202: Answer("it is being stopped", JobObject, headers=["Location", "Retry-After"]),
        },
        problems=[404, 410],
    )
    def cancel(job_id: str) -> Response:
        read_bytes()
        job = parts.job(job_id, "jobs:write")
        if not job.is_final:
            job = parts.jobs.cancel(job.id, job.tenant_id)
        return presentation.current(job) if job.is_final else presentation.accepted(job)

    @app.get("/v1/jobs/<job_id>/logs")
    @documented(
        "Read a job's log",
        tag=_TAG,
        scopes=["jobs:read"],
        parameters=[
            _AFTER,
            Parameter("stream", "only this stream", {"type": "string", "enum": ["stdout", "stderr", "log"]}),
            Parameter("limit", "how many lines", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}),
        ],
        answers={200: Answer("lines in order", LogPage)},
        problems=[404, 410, 422],
    )
    def logs(job_id: str) -> Response:
        job = parts.job(job_id, "jobs:read")
        limit = _number("limit", _MOST_LINES, 1, _MOST_LINES)
        stream = request.args.get("stream")
        if stream not in {None, "stdout", "stderr", "log"}:
            raise _refused("stream", "expected stdout, stderr or log")
        lines = parts.jobs.logs(job, _number("after", 0, 0, 10**15), stream, limit + 1)
        shown = [
            {
                "number": line.number,
                "attempt": line.attempt,
                "stream": line.stream,
                "text": line.text,
                "at": rfc3339(from_ms(line.at_ms)),
            }
            for line in lines[:limit]
        ]
        return respond({"data": shown, "has_more": len(lines) > limit})

    @app.get("/v1/jobs/<job_id>/events")
    @documented(
        "Follow a job's events",
        tag=_TAG,
        scopes=["jobs:read"],
        description="Server-sent events, until the final one. Send `Accept: text/event-stream`: an OpenFaaS gateway "
        "buffers the answer without it. A comment line comes each 15 s. When events were lost, `error` with code "
        "`gap` comes first, then `job.snapshot`.",
        parameters=[_AFTER, Parameter("Last-Event-ID", "as `after`; it wins", where="header")],
        answers={200: Answer("events", media_type="text/event-stream")},
        problems=[404, 410, 422],
    )
    def follow(job_id: str) -> Response:
        job = parts.job(job_id, "jobs:read")
        return events.stream(parts.jobs, parts.holding, job, after=events.last_seen(), base=href(""))

    @app.post("/v1/jobs/<job_id>/feedback")
    @documented(
        "Say whether the output was right",
        tag=_TAG,
        scopes=["jobs:write"],
        body=FeedbackRequest,
        answers={201: Answer("kept", FeedbackObject)},
        problems=[400, 404, 410, 413, 415, 422],
    )
    def give_feedback(job_id: str) -> Response:
        job = parts.job(job_id, "jobs:write")
        given = read_json(FeedbackRequest)
        if given.correct is None and given.label is None and given.comment is None:
            raise InvalidRequestError("expected at least one of correct, label and comment")
        feedback = Feedback(
            id=new_id("fb"),
            job_id=job.id,
            tenant_id=job.tenant_id,
            algorithm=job.algorithm,
            algorithm_version=job.algorithm_version,
            correct=given.correct,
            label=given.label,
            comment=given.comment,
            created_at=parts.clock(),
        )
        parts.feedback.add(feedback)
        shown = {
            "id": feedback.id,
            "job_id": feedback.job_id,
            "correct": feedback.correct,
            "label": feedback.label,
            "comment": feedback.comment,
            "created_at": rfc3339(feedback.created_at),
        }
        return respond(shown, 201)


def _listed(parts: Parts, deployment: str | None) -> Response:
    tenant_id = caller("jobs:read").tenant_id
    page = page_request(most=100)
    where = JobFilter(
        tenant_id,
        status=_status(),
        algorithm=request.args.get("algorithm"),
        deployment=deployment,
        before_id=page.after,
    )
    found = parts.jobs.page(where, page.limit + 1)
    more = len(found) > page.limit
    found = found[: page.limit]
    base = href("")
    return respond_page([job_object(job, base) for job in found], next_position=found[-1].id if more else None)


def _status() -> JobStatus | None:
    text = request.args.get("status")
    if text is None:
        return None
    if text not in _STATUSES:
        raise _refused("status", f"expected one of {', '.join(_STATUSES)}")
    return JobStatus(text)


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16) or not least <= int(text) <= most:
        raise _refused(name, f"expected a whole number from {least} to {most}")
    return int(text)


def _refused(name: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"query parameter {name}: {detail}", errors=[FieldError(f"/query/{name}", detail)])
