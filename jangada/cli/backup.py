"""`jangada backup`: a copy of everything that must last, as one stream; run where the store can be reached."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jangada import backup as archives
from jangada.backup import Manifest
from jangada.backup.dump import Told
from jangada.cli.output import err
from jangada.jobs.keys import PREFIX
from jangada.redis_client import translated as redis_translated
from jangada.settings import Settings
from jangada.wiring import Services


@click.group()
def backup() -> None:
    """
    Write, verify and restore backups of the store that JANGADA_MONGO_URL names.

    A backup is not encrypted by itself: pipe it through age (docs/deploy.md).
    """


@backup.command()
@click.argument("file", type=click.File("wb"), default="-")
def write(file: IO[bytes]) -> None:
    """Write a backup to FILE, or to standard output; the platform may go on."""
    _refuse_terminal(file)
    with _opened() as services, _progress("written") as told:
        done = archives.dump(services.database, services.artifacts, file, told=told)
    _say("wrote", done)


@backup.command()
@click.argument("file", type=click.File("rb"), default="-")
def verify(file: IO[bytes]) -> None:
    """Read FILE, or standard input, to its end: exit code 1 when it is not whole. Prints its manifest as JSON."""
    with _progress("read") as told:
        done = archives.verify(file, told=told)
    _say("verified", done)
    sys.stdout.write(json.dumps(asdict(done) | {"documents": done.documents}) + "\n")


@backup.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--overwrite", is_flag=True, help="Replace what a platform that has been used holds.")
@click.option("--check", is_flag=True, help="Only say whether the store is empty (exit code 1 when it is not).")
def restore(file: IO[bytes], overwrite: bool, check: bool) -> None:
    """
    Put FILE, or standard input, into a store that is empty, count, and compare the indexes.

    The platform must stand still meanwhile: stop gateway and executors first.
    """
    with _opened() as services:
        if check:
            archives.refuse_used(services.database)
            return
        with _progress("restored") as told:
            done = archives.load(file, services.database, services.artifacts, overwrite=overwrite, told=told)
        # What the queue knows is of another time; the sweep fills it from the store.
        with redis_translated():
            for key in services.redis.commands.scan_iter(match=f"{PREFIX}:*", count=1000):
                services.redis.commands.unlink(key)
    _say("restored and counted", done)


@contextmanager
def _opened() -> Iterator[Services]:
    services = Services.from_settings(Settings.from_env(os.environ))
    try:
        yield services
    finally:
        services.close()


def _refuse_terminal(file: IO[bytes]) -> None:
    if file.isatty():
        raise click.UsageError("a backup is no text: give a FILE, or pipe it somewhere")


@contextmanager
def _progress(what: str) -> Iterator[Told]:
    """A line that grows on a terminal; where there is none, a line for each collection when the next begins."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    seen: dict[str, int] = {}
    with Progress(*columns, console=err(), transient=True) as shown:
        task = shown.add_task("")

        def told(name: str, count: int) -> None:
            if not err().is_terminal and seen and name not in seen:
                last = next(reversed(seen))
                err().print(f"{what} {last}: {seen[last]:,}")
            seen[name] = count
            shown.update(task, description=f"{what} {name}: {count:,}, {sum(seen.values()):,} documents in all")

        yield told


def _say(what: str, done: Manifest) -> None:
    err().print(
        f"{what} {done.documents:,} documents of {len(done.collections)} collections, {done.artifacts} artifacts"
    )
