"""
Talk to a Jangada platform from Python.

    from jangada.client import Client

    with Client.from_env() as client:
        metadata = client.run("doc-metadata", files={"page": "scan.png"})
"""

from jangada.client.client import Client, job_request
from jangada.client.deployments import Deployment, Deployments
from jangada.client.errors import (
    ApiError,
    ClientError,
    ConflictError,
    DigestError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    JobNotSucceededError,
    NotFoundError,
    ServerError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnreachableError,
    WaitTimeoutError,
)
from jangada.client.queues import Queue, Queues
from jangada.client.records import Algorithm, Event, File, Job, LogLine

__all__ = [
    "Algorithm",
    "ApiError",
    "Client",
    "ClientError",
    "ConflictError",
    "Deployment",
    "Deployments",
    "DigestError",
    "Event",
    "File",
    "ForbiddenError",
    "GoneError",
    "InvalidRequestError",
    "Job",
    "JobNotSucceededError",
    "LogLine",
    "NotFoundError",
    "Queue",
    "Queues",
    "ServerError",
    "TooManyRequestsError",
    "UnauthenticatedError",
    "UnreachableError",
    "WaitTimeoutError",
    "job_request",
]
