"""From a request to a job that may be queued: everything that can be refused is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.references import FileReference
from jangada.algorithms.validation import InputValidator
from jangada.artifacts.store import ArtifactStore
from jangada.clock import Clock, utc_now
from jangada.errors import ConflictError, FieldError, InvalidInputError, InvalidRequestError
from jangada.http.trace import Trace
from jangada.ids import new_id
from jangada.jobs.job import Job, Policy, Priority, Unique, Webhook
from jangada.settings import Settings
from jangada.tenants import Caller
from jangada.webhooks.guard import OutboundError, OutboundGuard

from .catalog import Catalog
from .directory import Destination, Directory
from .requests import JobRequest, PolicyRequest, WebhookRequest


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and in which request."""

    caller: Caller
    trace: Trace


class Submission:
    """Makes jobs. Writes nothing, except inputs over `Settings.inline_bytes`, which become artifacts."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        directory: Directory,
        validator: InputValidator,
        artifacts: ArtifactStore,
        guard: OutboundGuard,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._directory = directory
        self._validator = validator
        self._artifacts = artifacts
        self._guard = guard
        self._clock = clock

    def job(self, request: JobRequest, origin: Origin, job_id: str | None = None) -> Job:
        """
        The job for *request*. Raises `UnknownAlgorithmError`, `NotFoundError` (deployment),
        `InvalidRequestError` or `InvalidInputError`, the latter two with pointers.
        """
        record = self._catalog.get(request.algorithm)
        job_id = job_id or new_id("job")
        goes = self._directory.destination(
            record, origin.caller.tenant_id, request.deployment, request.affinity or job_id
        )
        record = self._catalog.get_version(record, goes.version)
        references = self._validator.check(record, request.input)
        policy = _policy(request.policy, record, goes)
        webhook = self._webhook(request.webhook)
        now = self._clock()
        run_at = _run_at(request, policy, now)
        begins = run_at or now
        file_ids = self._files(references, origin.caller.tenant_id, policy, begins) if references else ()
        inline, input_file = self._place(request.input, origin.caller.tenant_id, policy, begins)
        return Job(
            id=job_id,
            tenant_id=origin.caller.tenant_id,
            algorithm=record.name,
            algorithm_version=goes.version or record.version,
            deployment=goes.deployment,
            queue=goes.queue,
            input=inline,
            created_at=now,
            priority=Priority(request.priority),
            policy=policy,
            webhook=webhook,
            metadata=request.metadata,
            input_file=input_file,
            file_ids=file_ids,
            expires_at=_expires_at(policy, now, begins),
            run_at=run_at,
            unique=_unique(request, now),
            deadline_at=None if policy.deadline_s is None else now + timedelta(seconds=policy.deadline_s),
            request_id=origin.trace.request_id,
            traceparent=origin.trace.traceparent,
            call_id=origin.trace.call_id,
            weight=origin.caller.tenant.weight,
        )

    def again(self, job: Job, origin: Origin, job_id: str) -> Job:
        """
        A new job that does the same as *job*, by the algorithm as it is now.

        Raises `ConflictError` while *job* is not final, and what `job` raises.
        """
        if not job.is_final:
            raise ConflictError(f"{job.id} is {job.status.value}; only a job that has ended can be retried")
        request = JobRequest.model_construct(
            algorithm=job.algorithm,
            deployment=self._still_there(job),
            input=job.input,
            priority=job.priority.value,
            policy=PolicyRequest(queue_ttl_s=job.policy.queue_ttl_s, deadline_s=job.policy.deadline_s),
            webhook=_webhook_request(job.webhook),
            metadata=job.metadata,
            run_at=None,
            delay_s=None,
            unique=None,
            affinity=None,
        )
        if job.input_file is not None:
            request.input = self._read(job, origin.caller.tenant_id)
        made = self.job(request, origin, job_id)
        record = self._catalog.get(job.algorithm)
        policy = Policy(
            queue_ttl_s=made.policy.queue_ttl_s,
            execution_timeout_s=min(job.policy.execution_timeout_s, record.limits.execution_timeout_s),
            deadline_s=made.policy.deadline_s,
            max_attempts=min(job.policy.max_attempts, record.max_attempts),
        )
        return made.with_(policy=policy, retry_of=job.id)

    def _still_there(self, job: Job) -> str | None:
        """The deployment that *job* went to, if there is one of that name for its tenant."""
        found = self._directory.named(job.deployment, job.tenant_id)
        return None if found is None or found.algorithm != job.algorithm else found.name

    def _read(self, job: Job, tenant_id: str) -> Any:
        """An input that became an artifact: it too must meet the present schema."""
        artifact = self._artifacts.get(job.input_file or "", tenant_id)
        if artifact is None:
            raise ConflictError(f"the input of {job.id} was removed by retention; submit it anew")
        with self._artifacts.open(artifact) as stream:
            return orjson.loads(stream.read())

    def _webhook(self, request: WebhookRequest | None) -> Webhook | None:
        if request is None:
            return None
        try:
            self._guard.check(request.url)
        except OutboundError as error:
            raise InvalidRequestError(
                f"webhook.url: {error}", errors=[FieldError("/webhook/url", str(error))]
            ) from error
        # `completed` is always sent, so it is always listed.
        events = dict.fromkeys([*request.events, "completed"])
        return Webhook(request.url, tuple(events), request.format)

    def _files(self, references: list[FileReference], tenant_id: str, policy: Policy, now: datetime) -> tuple[str, ...]:
        wrong: list[FieldError] = []
        until = _needed_until(policy, now)
        ids: dict[str, bool] = {}
        for reference in references:
            if reference.kind == "url":
                try:
                    self._guard.check(reference.value)
                except OutboundError as error:
                    wrong.append(FieldError(f"{reference.pointer}/url", str(error)))
            elif reference.kind == "file" and reference.value not in ids:
                artifact = self._artifacts.get(reference.value, tenant_id)
                if artifact is None:
                    wrong.append(FieldError(f"{reference.pointer}/file", f"no file {reference.value}"))
                else:
                    # Half of what is needed is left: later jobs on the same file write nothing.
                    ids[reference.value] = artifact.expires_at < now + (until - now) / 2
        if wrong:
            first = wrong[0]
            raise InvalidInputError(f"{first.pointer}: {first.detail}", errors=wrong)
        ending = [file_id for file_id, ends in ids.items() if ends]
        if ending:
            self._artifacts.keep(ending, until)
        return tuple(ids)

    def _place(self, value: Any, tenant_id: str, policy: Policy, now: datetime) -> tuple[Any, str | None]:
        """The input as it is, or the id of the artifact that it became because it is big."""
        encoded = orjson.dumps(value)
        if len(encoded) <= self._settings.inline_bytes:
            return value, None
        artifact = self._artifacts.put(
            tenant_id,
            encoded,
            media_type="application/json",
            filename="input.json",
            purpose="input",
            expires_at=_needed_until(policy, now),
        )
        return None, artifact.id


def _policy(asked: PolicyRequest, record: AlgorithmRecord, goes: Destination) -> Policy:
    most_s = min(record.limits.execution_timeout_s, goes.execution_s or record.limits.execution_timeout_s)
    wrong = []
    if asked.execution_timeout_s is not None and asked.execution_timeout_s > most_s:
        wrong.append(FieldError("/policy/execution_timeout_s", f"{goes.deployment} allows at most {most_s:g}"))
    if asked.max_attempts is not None and asked.max_attempts > record.max_attempts:
        wrong.append(FieldError("/policy/max_attempts", f"{record.name} allows at most {record.max_attempts}"))
    if wrong:
        raise InvalidRequestError(f"{wrong[0].pointer}: {wrong[0].detail}", errors=wrong)
    return Policy(
        queue_ttl_s=asked.queue_ttl_s,
        execution_timeout_s=asked.execution_timeout_s or most_s,
        deadline_s=asked.deadline_s,
        max_attempts=asked.max_attempts or record.max_attempts,
    )


def _run_at(request: JobRequest, policy: Policy, now: datetime) -> datetime | None:
    """The instant before which the job is not to run; None: it may at once."""
    run_at = request.run_at
    if request.delay_s is not None:
        if run_at is not None:
            raise _refused("/delay_s", "expected either run_at or delay_s, found both")
        run_at = now + timedelta(seconds=request.delay_s)
    if run_at is None or run_at <= now:
        return None
    if run_at > now + timedelta(days=366):
        raise _refused("/run_at", "expected an instant within the next 366 days")
    if policy.deadline_s is not None and run_at >= now + timedelta(seconds=policy.deadline_s):
        raise _refused("/policy/deadline_s", "it counts from acceptance, and passes before the job may run")
    return run_at


def _unique(request: JobRequest, now: datetime) -> Unique | None:
    asked = request.unique
    if asked is None:
        return None
    until = None if asked.for_s is None else now + timedelta(seconds=asked.for_s)
    return Unique(asked.key, until, refuses=asked.on_duplicate == "refuse")


def _refused(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer[1:].replace('/', '.')}: {detail}", errors=[FieldError(pointer, detail)])


def _expires_at(policy: Policy, now: datetime, from_: datetime) -> datetime | None:
    """The time in the queue counts from when the job may run, the deadline from acceptance."""
    ends = [] if policy.queue_ttl_s is None else [from_ + timedelta(seconds=policy.queue_ttl_s)]
    if policy.deadline_s is not None:
        ends.append(now + timedelta(seconds=policy.deadline_s))
    return min(ends, default=None)


def _needed_until(policy: Policy, now: datetime) -> datetime:
    """How long the job's files must stay: through every attempt, or a week when it may wait for ever."""
    waits_s = min(policy.queue_ttl_s or 7 * 86_400.0, policy.deadline_s or 7 * 86_400.0)
    return now + timedelta(seconds=waits_s + policy.max_attempts * policy.execution_timeout_s + 3600)


def _webhook_request(webhook: Webhook | None) -> WebhookRequest | None:
    if webhook is None:
        return None
    return WebhookRequest.model_construct(url=webhook.url, events=list(webhook.events), format=webhook.format)
