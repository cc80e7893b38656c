"""The record of an algorithm: what the platform knows and publishes about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jangada.algorithms.manifest import AlgorithmManifest, Device, Limits


@dataclass(frozen=True, slots=True)
class AlgorithmRecord:
    """
    One algorithm as its newest executor described it.

    Schemas are JSON Schema draft 2020-12, made from the type hints of ``run``.
    *queue* is the queue of its default deployment.
    """

    name: str
    version: str
    description: str
    device: Device
    limits: Limits
    max_attempts: int
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    queue: str
    updated_at: datetime
    short: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


def describe(
    manifest: AlgorithmManifest,
    *,
    input_schema: dict[str, Any],
    output_schema: dict[str, Any],
    updated_at: datetime,
    queue: str | None = None,
) -> AlgorithmRecord:
    """The record to register for *manifest* with the schemas that its child published."""
    return AlgorithmRecord(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        device=manifest.device,
        limits=manifest.limits,
        max_attempts=manifest.max_attempts,
        input_schema=input_schema,
        output_schema=output_schema,
        queue=queue or manifest.name,
        updated_at=updated_at,
        short=manifest.short,
    )
