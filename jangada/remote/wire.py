"""
What travels between a node and the platform, as JSON values; both sides read and write it here.

A lease goes to a node as a *receipt*: sealed, so that the node can hand it back and
neither read nor make one. An output travels as text of JSON within the JSON: it may
be nested as deeply as the store allows, whatever the message around it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from jangada.deployments.ledger import Entry, Used
from jangada.jobs.job import AttemptFailure, ErrorCode
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import Lease, LeaseAction
from jangada.jobs.store import LogLine

PART_BYTES = 4 * 1024 * 1024
"""Files go up in parts of this size, so that a lost connection costs one of them."""
LONGEST_WAIT_S = 25.0
"""A long poll's: below what proxies and home routers cut off."""

Values = dict[str, Any]


@dataclass(slots=True)
class RemoteLease(Lease):
    """A lease as a node has it. *tenant_id* is a word that means this tenant to the platform alone."""

    receipt: str = ""


def lease_values(lease: Lease, *, receipt: str, tenant: str, body: bytes) -> Values:
    """A lease for a node, with *body* as the node may see it."""
    return {
        "receipt": receipt,
        "job_id": lease.job_id,
        "epoch": lease.epoch,
        "attempt": lease.attempt,
        "tenant": tenant,
        "body": body.decode(),
        "claimed_ms": lease.claimed_ms,
        "enqueued_ms": lease.enqueued_ms,
    }


def read_lease(values: Mapping[str, Any], queue: str) -> RemoteLease:
    """What `lease_values` wrote."""
    return RemoteLease(
        queue=queue,
        job_id=values["job_id"],
        epoch=values["epoch"],
        attempt=values["attempt"],
        tenant_id=values["tenant"],
        body=values["body"].encode(),
        action=LeaseAction.RUN,
        claimed_ms=values["claimed_ms"],
        enqueued_ms=values["enqueued_ms"],
        receipt=values["receipt"],
    )


def receipt_of(lease: Lease) -> str:
    """The receipt that came with *lease*."""
    if not isinstance(lease, RemoteLease):
        raise TypeError("this lease was not claimed over HTTPS")
    return lease.receipt


def completion_values(done: Completion) -> Values:
    """*done*, for the platform."""
    failure = done.failure
    return {
        "receipt": receipt_of(done.lease),
        "output": orjson.dumps(done.output).decode(),
        "output_file": done.output_file,
        "failure": None
        if failure is None
        else {
            "code": failure.code.value,
            "message": failure.message,
            "details": dict(failure.details),
            "retryable": failure.retryable,
            "retry_after_s": failure.retry_after_s,
        },
        "started_ms": done.started_ms,
        "metrics": done.metrics,
        "logs": [[line.number, line.stream, line.text, line.at_ms] for line in done.logs],
        "handed_back": done.handed_back,
        "canceled": done.canceled,
    }


def read_completion(values: Mapping[str, Any], lease: Lease) -> Completion:
    """
    What `completion_values` wrote, for *lease*, which its receipt held.

    Raises `ValueError`, `KeyError` or `TypeError` when it is not that.
    """
    failure = values["failure"]
    return Completion(
        lease,
        output=orjson.loads(values["output"]),
        output_file=values["output_file"],
        failure=None
        if failure is None
        else AttemptFailure(
            ErrorCode(failure["code"]),
            str(failure["message"]),
            details=dict(failure["details"]),
            retryable=bool(failure["retryable"]),
            retry_after_s=_number(failure["retry_after_s"]),
        ),
        started_ms=None if values["started_ms"] is None else int(values["started_ms"]),
        metrics={str(name): _number(value) for name, value in values["metrics"].items()},
        logs=[
            LogLine(int(number), lease.attempt, str(stream), str(text), int(at_ms))
            for number, stream, text, at_ms in values["logs"]
        ],
        handed_back=bool(values["handed_back"]),
        canceled=bool(values["canceled"]),
    )


def entry_values(entry: Entry) -> Values:
    """One line of the ledger, for the platform, which itself knows whose it is."""
    return {
        "id": entry.id,
        "tenant": entry.tenant_id,
        "deployment": entry.deployment,
        "algorithm": entry.algorithm,
        "algorithm_version": entry.algorithm_version,
        "used": asdict(entry.used),
        "gpu_type": entry.gpu_type,
        "runs_s": list(entry.runs_s),
    }


def read_used(values: Mapping[str, Any]) -> Used:
    """The amounts of an entry; none is below 0. Raises `ValueError` or `TypeError`."""
    return Used(**{str(name): max(0, _number(value) or 0) for name, value in values.items()})


def _number(value: Any) -> Any:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise ValueError("expected a number")
