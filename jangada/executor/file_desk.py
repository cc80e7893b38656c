"""Where jobs with files pass through, on threads of their own, so that a large download delays nobody."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jangada.errors import StoreUnavailableError
from jangada.executor.files import FilesFailure, JobFiles
from jangada.executor.journal import Journal
from jangada.executor.messages import Done
from jangada.executor.running import Ending, SlotJob
from jangada.jobs.job import AttemptFailure, ErrorCode

BACKOFF_CAP_S = 2.0
UNCLEAN = 64
"""So many folders of ended jobs may wait to be looked at."""


class FileDesk:
    """Prepares and keeps files one job per thread; while a store is away it goes on trying."""

    def __init__(self, files: JobFiles, threads: int, journal: Journal) -> None:
        self._files = files
        self._threads = threads
        self._journal = journal
        self._workers: ThreadPoolExecutor | None = None
        self._is_closed = False
        self._unclean: list[SlotJob] = []

    def prepare(
        self, job: SlotJob, schema: dict[str, Any] | None, then: Callable[[SlotJob, AttemptFailure | None], None]
    ) -> None:
        """Put the files of *job* in place, then call *then* with the failure, if any."""

        def prepare() -> None:
            answer = self._persist(lambda: self._files.prepare(job, schema))
            then(job, answer if isinstance(answer, AttemptFailure) else None)

        self._submit(prepare)

    def keep(self, job: SlotJob, done: Done, then: Callable[[SlotJob, Ending, str | None], None]) -> None:
        """Keep what *job* saved, then call *then* with its ending and the file id of a large output."""

        def keep() -> None:
            kept = self._persist(lambda: self._files.keep(job, done))
            if isinstance(kept, AttemptFailure):
                then(job, kept, None)
                return
            done.output, output_file = kept
            then(job, done, output_file)

        self._submit(keep)

    def clean(self, job: SlotJob, *, again: bool = False) -> bool:
        """
        Remove the work folder of *job*, if it has one.

        *again*: leave one that is empty and answer True, for the next job to have; else nothing of it is left.
        """
        try:
            if again and not os.listdir(job.folder):  # noqa: PTH208 — for every job, most of which leave nothing
                return True
            os.rmdir(job.folder)  # noqa: PTH106 — as above
        except FileNotFoundError:
            return False
        except OSError:
            self._submit(lambda: shutil.rmtree(job.folder, ignore_errors=True))
        return False

    def clean_soon(self, job: SlotJob) -> None:
        """The same for a job that most likely has no folder: looked at together with others', by `sweep`."""
        self._unclean.append(job)
        if len(self._unclean) >= UNCLEAN:
            self.sweep()

    def sweep(self) -> None:
        """Remove what was left to `clean_soon`. All their folders lie in one, which is asked once."""
        if not self._unclean:
            return
        jobs, self._unclean = self._unclean, []
        try:
            there = set(os.listdir(os.path.dirname(jobs[0].folder)))  # noqa: PTH120, PTH208 — as above
        except FileNotFoundError:
            return
        for job in jobs if there else ():
            if os.path.basename(job.folder) in there:  # noqa: PTH119 — as above
                self.clean(job)

    def close(self) -> None:
        """Give up what waits; what is in work ends by itself."""
        self._is_closed = True
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[[], None]) -> None:
        if self._is_closed:
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(self._threads, thread_name_prefix="files")
        self._workers.submit(function)

    def _persist(self, function: Callable[[], Any]) -> Any:
        pause_s = 0.1
        while True:
            try:
                return function()
            except FilesFailure as error:
                return error.failure
            except StoreUnavailableError:
                if self._is_closed:
                    return AttemptFailure(ErrorCode.DEPENDENCY, "the file store is away", retryable=True)
                time.sleep(random.uniform(0.5, 1.0) * pause_s)
                pause_s = min(BACKOFF_CAP_S, 2 * pause_s)
            except Exception as error:  # noqa: BLE001 — a thread's edge
                self._journal.error("job.files_failed", reason=f"{type(error).__name__}: {error}")
                return AttemptFailure(ErrorCode.INTERNAL, "the job's files could not be handled", retryable=True)
