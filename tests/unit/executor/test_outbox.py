"""What becomes of outcomes that cannot be stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jangada.errors import StoreUnavailableError
from jangada.executor.journal import Journal
from jangada.executor.outbox import TRIES, Outbox
from jangada.jobs.execution import Completion
from jangada.jobs.job import ErrorCode
from jangada.jobs.queue import Lease, LeaseAction
from jangada.jobs.store import UnstorableError


class Dealings:
    """Takes every outcome but that of one job, which meets *error*; none but a failure is taken then."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.stored: list[Completion] = []

    def exchange(self, completions: Sequence[Completion], _want: int, **_: Any) -> list[Lease]:
        for completion in completions:
            if completion.lease.job_id == "job_bad" and completion.failure is None and self.error is not None:
                raise self.error
        self.stored += completions
        return []


def an_outbox(dealings: Any) -> tuple[Outbox, list[str]]:
    left: list[str] = []
    outbox = Outbox(dealings, Journal(level="error"), lambda completion, _stored: left.append(completion.lease.job_id))
    for name in ("job_a", "job_bad", "job_b"):
        lease = Lease("q", name, 0, 1, "acme", b"", LeaseAction.RUN, claimed_ms=0, enqueued_ms=0)
        outbox.waiting.append(Completion(lease, output=1))
    return outbox, left


def a_try(outbox: Outbox) -> None:
    try:
        outbox.exchange(0, running=True)
    except StoreUnavailableError:
        pass
    except Exception:  # noqa: BLE001 - as the loop does
        outbox.isolate()


def test_an_output_that_no_server_holds_fails_its_job_at_once_and_no_other() -> None:
    dealings = Dealings(UnstorableError("too large"))
    outbox, left = an_outbox(dealings)
    a_try(outbox)
    assert left == ["job_a", "job_b"]
    a_try(outbox)
    assert left[2:] == ["job_bad"]
    failure = dealings.stored[-1].failure
    assert failure is not None
    assert (failure.code, "too large" in failure.message) == (ErrorCode.ALGORITHM_ERROR, True)


@pytest.mark.parametrize("tries", [1, TRIES - 1])
def test_an_error_that_passes_costs_nothing(tries: int) -> None:
    dealings = Dealings(RuntimeError("strange"))
    outbox, left = an_outbox(dealings)
    for _ in range(tries):
        a_try(outbox)
    assert sorted(left) == ["job_a", "job_b"]
    dealings.error = None
    a_try(outbox)
    assert dealings.stored[-1].failure is None
    assert left[-1] == "job_bad"


def test_an_error_that_lasts_fails_the_job_in_the_end_as_our_own_fault() -> None:
    dealings = Dealings(RuntimeError("strange"))
    outbox, left = an_outbox(dealings)
    for _ in range(TRIES + 1):
        a_try(outbox)
    assert left[-1] == "job_bad"
    failure = dealings.stored[-1].failure
    assert failure is not None
    assert failure.code is ErrorCode.INTERNAL


def test_while_the_store_is_away_nothing_counts() -> None:
    dealings = Dealings(StoreUnavailableError("away"))
    outbox, left = an_outbox(dealings)
    for _ in range(3 * TRIES):
        a_try(outbox)
        outbox.isolate()
    assert sorted(left) == ["job_a", "job_b"]
    assert [completion.failure for completion in outbox.waiting] == [None]
