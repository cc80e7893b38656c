"""
The errors that Jangada raises on purpose.

    JangadaError
    ├── InvalidRequestError          422  invalid_request        a field is missing, unknown or of the wrong kind
    │   └── InvalidInputError        422  invalid_input          the job's input does not match the algorithm's schema
    ├── MalformedRequestError        400  malformed_request      not even JSON, or not the promised encoding
    ├── UnauthenticatedError         401  invalid_token
    ├── ForbiddenError               403  forbidden
    │   └── PlanExceededError        403  plan_exceeded          more capacity than the tenant's plan allows
    ├── NotFoundError                404  not_found              also for what belongs to another tenant
    │   ├── UnknownAlgorithmError    404  unknown_algorithm
    │   └── UnknownJobError          404  unknown_job
    ├── PurgedError                  410  expired                retention removed it
    ├── ConflictError                409  conflict
    │   ├── IdempotencyInProgressError 409 idempotency_in_progress
    │   └── DuplicateJobError        409  duplicate_job          another job has the unique key
    ├── PreconditionFailedError      412  precondition_failed    If-Match names a version that is not the present one
    ├── IdempotencyKeyReusedError    422  idempotency_key_reused
    ├── TooLargeError                413  too_large
    ├── UnsupportedMediaTypeError    415  unsupported_media_type
    ├── QuotaExceededError           429  quota_exceeded         Retry-After
    ├── QueueFullError               503  queue_full             Retry-After
    │   └── QueueDrainingError       503  queue_draining         Retry-After
    ├── OverloadedError              503  overloaded             Retry-After
    ├── StoreUnavailableError        503  store_unavailable      MongoDB or Redis is away; Retry-After
    ├── LeaseLostError               409  lease_lost             the job has moved on to another attempt
    └── ConfigurationError           exit code 2                 a setting or a file of ours is wrong

Services raise, `http/render.py` alone answers. An algorithm's own failure is a
value (`jobs.job.AttemptFailure`), not one of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong in a request: *pointer* is an RFC 6901 JSON pointer into the body."""

    pointer: str
    detail: str


class JangadaError(Exception):
    """Base of all. `code` and `title` are stable and documented, `str(error)` is for people."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        retry_after_s: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra: dict[str, Any] = dict(extra or {})


class InvalidRequestError(JangadaError):
    """Raised when a request is well-formed but a field of it is not acceptable."""

    code, title, status = "invalid_request", "The request is not valid", 422

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class InvalidInputError(InvalidRequestError):
    """Raised when a job's input does not match its algorithm's schema."""

    code, title = "invalid_input", "The input does not match the algorithm's schema"


class MalformedRequestError(JangadaError):
    """Raised when the body is not JSON or a header cannot be read."""

    code, title, status = "malformed_request", "The request cannot be read", 400


class UnauthenticatedError(JangadaError):
    """Raised when no credential, or a wrong, expired or revoked one, was presented."""

    code, title, status = "invalid_token", "A valid credential is needed", 401


class ForbiddenError(JangadaError):
    """Raised when a known caller lacks a scope."""

    code, title, status = "forbidden", "Not allowed", 403


class PlanExceededError(ForbiddenError):
    """Raised when a tenant wishes for more capacity than its plan allows; names the limit."""

    code, title = "plan_exceeded", "More than the plan allows"


class NotFoundError(JangadaError):
    """Raised when a thing does not exist, or not for this tenant."""

    code, title, status = "not_found", "Not found", 404


class UnknownAlgorithmError(NotFoundError):
    """Raised when no algorithm of that name is registered."""

    code, title = "unknown_algorithm", "Unknown algorithm"


class UnknownJobError(NotFoundError):
    """Raised when the tenant has no job of that id."""

    code, title = "unknown_job", "Unknown job"


class PurgedError(JangadaError):
    """Raised when a thing existed and retention has removed it."""

    code, title, status = "expired", "Removed by retention", 410


class ConflictError(JangadaError):
    """Raised when the thing is not in a state that allows this."""

    code, title, status = "conflict", "Conflict", 409


class IdempotencyInProgressError(ConflictError):
    """Raised when the first request with this idempotency key is still being handled."""

    code, title, retryable = "idempotency_in_progress", "The first request is still being handled", True


class DuplicateJobError(ConflictError):
    """Raised when another job has the unique key, for callers who asked to be refused then."""

    code, title = "duplicate_job", "Another job has the unique key"


class PreconditionFailedError(JangadaError):
    """Raised when `If-Match` names a version of the thing that is not the present one: somebody changed it."""

    code, title, status = "precondition_failed", "Changed by somebody else", 412


class IdempotencyKeyReusedError(JangadaError):
    """Raised when an idempotency key comes back with another body."""

    code, title, status = "idempotency_key_reused", "Idempotency key used with another body", 422


class TooLargeError(JangadaError):
    """Raised when a body or a file is over its limit."""

    code, title, status = "too_large", "Too large", 413


class UnsupportedMediaTypeError(JangadaError):
    """Raised when the content type is not one that the route reads."""

    code, title, status = "unsupported_media_type", "Unsupported media type", 415


class QuotaExceededError(JangadaError):
    """Raised when a tenant holds as many unfinished jobs or bytes as it may."""

    code, title, status, retryable = "quota_exceeded", "Quota reached", 429, True


class QueueFullError(JangadaError):
    """Raised when a queue is at its cap for all tenants together."""

    code, title, status, retryable = "queue_full", "The queue is full", 503, True


class QueueDrainingError(QueueFullError):
    """Raised when a queue takes no new jobs because an operator drains it."""

    code, title, status, retryable = "queue_draining", "The queue is being drained", 503, True


class OverloadedError(JangadaError):
    """Raised when this process has as much in flight as it takes."""

    code, title, status, retryable = "overloaded", "Too much at once", 503, True


class StoreUnavailableError(JangadaError):
    """Raised when MongoDB or Redis does not answer; nothing was accepted."""

    code, title, status, retryable = "store_unavailable", "A store is not available", 503, True


class LeaseLostError(JangadaError):
    """Raised when an attempt is no longer the current one; what it wanted to write was dropped."""

    code, title, status = "lease_lost", "The lease is lost", 409


class ConfigurationError(JangadaError):
    """Raised at start when a setting, or a file that the operator wrote, is wrong; names it."""

    code, title = "configuration", "Wrong configuration"
