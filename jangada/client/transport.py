"""
One HTTP call with its retries, its deadline and its errors. The only module that meets `requests`' exceptions.

A call is retried when the connection fails or the answer is 429, 502, 503 or
504, and only when sending it twice does no more than sending it once: reads, and
writes that carry an idempotency key or are idempotent by nature.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from jangada.client.connection import Connection
from jangada.client.errors import ApiError, UnreachableError, api_error
from jangada.client.retrying import RETRYABLE_STATUSES, delay_s, parse_retry_after
from jangada.clock import utc_now

_CONNECT_S = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_ERROR_BYTES = 256 * 1024
_STILL_HANDLED = "idempotency_in_progress"
"""Our connection broke, the platform goes on with the first try: its answer will be there in a moment."""

Body = Any
"""Bytes, or a zero-argument callable that makes a fresh stream for each try."""


class Transport:
    """Calls to one platform. Connections are kept; may be used by several threads."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout_s: float,
        retries: int,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.sleep = sleep
        self.monotonic = monotonic
        self._timeout_s = timeout_s
        self._retries = retries
        self._chance = random.Random()
        self._session = session or requests.Session()
        # The environment's .netrc must not replace our key; proxies are looked up per call.
        self._session.auth = _Bearer(connection.api_key)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Like `call`, and return the body read as JSON."""
        return read_json(self.call(method, path, **options))

    def call(
        self,
        method: str,
        path: str,
        *,
        safe: bool | None = None,
        json_body: Any = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        stream: bool = False,
        read_timeout_s: float | None = None,
    ) -> requests.Response:
        """
        Send, retry, and return an answer below 400 (304 included).

        *timeout_s* is for the call with all its retries. With *stream* the body is not
        read yet (close it) and *read_timeout_s* bounds each silence. Raises `ApiError`
        for what the platform refused and `UnreachableError` when no answer came.
        """
        send_headers = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body, ensure_ascii=False, allow_nan=False).encode()
            send_headers.setdefault("Content-Type", "application/json")
        may_repeat = method in {"GET", "HEAD", "DELETE"} if safe is None else safe
        deadline = self.monotonic() + (timeout_s if timeout_s is not None else self._timeout_s)
        attempt = 0
        while True:
            attempt += 1
            failure: ApiError | UnreachableError
            try:
                return self._once(method, path, send_headers, params, body, deadline, stream, read_timeout_s)
            except UnreachableError as error:
                failure, retry_after_s = error, None
            except ApiError as error:
                if error.status not in RETRYABLE_STATUSES and error.code != _STILL_HANDLED:
                    raise
                failure, retry_after_s = error, error.retry_after_s
            wait_s = delay_s(attempt, retry_after_s, self._chance)
            if not may_repeat or attempt > self._retries or self.monotonic() + wait_s >= deadline:
                raise failure
            self.sleep(wait_s)

    def _once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None,
        body: Body,
        deadline: float,
        stream: bool,
        read_timeout_s: float | None,
    ) -> requests.Response:
        remaining_s = max(0.05, deadline - self.monotonic())
        read_s = remaining_s if read_timeout_s is None else read_timeout_s
        with foreign_errors(self.connection.url):
            response = self._session.request(
                method,
                self._address(path),
                params=params,
                data=body() if callable(body) else body,
                headers={"Accept": "application/json", **headers},
                timeout=(min(_CONNECT_S, remaining_s), read_s),
                stream=stream,
                allow_redirects=method == "GET",
            )
            if response.status_code < 400:
                return response
            with contextlib.closing(response):
                raise _refusal(response)

    def _address(self, path: str) -> str:
        # Links in answers are absolute paths or whole addresses on the platform's own host.
        return path if path.startswith(("http://", "https://")) else self.connection.url + path


class _Bearer(requests.auth.AuthBase):
    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


@contextlib.contextmanager
def foreign_errors(url: str) -> Iterator[None]:
    """Turn `requests`' errors, also those of a body being read, into `UnreachableError`."""
    try:
        yield
    except requests.exceptions.Timeout as error:
        raise UnreachableError(f"{url} did not answer in time") from error
    except requests.exceptions.RequestException as error:
        # On this very machine the likeliest cause is that nothing runs.
        hint = "; `jangada up` starts a platform here" if (urlsplit(url).hostname or "") in _LOOPBACK else ""
        raise UnreachableError(f"cannot reach {url}: {_reason(error)}{hint}") from error


def read_json(response: requests.Response) -> Any:
    """The body as JSON; raises `UnreachableError` when something else than our platform answered."""
    try:
        return response.json()
    except ValueError as error:
        raise UnreachableError(
            f"{response.url} did not answer with JSON: is this the address of a Jangada gateway?"
        ) from error


def _refusal(response: requests.Response) -> ApiError:
    content = b"".join(response.iter_content(64 * 1024))[:_MOST_ERROR_BYTES]
    try:
        problem = json.loads(content)
    except ValueError:
        problem = {}
    return api_error(
        response.status_code,
        problem if isinstance(problem, dict) else {},
        request_id=response.headers.get("X-Request-Id"),
        retry_after_s=parse_retry_after(response.headers.get("Retry-After"), utc_now()),
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in few words: urllib3 wraps three deep."""
    seen: BaseException = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if not isinstance(inner, BaseException) or inner is seen:
            break
        seen = inner
    return getattr(seen, "strerror", None) or str(seen) or type(seen).__name__
