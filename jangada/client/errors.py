"""
What a call to the platform may raise.

    ClientError
    ├── UnreachableError             no answer: name, connection or time
    ├── ApiError                     the platform refused; .code .status .detail .errors .request_id
    │   ├── InvalidRequestError      400, 413, 415, 422
    │   ├── UnauthenticatedError     401
    │   ├── ForbiddenError           403
    │   ├── NotFoundError            404
    │   ├── ConflictError            409
    │   ├── GoneError                410  removed by retention
    │   ├── TooManyRequestsError     429  .retry_after_s
    │   └── ServerError              500 and above  .retry_after_s
    ├── JobNotSucceededError         the job ended otherwise; .job
    ├── WaitTimeoutError             the job goes on, we stopped waiting; .job_id
    └── DigestError                  what arrived is not what the platform sent

A missing address or key is a `jangada.errors.ConfigurationError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jangada.errors import FieldError

if TYPE_CHECKING:
    from jangada.client.records import Job


class ClientError(Exception):
    """Base of all."""


class UnreachableError(ClientError):
    """Raised when no answer came, after the retries that were allowed."""


class ApiError(ClientError):
    """Raised when the platform answered with an error. `code` is stable; `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str = "",
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{detail} [{code}, HTTP {status}]")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.problem: dict[str, Any] = dict(problem or {})


class InvalidRequestError(ApiError):
    """Raised when the request, or the job's input, is not acceptable; `errors` points at the fields."""


class UnauthenticatedError(ApiError):
    """Raised when the key is missing, wrong, expired or revoked."""


class ForbiddenError(ApiError):
    """Raised when the key lacks a scope."""


class NotFoundError(ApiError):
    """Raised when there is no such thing for this tenant."""


class ConflictError(ApiError):
    """Raised when the thing is not in a state that allows this."""


class GoneError(ApiError):
    """Raised when the thing existed and retention has removed it."""


class TooManyRequestsError(ApiError):
    """Raised when a limit or quota is reached; try again after `retry_after_s`."""


class ServerError(ApiError):
    """Raised when the platform failed, or is overloaded or away for a moment."""


class JobNotSucceededError(ClientError):
    """Raised by `Client.run` and `Client.output` when the job ended `failed`, `canceled` or `expired`."""

    def __init__(self, job: Job) -> None:
        reason = f": {job.error.get('message')} [{job.error.get('code')}]" if job.error else ""
        super().__init__(f"job {job.id} is {job.status}{reason}")
        self.job = job


class WaitTimeoutError(ClientError):
    """Raised when a job is not final after the time given. The job goes on."""

    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(f"job {job_id} is not final after {timeout_s:g} s; it goes on")
        self.job_id = job_id
        self.timeout_s = timeout_s


class DigestError(ClientError):
    """Raised when downloaded bytes do not match the digest that the platform announced."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: TooManyRequestsError,
}


def api_error(
    status: int, problem: Mapping[str, Any], *, request_id: str | None = None, retry_after_s: float | None = None
) -> ApiError:
    """The error for a problem document (RFC 9457), or for whatever a proxy sent instead (an empty *problem*)."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    title = str(problem.get("title") or f"HTTP {status}")
    listed = problem.get("errors")
    errors = [
        FieldError(str(item.get("pointer", "")), str(item.get("detail", "")))
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, Mapping)
    ]
    return kind(
        status,
        str(problem.get("code") or f"http_{status}"),
        str(problem.get("detail") or title),
        title=title,
        errors=errors,
        request_id=request_id,
        retry_after_s=retry_after_s,
        problem=problem,
    )
