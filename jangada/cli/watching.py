"""Following jobs on the screen: one line each, until all are final."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from jangada.cli.output import err, reason, seconds, status_text
from jangada.client import Client, Event, Job
from jangada.clock import utc_now

_AT_ONCE = 8
"""Each job that is followed holds a connection open; the others wait their turn on the screen."""
_LOOK_S = 0.5


def follow(
    client: Client, jobs: Sequence[Job], labels: Sequence[str], *, timeout_s: float | None = None, quiet: bool = False
) -> list[Job]:
    """
    Wait until all are final and return them in the same order, with a line of progress for each on standard error.

    Raises what `Client.wait` raises, for the first that could not be followed, `WaitTimeoutError` included.
    """
    console = err()
    progress = progress_lines(console, disable=quiet or not console.is_terminal)
    lines = [_line(progress, label, job) for label, job in zip(labels, jobs, strict=True)]
    started = utc_now()
    waiting = iter(range(len(jobs)))
    ended: queue.SimpleQueue[tuple[int, Job | BaseException]] = queue.SimpleQueue()
    turn = threading.Lock()

    def watch_in_turn() -> None:
        while True:
            with turn:
                index = next(waiting, None)
            if index is None:
                return
            left_s = None if timeout_s is None else max(0.1, timeout_s - (utc_now() - started).total_seconds())
            try:
                ended.put((index, client.wait(jobs[index], timeout_s=left_s, on_event=lines[index])))
            except Exception as error:  # noqa: BLE001 - carried over to the thread that waits
                ended.put((index, error))

    # Daemons: after Ctrl-C nobody waits for a connection that may be silent for long.
    for _ in range(min(_AT_ONCE, len(jobs))):
        threading.Thread(target=watch_in_turn, daemon=True).start()
    final: dict[int, Job] = {}
    with progress:
        while len(final) < len(jobs):
            try:
                # A Ctrl-C that comes just before the wait is seen when it ends.
                index, outcome = ended.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            final[index] = outcome
    return [final[index] for index in range(len(jobs))]


def report(job: Job, label: str, console: Console | None = None) -> None:
    """One line on how a job ended, on standard error."""
    took_s = (job.completed_at - job.created_at).total_seconds() if job.completed_at and job.created_at else None
    mark = "[green]✓[/]" if job.succeeded else "[red]✗[/]"
    ended = f" in {seconds(took_s)}" if took_s is not None else ""
    why = f": {reason(job)}" if reason(job) and not job.succeeded else ""
    (console or err()).print(f"{mark} {escape(label)} {status_text(job.status)}{ended}{why}  [dim]{job.id}[/]")


def progress_lines(console: Console, *, disable: bool) -> Progress:
    """The columns of a line: what, status, bar, message, time."""
    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[status]}"),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.fields[message]}"),
        TimeElapsedColumn(),
        console=console,
        disable=disable,
        transient=True,
    )


def _line(progress: Progress, label: str, job: Job) -> Callable[[Event], None]:
    task: TaskID = progress.add_task(escape(label), total=1.0, status=status_text(job.status), message="")

    def show(event: Event) -> None:
        data = event.data
        if event.type == "job.progress":
            message = data.get("message")
            progress.update(
                task,
                completed=float(data.get("progress") or 0.0),
                status=status_text("running"),
                message=escape(str(message)) if message else "",
            )
        elif event.is_final or event.type in {"job.queued", "job.starting", "job.running"}:
            status = event.type.removeprefix("job.")
            progress.update(task, completed=1.0 if event.is_final else None, status=status_text(status))

    return show
