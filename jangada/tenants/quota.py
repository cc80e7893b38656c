"""What a tenant may hold, once the platform's settings have filled what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from jangada.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Quota:
    """Caps that hold for one tenant; None is no cap."""

    jobs: int | None
    """Unfinished jobs in one queue."""
    job_bytes: int | None
    """Bytes of those jobs."""
    file_bytes: int | None
    """Bytes of all files kept."""


def quota_of(tenant: Tenant, *, default_jobs: int | None = None, default_job_bytes: int | None = None) -> Quota:
    """The tenant's own caps, else the defaults."""
    return Quota(
        jobs=default_jobs if tenant.max_jobs is None else tenant.max_jobs,
        job_bytes=default_job_bytes if tenant.max_bytes is None else tenant.max_bytes,
        file_bytes=tenant.max_file_bytes,
    )
