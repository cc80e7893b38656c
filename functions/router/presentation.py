"""A job as an answer: its object, its ETag, where it is, and when to look again."""

from __future__ import annotations

import hashlib

from flask import Response, request

from jangada.http.links import href
from jangada.http.render import dumps, respond
from jangada.jobs.job import Job
from jangada.jobs.view import job_object, job_urls

LOOK_AGAIN_S = 2


def accepted(job: Job) -> Response:
    """202: it is durably stored, or still on its way to its end."""
    return respond(job_object(job, href("")), 202, headers=location(job) | {"Retry-After": str(LOOK_AGAIN_S)})


def location(job: Job) -> dict[str, str]:
    """`Location` of the job."""
    return {"Location": job_urls(job.id, href(""))["self"]}


def current(job: Job) -> Response:
    """200 with the job as it stands, or 304 when the caller has exactly that already."""
    body = dumps(job_object(job, href("")))
    etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {"ETag": f'"{etag}"'}
    if not job.is_final:
        headers["Retry-After"] = str(LOOK_AGAIN_S)
    if request.if_none_match.contains_weak(etag):
        return Response(status=304, headers=headers)
    return Response(body, 200, headers, content_type="application/json")
