"""The client: one object, a method for each thing that the API does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import requests

from jangada.client import inputs, transfer
from jangada.client.connection import Connection, find_connection
from jangada.client.deployments import Deployments
from jangada.client.errors import ApiError, JobNotSucceededError, api_error
from jangada.client.nodes import Nodes
from jangada.client.paths import at
from jangada.client.queues import Queues
from jangada.client.records import JSON, Algorithm, Event, File, Job, LogLine
from jangada.client.transport import Transport, read_json
from jangada.client.upload import Source
from jangada.client.watch import OnEvent, Watch
from jangada.ids import new_id

BATCH_ITEMS = 500


class Client:
    """
    A tenant's view of one platform.

    Every method raises the errors of `jangada.client.errors`. Calls are retried when that is
    safe, within *timeout_s* seconds in all. May be used by several threads; close it, or use ``with``.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        tenant: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        session: requests.Session | None = None,
    ) -> None:
        """Connect as said, the rest from the environment or connection.json; see `find_connection`. Sends nothing."""
        connection = find_connection(os.environ, url=url, api_key=api_key, tenant=tenant)
        self._timeout_s = timeout_s
        self._transport = Transport(connection, timeout_s=timeout_s, retries=retries, session=session)

    @classmethod
    def from_env(cls, **options: Any) -> Client:
        """JANGADA_URL and JANGADA_API_KEY, else ``$JANGADA_HOME/connection.json``."""
        return cls(**options)

    @property
    def connection(self) -> Connection:
        """Where this client talks to."""
        return self._transport.connection

    @property
    def queues(self) -> Queues:
        """The queues, for a key with the scope ``admin``."""
        return Queues(self._transport, self._pages)

    @property
    def deployments(self) -> Deployments:
        """Deployments; wishing takes the scope ``deployments:write``."""
        return Deployments(self._transport, self._pages)

    @property
    def nodes(self) -> Nodes:
        """Nodes; takes the scope ``admin``."""
        return Nodes(self._transport)

    def usage(
        self,
        *,
        first_day: str | None = None,
        last_day: str | None = None,
        tenant: str | None = None,
        deployment: str | None = None,
    ) -> list[dict[str, Any]]:
        """What was used, by day (``2026-01-31``, in UTC), tenant and deployment; the last 30 days unless given."""
        params = {"from": first_day, "to": last_day, "tenant": tenant, "deployment": deployment}
        return list(self._transport.json("GET", "/v1/usage", params=params)["data"])

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def submit(
        self,
        algorithm: str,
        input: JSON = None,
        *,
        files: Mapping[str, Source] | None = None,
        priority: str | None = None,
        policy: Mapping[str, Any] | None = None,
        webhook: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        deployment: str | None = None,
        idempotency_key: str | None = None,
        wait_s: float = 0.0,
    ) -> Job:
        """
        Submit a job. When this returns, the platform holds it durably.

        *files* are uploaded first and put into *input* at their JSON pointer (``"/page"``, or just ``"page"``).
        With *wait_s* (at most 60) the answer is held back until the job is final or the
        time is over. Without an *idempotency_key* one is made, so that our own retries submit once.
        """
        filled = input
        for pointer, source in (files or {}).items():
            filled = inputs.with_value(filled, pointer, self.upload(source).reference)
        body = job_request(
            algorithm,
            filled,
            priority=priority,
            policy=policy,
            webhook=webhook,
            metadata=metadata,
            deployment=deployment,
        )
        headers = {"Idempotency-Key": f'"{idempotency_key or new_id("idem")}"'}
        if wait_s > 0:
            headers["Prefer"] = f"wait={max(1, round(min(60.0, wait_s)))}"
        answer = self._transport.json(
            "POST", "/v1/jobs", json_body=body, headers=headers, safe=True, timeout_s=self._timeout_s + wait_s
        )
        return Job.from_json(answer)

    def submit_many(self, jobs: Iterable[Mapping[str, Any]], *, chunk: int = BATCH_ITEMS) -> Iterator[Job | ApiError]:
        """
        Submit many jobs, *chunk* per call; yields each one's outcome in order.

        Each is a mapping as `job_request` makes it. One that is refused yields its error and stops nobody else.
        """
        pending = iter(jobs)
        while body := [dict(job) for job in islice(pending, chunk)]:
            answer = self._transport.json(
                "POST",
                "/v1/jobs/batch",
                json_body=body,
                headers={"Idempotency-Key": f'"{new_id("idem")}"'},
                safe=True,
            )
            for item in answer["data"]:
                yield _batch_outcome(item)

    def run(self, algorithm: str, input: JSON = None, *, timeout_s: float | None = None, **options: Any) -> JSON:
        """Submit, wait and return the output. Raises `JobNotSucceededError` or `WaitTimeoutError`."""
        job = self.submit(algorithm, input, **options)
        return self.output(self.wait(job, timeout_s=timeout_s))

    def get(self, job_id: str) -> Job:
        """The job as it stands."""
        return Job.from_json(self._transport.json("GET", at("jobs", job_id)))

    def jobs(
        self, *, status: str | None = None, algorithm: str | None = None, page_size: int = 100, limit: int | None = None
    ) -> Iterator[Job]:
        """Jobs, newest first, fetched page by page as they are asked for; at most *limit*."""
        params = {"limit": min(page_size, limit or page_size), "status": status, "algorithm": algorithm}
        return islice((Job.from_json(item) for item in self._pages("/v1/jobs", params)), limit)

    def cancel(self, job_id: str) -> Job:
        """Ask for its end. A running job is still `running` in the answer: wait for it. A final one is left alone."""
        return Job.from_json(self._transport.json("POST", at("jobs", job_id, "cancel"), safe=True))

    def retry(self, job_id: str) -> Job:
        """Submit the same again as a new job (`retry_of` names the old one)."""
        headers = {"Idempotency-Key": f'"{new_id("idem")}"'}
        return Job.from_json(self._transport.json("POST", at("jobs", job_id, "retry"), headers=headers, safe=True))

    def logs(self, job_id: str, *, after: int = 0, stream: str | None = None) -> Iterator[LogLine]:
        """What it printed and logged so far, from line number *after* on."""
        path = at("jobs", job_id, "logs")
        while True:
            answer = self._transport.json("GET", path, params={"after": after or None, "stream": stream})
            lines = [LogLine.from_json(item) for item in answer["data"]]
            yield from lines
            if not lines or not answer.get("has_more"):
                return
            after = lines[-1].number

    def events(self, job: Job | str, *, after: int = 0, timeout_s: float | None = None) -> Iterator[Event]:
        """What happens to the job, as it happens; the final event is the last. See `Watch.events`."""
        return Watch(self._transport, _id(job), after=after, timeout_s=timeout_s).events()

    def wait(self, job: Job | str, *, timeout_s: float | None = None, on_event: OnEvent | None = None) -> Job:
        """Block until the job is final and return it, whatever its status. `WaitTimeoutError`: the job goes on."""
        if isinstance(job, Job) and job.is_final:
            return job
        watch = Watch(self._transport, _id(job), timeout_s=timeout_s)
        for event in watch.events():
            if on_event is not None:
                on_event(event)
        return watch.job if watch.job is not None and watch.job.is_final else self.get(_id(job))

    def output(self, job: Job | str) -> JSON:
        """
        The output of a final job; one that the platform keeps as a file is fetched.

        Raises `JobNotSucceededError` when the job ended otherwise or is not final yet.
        """
        job = self.get(job) if isinstance(job, str) else job
        if not job.succeeded:
            raise JobNotSucceededError(job)
        if job.output_file is None:
            return job.output
        return read_json(
            self._transport.call("GET", at("files", job.output_file, "content"), headers={"Accept": "*/*"})
        )

    def algorithms(self) -> list[Algorithm]:
        """What can be run."""
        return [Algorithm.from_json(item) for item in self._pages("/v1/algorithms", {})]

    def algorithm(self, name: str) -> Algorithm:
        """One algorithm with its schemas."""
        return Algorithm.from_json(self._transport.json("GET", at("algorithms", name)))

    def upload(
        self,
        source: Source,
        *,
        filename: str | None = None,
        media_type: str | None = None,
        purpose: str = "input",
    ) -> File:
        """
        Upload a file, streamed. Raises `OSError` when it cannot be read.

        A try that was cut off is repeated; the spare file it may have left expires by itself.
        """
        return transfer.send(self._transport, source, filename=filename, media_type=media_type, purpose=purpose)

    def file(self, file_id: str) -> File:
        """What is known of a file."""
        return File.from_json(self._transport.json("GET", at("files", file_id)))

    def download(self, file_id: str, path: Path | str) -> File:
        """Write a file's bytes to *path*, whole and checked, or not at all (`DigestError`)."""
        known = self.file(file_id)
        transfer.receive(self._transport, known, Path(path))
        return known

    def whoami(self) -> dict[str, Any]:
        """Tenant, key and scopes as the platform sees them."""
        return dict(self._transport.json("GET", "/v1/whoami"))

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            answer = self._transport.json("GET", path, params={**params, "cursor": cursor})
            yield from answer["data"]
            cursor = answer.get("next_cursor")
            if not answer.get("has_more") or not cursor:
                return


def job_request(algorithm: str, input: JSON = None, **fields: Any) -> dict[str, Any]:
    """The body of a submit; fields that are None are left out."""
    return {
        "algorithm": algorithm,
        "input": {} if input is None else input,
        **{name: value for name, value in fields.items() if value is not None},
    }


def _batch_outcome(item: Mapping[str, Any]) -> Job | ApiError:
    problem = item.get("error")
    if isinstance(problem, Mapping):
        return api_error(int(item.get("status") or problem.get("status") or 500), problem)
    return Job.from_json(item.get("job") or item)


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
