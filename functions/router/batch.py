"""Many jobs in one call: a JSON array or NDJSON, each item with an outcome of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from jangada.clock import rfc3339
from jangada.errors import (
    InvalidRequestError,
    JangadaError,
    MalformedRequestError,
    QueueFullError,
    QuotaExceededError,
    StoreUnavailableError,
    TooLargeError,
)
from jangada.http.body import is_deeper_than, parse_json, validate
from jangada.http.render import problem_object
from jangada.ids import id_within
from jangada.jobs.job import Job
from jangada.jobs.view import job_urls

from .requests import JobRequest
from .submission import Origin, Submission

MAX_ITEMS = 10_000
_MAX_DEPTH = 64


def items_of(body: bytes, media_type: str) -> list[Any]:
    """
    The items of a batch; an NDJSON line that is not JSON is a `MalformedRequestError` in its place.

    Raises `MalformedRequestError`, `InvalidRequestError` (not a list, or empty) or
    `TooLargeError` (more than `MAX_ITEMS`).
    """
    if media_type in {"application/x-ndjson", "application/jsonl"}:
        items: Any = list(_lines(body))
    else:
        items = parse_json(body)
    if not isinstance(items, list):
        raise InvalidRequestError("expected a JSON array of jobs, or NDJSON with a job in each line")
    if not items:
        raise InvalidRequestError("the batch is empty")
    if len(items) > MAX_ITEMS:
        raise TooLargeError(f"the batch has {len(items)} items, at most {MAX_ITEMS} are taken in one call")
    return items


def _lines(body: bytes) -> Iterator[Any]:
    for line in body.split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            value = MalformedRequestError(f"the line is not JSON: {error}")
        else:
            if line.count(b"[") + line.count(b"{") > _MAX_DEPTH and is_deeper_than(value, _MAX_DEPTH):
                value = MalformedRequestError(f"the line is nested more than {_MAX_DEPTH} levels deep")
        yield value


def jobs_of(items: list[Any], submission: Submission, origin: Origin, whole: str) -> list[Job | JangadaError]:
    """A job for each item, or why there is none. An item never spoils another. Ids are made of *whole*, the batch's."""
    made: list[Job | JangadaError] = []
    for index, item in enumerate(items):
        if isinstance(item, JangadaError):
            made.append(item)
            continue
        try:
            made.append(submission.job(validate(JobRequest, item), origin, id_within("job", whole, index)))
        except StoreUnavailableError:
            raise
        except JangadaError as error:
            made.append(error)
    return made


def outcomes(results: list[Job | JangadaError], base: str) -> dict[str, Any]:
    """The answer: per item `index`, `status` and either `job` or `error` (problem details)."""
    data: list[dict[str, Any]] = []
    accepted = 0
    for index, result in enumerate(results):
        if isinstance(result, Job):
            accepted += 1
            data.append({"index": index, "status": 202, "job": _shown(result, base)})
        else:
            data.append({"index": index, "status": result.status, "error": problem_object(result)})
    return {"object": "list", "accepted": accepted, "refused": len(results) - accepted, "data": data}


def _shown(job: Job, base: str) -> dict[str, Any]:
    """Little: what was just sent is not sent back, or a batch's answer would be as big as the batch."""
    return {
        "id": job.id,
        "object": "job",
        "algorithm": job.algorithm,
        "deployment": job.deployment,
        "status": job.status.value,
        "metadata": job.metadata,
        "created_at": rfc3339(job.created_at),
        "urls": job_urls(job.id, base),
    }


def is_all_overload(results: list[Job | JangadaError]) -> bool:
    """Whether nothing was taken and the same batch may be taken later: not an answer to remember."""
    return all(isinstance(result, QuotaExceededError | QueueFullError | StoreUnavailableError) for result in results)
