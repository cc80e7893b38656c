"""`jangada queue`: look at queues, hold them up, give dead letters another chance. Needs an admin's key."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from jangada.cli.output import EXIT_FAILED, ends_cleanly, err, out, print_json, seconds
from jangada.cli.queue_view import BAND_STYLES, History, detail, overview, status_text
from jangada.client import Client, ServerError, UnreachableError
from jangada.client.queues import Queue

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line, nothing else.")
names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...")

POLL_S = 1.0


@click.group()
def queue() -> None:
    """Look after queues (with an admin's key)."""


@queue.command()
@click.argument("name", required=False)
@click.option("--watch", "-w", is_flag=True, help="Go on, until Ctrl-C.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look, with --watch.",
)
@as_json_option
@ends_cleanly
def stats(name: str | None, watch: bool, interval_s: float, as_json: bool) -> None:
    """Show what waits, runs and has died, in all queues or in NAME."""
    with Client.from_env() as client:

        def look() -> list[Queue]:
            return [client.queues.get(name)] if name else client.queues.list()

        if as_json:
            _print_stats(look, interval_s if watch else None)
            return
        view = _View(look, single=name is not None)
        if watch:
            view.watch(interval_s)
        elif view.refresh():
            out().print(view.shown())
        else:
            err().print(_NONE)


_NONE = "no queue yet; an executor registers its algorithm, and with it the queue, when it starts"


class _View:
    """The picture of queues, looked at again and again."""

    def __init__(self, look: Callable[[], list[Queue]], *, single: bool) -> None:
        self._look = look
        self._single = single
        self._queues: list[Queue] = []
        self._histories: dict[str, History] = {}
        self._trouble = ""

    def refresh(self) -> list[Queue]:
        """Look, and remember."""
        self._queues = self._look()
        now = time.monotonic()
        for one in self._queues:
            self._histories.setdefault(one.name, History()).add(now, one.jobs)
        return self._queues

    def shown(self) -> Any:
        """The picture as it is now."""
        console = out()
        if self._single and self._queues:
            picture = detail(self._queues[0], self._histories[self._queues[0].name], console)
        elif self._queues:
            picture = overview(self._queues, self._histories, console)
        else:
            picture = _NONE
        if not self._trouble:
            return picture
        grid = Table.grid()
        grid.add_row(picture)
        grid.add_row(f"[red]{escape(self._trouble)}[/]")
        return grid

    def watch(self, interval_s: float) -> None:
        """Show it until Ctrl-C. A platform that is away for a while is said, and asked again."""
        console = out()
        try:
            self.refresh()
            if not console.is_terminal:
                while True:
                    console.print(self.shown())
                    time.sleep(interval_s)
                    self._refresh_or_say()
            with Live(self.shown(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
                while True:
                    time.sleep(interval_s)
                    self._refresh_or_say()
                    live.update(self.shown(), refresh=True)
        except KeyboardInterrupt:
            return

    def _refresh_or_say(self) -> None:
        try:
            self.refresh()
            self._trouble = ""
        except (UnreachableError, ServerError) as error:
            self._trouble = str(error)


def _print_stats(look: Callable[[], list[Queue]], interval_s: float | None) -> None:
    try:
        print_json(one.raw for one in look())
        while interval_s is not None:
            time.sleep(interval_s)
            print_json(one.raw for one in look())
    except KeyboardInterrupt:
        return


@queue.command()
@click.argument("name")
@click.option("--dead", is_flag=True, help="The dead letters instead, newest first.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@as_json_option
@ends_cleanly
def peek(name: str, dead: bool, limit: int, as_json: bool) -> None:
    """Show the jobs that queue NAME hands out next. It changes nothing."""
    with Client.from_env() as client:
        found = client.queues.dead(name, limit=limit) if dead else client.queues.peek(name, limit=limit)
    if as_json:
        print_json(found)
    elif not found:
        err().print(f"no dead letters in {escape(name)}" if dead else f"nothing waits in {escape(name)}")
    else:
        out().print(_dead_table(found) if dead else _waiting_table(found))


@queue.command()
@names_argument
@as_json_option
@ends_cleanly
def pause(names: tuple[str, ...], as_json: bool) -> None:
    """Hand out no more jobs, until resumed. Jobs are accepted, and what runs goes on."""
    _switch(names, lambda client, name: client.queues.pause(name), as_json=as_json)


@queue.command()
@names_argument
@as_json_option
@ends_cleanly
def resume(names: tuple[str, ...], as_json: bool) -> None:
    """End a pause and a drain."""
    _switch(names, lambda client, name: client.queues.resume(name), as_json=as_json)


@queue.command()
@names_argument
@click.option("--wait", is_flag=True, help="Return when they are empty.")
@as_json_option
@ends_cleanly
def drain(names: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Accept no new jobs, until resumed; what is there is worked off."""
    _switch(names, lambda client, name: client.queues.drain(name), as_json=as_json)
    if wait:
        with Client.from_env() as client:
            _wait_empty(client, names)


@queue.command()
@click.argument("name")
@click.argument("per_s", metavar="PER_SECOND|off")
@click.option("--burst", type=click.IntRange(1), help="So many at once after a quiet time.")
@as_json_option
@ends_cleanly
def limit(name: str, per_s: str, burst: int | None, as_json: bool) -> None:
    """Hand out at most so many jobs a second, on average; `off` ends the limit."""
    rate = None if per_s == "off" else _rate(per_s)
    _switch((name,), lambda client, one: client.queues.limit_rate(one, rate, burst=burst), as_json=as_json)


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
@click.option("--all", "everything", is_flag=True, help="All dead letters of the queue.")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--error-code", help="Only those that failed with this code (algorithm_error, timeout, oom, …).")
@click.option("--algorithm-version", help="Only of this version.")
@click.option("--older-than", "older_than_s", type=click.FloatRange(0), metavar="SECONDS", help="Died before that.")
@click.option("--newer-than", "newer_than_s", type=click.FloatRange(0), metavar="SECONDS", help="Died after that.")
@as_json_option
@ends_cleanly
def requeue(name: str, job_ids: tuple[str, ...], everything: bool, as_json: bool, **where: Any) -> None:
    """Give dead letters of queue NAME another chance, as new jobs: by id, by filter, or all."""
    wanted = {key: value for key, value in where.items() if value is not None}
    if sum((bool(job_ids), bool(wanted), everything)) != 1:
        raise click.UsageError("expected ids of jobs, or filters, or --all")
    asked, refused, done = set(job_ids), 0, 0
    with Client.from_env() as client, err().status("requeueing") as shown:
        for item in client.queues.requeue(name, list(job_ids) or None, **wanted):
            asked.discard(item["id"])
            refused += bool(item.get("error"))
            done += not item.get("error")
            if as_json:
                print_json([item])
            elif item.get("error"):
                err().print(f"{item['id']} stays: {escape(str(item['error']))}")
            else:
                click.echo(f"{item['id']} {item['new_job']}")
            shown.update(f"requeueing: {done}")
    for job_id in sorted(asked):
        err().print(f"{escape(job_id)} is no dead letter of {escape(name)}")
    if not as_json:
        err().print(f"{done} requeued" + (f", {refused} refused" if refused else ""))
    if refused or asked:
        sys.exit(EXIT_FAILED)


def _switch(names: tuple[str, ...], turn: Callable[[Client, str], Queue], *, as_json: bool) -> None:
    with Client.from_env() as client:
        for name in names:
            turned = turn(client, name)
            if as_json:
                print_json([turned.raw])
                continue
            rate = f", at most {turned.rate_per_s:g} jobs/s" if turned.rate_per_s is not None else ""
            err().print(f"{escape(name)} is {status_text(turned)}{rate}: {turned.jobs} unfinished jobs")


def _wait_empty(client: Client, names: tuple[str, ...]) -> None:
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=err(), transient=True) as progress:
        most = 0
        task = progress.add_task("draining")
        while left := sum(client.queues.get(name).jobs for name in names):
            most = max(most, left)
            progress.update(task, total=most, completed=most - left)
            time.sleep(POLL_S)
    err().print(f"empty: {escape(', '.join(names))}")


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise click.BadParameter(f"{text!r}: expected a number above 0, or off", param_hint="PER_SECOND")
    return value


def _waiting_table(found: Any) -> Table:
    table = Table("job", "priority", "age", "tries", "tenant", box=None, pad_edge=False)
    for job in found:
        style = BAND_STYLES.get(job["priority"], "white")
        table.add_row(
            job["id"],
            f"[{style}]{job['priority']}[/]",
            seconds(job["age_s"]),
            str(job["attempts"]),
            escape(job["tenant"]),
        )
    return table


def _dead_table(found: Any) -> Table:
    table = Table("job", "died", "tries", "tenant", "reason", box=None, pad_edge=False)
    for letter in found:
        error = letter.get("error") or {}
        why = f"{error.get('message', '')} [{error.get('code', '')}]" if error else "-"
        table.add_row(
            letter["id"],
            letter["died_at"][:19].replace("T", " "),
            str(letter["attempts"]),
            escape(letter["tenant"]),
            escape(why),
        )
    return table
