"""
`Idempotency-Key`: the first answer again, whatever became of the connection meanwhile.

What is remembered is small: the id of the job that was made, or the refusal. A
batch's answer is kept whole, compressed.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Response, request

from jangada.errors import JangadaError, MalformedRequestError, StoreUnavailableError
from jangada.http.render import render_error
from jangada.ids import new_id
from jangada.jobs.idempotency import IdempotencyStore, again, made
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.service import JobService

T = TypeVar("T")

_KEY = re.compile(r"[\x20-\x7e]{1,255}\Z")
_REPLAYED = {"Idempotent-Replayed": "true"}
_JOB = made("")
_AGAIN = again("")
_ANSWER = b"a"
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Memo:
    """An answer that was made, and whether the same request shall get it again."""

    response: Response
    keep: bool = True


class Replay:
    """Looks at the current request's `Idempotency-Key`; without one it only calls *make*."""

    def __init__(self, store: IdempotencyStore, jobs: JobService) -> None:
        self._store = store
        self._jobs = jobs

    def job(
        self, tenant_id: str, route: str, value: Any, make: Callable[[str], Job]
    ) -> tuple[Job | Response, dict[str, str]]:
        """
        The job that *make* makes of the id given to it, or made when this request came before; and headers to add.

        A `Response` is the refusal of the first time. Raises `IdempotencyInProgressError`,
        `IdempotencyKeyReusedError`, `MalformedRequestError` (the key), and what *make* raises.
        """
        key = _key()
        job_id = new_id("job")
        if key is None:
            return make(job_id), {}
        body = orjson.dumps([value, request.headers.get("Cancel-After")], option=orjson.OPT_SORT_KEYS)
        scope = _Scope(tenant_id, route, key, hashlib.sha256(body).hexdigest())
        memo = self._begin(scope, job_id)
        if memo is not None and memo[:1] == _AGAIN:
            # Under the first request's id: whatever of it comes to light later is this very job.
            job_id, memo = memo[len(_AGAIN) :].decode(), None
        if memo is None:
            # Nothing to remember afterwards: the record names the job, and the job's existence says the rest.
            job = self._guarded(scope, lambda: make(job_id))
            if job.id != job_id:
                # Another job had the unique key: the one that the record names will never exist.
                self._remember(scope, made(job.id))
            return job, {}
        if memo[:1] == _JOB:
            return _as_accepted(self._jobs.get(memo[len(_JOB) :].decode(), tenant_id)), dict(_REPLAYED)
        return _unpack(memo), dict(_REPLAYED)

    def response(self, tenant_id: str, route: str, body: bytes, make: Callable[[str], Memo]) -> Response:
        """
        As `job`, for an answer of any kind to the raw *body*.

        *make* is given an id, the same each time that an answer got lost: what it makes, it names after that.
        """
        key = _key()
        whole = new_id("job")
        if key is None:
            return make(whole).response
        scope = _Scope(tenant_id, route, key, hashlib.sha256(body).hexdigest())
        memo = self._begin(scope, whole)
        if memo is not None and memo[:1] == _AGAIN:
            whole, memo = memo[len(_AGAIN) :].decode(), None
        if memo is None:
            answer = self._guarded(scope, lambda: make(whole))
            if answer.keep:
                self._remember(scope, _pack(answer.response))
            else:
                # A store that was away may have heard of some of it: the next request makes the same again.
                self._store.release(scope.tenant_id, scope.route, scope.key)
            return answer.response
        response = _unpack(memo)
        response.headers.update(_REPLAYED)
        return response

    def _guarded(self, scope: _Scope, make: Callable[[], T]) -> T:
        """Call *make*; remember a refusal that will be the same next time, forget what surely made nothing."""
        try:
            return make()
        except StoreUnavailableError:
            # A store that is away may have heard of the job all the same.
            self._store.release(scope.tenant_id, scope.route, scope.key)
            raise
        except JangadaError as error:
            if error.status >= 500 or error.status == _TOO_MANY:
                self._forget(scope)
            else:
                self._remember(scope, _pack(render_error(error)))
            raise
        except BaseException:
            self._forget(scope)
            raise

    def _begin(self, scope: _Scope, job_id: str) -> bytes | None:
        return self._store.begin(scope.tenant_id, scope.route, scope.key, scope.fingerprint, job_id=job_id)

    def _remember(self, scope: _Scope, memo: bytes) -> None:
        self._store.remember(scope.tenant_id, scope.route, scope.key, scope.fingerprint, memo)

    def _forget(self, scope: _Scope) -> None:
        self._store.forget(scope.tenant_id, scope.route, scope.key)


@dataclass(frozen=True, slots=True)
class _Scope:
    tenant_id: str
    route: str
    key: str
    fingerprint: str


def _key() -> str | None:
    """The key, quoted (a structured field string) or bare."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not _KEY.match(text):
        raise MalformedRequestError("Idempotency-Key: expected 1 to 255 printable ASCII characters")
    return text


def _as_accepted(job: Job) -> Job:
    """The job as the first answer showed it."""
    return job.with_(
        status=JobStatus.QUEUED,
        status_detail=None,
        progress=None,
        attempt=0,
        attempts=(),
        output=None,
        output_file=None,
        error=None,
        claimed_at=None,
        started_at=None,
        completed_at=None,
        metrics={},
    )


def _pack(response: Response) -> bytes:
    head = orjson.dumps([response.status_code, response.content_type])
    return _ANSWER + head + b"\n" + zlib.compress(response.get_data(), 1)


def _unpack(memo: bytes) -> Response:
    head, _, body = memo[1:].partition(b"\n")
    status, content_type = orjson.loads(head)
    return Response(zlib.decompress(body), status, content_type=content_type)
