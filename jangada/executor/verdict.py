"""What an attempt's end counts as. Pure: what was seen goes in, the ending comes out."""

from __future__ import annotations

from typing import Any

from jangada.executor.memory import MIB
from jangada.executor.messages import Hello
from jangada.executor.process import describe_exit
from jangada.executor.running import Ending, SlotJob, StopReason
from jangada.jobs.job import AttemptFailure, ErrorCode

_NEAR_CAP = 0.9


def ending_of(job: SlotJob, reported: Ending | None, *, rss_bytes: int = 0, cap_bytes: int | None = None) -> Ending:
    """A reason of ours for stopping *job* comes before what the child reported while it was being stopped."""
    match job.stop:
        case None:
            if reported is None or isinstance(reported, StopReason):
                # Nobody asked for it: the algorithm raised JobCanceled by itself.
                return AttemptFailure(ErrorCode.ALGORITHM_ERROR, "run raised JobCanceled without being canceled")
            return reported
        case StopReason.TIMEOUT:
            return AttemptFailure(ErrorCode.TIMEOUT, f"run took longer than {job.limit_s:g} s", retryable=True)
        case StopReason.DEADLINE:
            return AttemptFailure(ErrorCode.DEADLINE, "the job's deadline passed while it ran")
        case StopReason.MEMORY:
            used, cap = rss_bytes // MIB, (cap_bytes or 0) // MIB
            details = {"used_mib": used, "limit_mib": cap}
            return AttemptFailure(ErrorCode.OOM, f"used {used} MiB, limit {cap} MiB", retryable=True, details=details)
        case _:
            return job.stop


def death_of(
    code: int,
    *,
    killed_by_us: bool,
    oom_killer_struck: bool,
    rss_bytes: int = 0,
    cap_bytes: int | None = None,
    channel_error: str | None = None,
    gpu_was_full: bool = False,
) -> AttemptFailure:
    """Why a child that ran a job died, as well as one can tell from outside."""
    how = describe_exit(code)
    details: dict[str, Any] = {"child_died": True}
    details |= {"exit_code": code} if code >= 0 else {"signal": how}
    if channel_error is not None:
        message = f"run disturbed the child's channel: {channel_error}"
        return AttemptFailure(ErrorCode.ALGORITHM_ERROR, message, retryable=True, details=details)
    if gpu_was_full:
        message = f"the child ended for want of GPU memory: {how}"
        return AttemptFailure(ErrorCode.GPU_OOM, message, retryable=True, details=details)
    near_cap = cap_bytes is not None and rss_bytes > _NEAR_CAP * cap_bytes
    if oom_killer_struck or (how == "SIGKILL" and near_cap):
        return AttemptFailure(ErrorCode.OOM, "the child was killed: out of memory", retryable=True, details=details)
    if how == "SIGKILL" and not killed_by_us:
        message = "the child was killed from outside (SIGKILL; out of memory?)"
        return AttemptFailure(ErrorCode.EXECUTOR_LOST, message, retryable=True, details=details)
    message = f"run ended the child process: {how}"
    return AttemptFailure(ErrorCode.ALGORITHM_ERROR, message, retryable=True, details=details)


def cold_start(hello: Hello, took_s: float) -> dict[str, float | None]:
    """What a job that waited for its child waited for: all of it, the interpreter, the imports with the set-up."""
    phases = hello.phases
    return {
        "setup_s": round(took_s, 4),
        "environment_s": phases.get("environment"),
        "load_s": round(phases.get("import", 0.0) + phases.get("setup", 0.0), 4),
    }
