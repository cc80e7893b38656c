"""
What the client commands write, and how they end.

Standard output carries results only (outputs, ids, JSON); everything for people's
eyes goes to standard error. Exit codes: 0 done; 1 the job did not succeed or the
platform refused; 2 wrong usage or configuration; 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn, ParamSpec

import click
from rich import json as rich_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jangada.client import ApiError, ClientError, Job, WaitTimeoutError
from jangada.clock import utc_now
from jangada.errors import ConfigurationError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

STATUS_STYLES = {
    "queued": "yellow",
    "starting": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "canceled": "magenta",
    "expired": "magenta",
}

P = ParamSpec("P")


def out() -> Console:
    """Standard output as it is now (tests and pipes replace it)."""
    return Console(soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Standard error as it is now."""
    return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)


def fail(message: str, code: int) -> NoReturn:
    """End the command with one clear line."""
    err().print(f"[red bold]error:[/] {escape(message)}")
    sys.exit(code)


def ends_cleanly(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what the client raises into a line on standard error and an exit code; never a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> None:
        try:
            command(*args, **options)
        except ConfigurationError as error:
            fail(str(error), EXIT_USAGE)
        except WaitTimeoutError as error:
            say_it_goes_on([error.job_id])
            fail(str(error), EXIT_FAILED)
        except ApiError as error:
            for wrong in error.errors:
                err().print(f"  [cyan]{escape(wrong.pointer or '/')}[/] {escape(wrong.detail)}")
            fail(str(error), EXIT_FAILED)
        except ClientError as error:
            fail(str(error), EXIT_FAILED)
        except BrokenPipeError:
            raise  # `… | head`: click ends quietly
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), EXIT_USAGE)
        except KeyboardInterrupt:
            err().print("stopped")
            sys.exit(EXIT_INTERRUPTED)

    return wrapped


def say_it_goes_on(job_ids: Sequence[str]) -> None:
    """After Ctrl-C or a timeout: the jobs are the platform's; say how to follow or end them."""
    console = err()
    for job_id in job_ids[:5]:
        console.print(f"{job_id} goes on. Follow it: jangada jobs watch {job_id}")
        console.print(f"{' ' * len(job_id)}          End it: jangada jobs cancel {job_id}")
    if len(job_ids) > 5:
        console.print(f"and {len(job_ids) - 5} more: jangada jobs list")


def print_json(values: Iterable[Any]) -> None:
    """One JSON value per line, and nothing else: made for `jq` and for `while read`."""
    for value in values:
        click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def print_value(value: Any) -> None:
    """A JSON value for people: indented, in colour on a terminal."""
    console = out()
    if console.is_terminal:
        console.print(rich_json.JSON.from_data(value, ensure_ascii=False))
    else:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def status_text(status: str) -> str:
    """A status in its colour."""
    return f"[{STATUS_STYLES.get(status, 'white')}]{status}[/]"


def reason(job: Job) -> str:
    """Why a job did not succeed, or what it is doing, as markup."""
    if job.error:
        return escape(f"{job.error.get('message', '')} [{job.error.get('code', '')}]")
    return escape(job.status_detail or "")


def jobs_table(jobs: Iterable[Job]) -> Table:
    """Jobs, one per line."""
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "algorithm", "status", "age", "took", "detail"):
        # An id that is cut short cannot be copied: a narrow terminal folds the last column instead.
        table.add_column(heading, no_wrap=heading != "detail")
    now = utc_now()
    for job in jobs:
        table.add_row(
            job.id,
            escape(job.algorithm),
            status_text(job.status),
            seconds((now - job.created_at).total_seconds()) if job.created_at else "-",
            seconds(_between(job.started_at, job.completed_at)),
            escape(str(job.error.get("code", ""))) if job.error else reason(job),
        )
    return table


def pairs_table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one pair per line; values are markup."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def seconds(value: float | None) -> str:
    """A duration as people say it: ``0.25 s``, ``12.3 s``, ``4 min``, ``3 h``, ``2 d``."""
    if value is None:
        return "-"
    for limit, unit, text in ((10, 1, "{:.2f} s"), (120, 1, "{:.1f} s"), (7200, 60, "{:.0f} min")):
        if value < limit:
            return text.format(value / unit)
    return f"{value / 3600:.0f} h" if value < 172_800 else f"{value / 86_400:.0f} d"


def size(value: int) -> str:
    """A size as people say it: ``512 B``, ``1.5 MiB``."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
