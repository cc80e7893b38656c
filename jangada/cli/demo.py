"""
`jangada demo`: scanned documents go in, their legal metadata comes out.

Uses the platform as any client would: upload, submit, wait, read. It starts an
embedded platform when none runs in ``$JANGADA_HOME``, and stops what it started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import jangada
from jangada.cli import metadata_view
from jangada.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, ends_cleanly, err, fail, out, seconds
from jangada.cli.watching import follow, report
from jangada.client import Client, ClientError, Job, NotFoundError, ServerError
from jangada.errors import ConfigurationError
from jangada.settings import Settings

ALGORITHM = "doc-metadata"
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".pdf"}
SUBMISSION = {"responsible": "Jangada demo", "place": "this machine"}
"""What whoever scans knows and a page cannot tell; a real client also sends the class and the retention."""
_MOST_COMPLAINTS = 5
_PART_MARKS = {"✓", "!", "…"}
"""How the lines on parts begin in what `jangada up` prints."""


@click.command()
@click.argument("documents", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--keep", is_flag=True, help="Leave the platform running at the end and say how to go on.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=900.0, show_default=True,
              metavar="SECONDS", help="For all of it: installing, starting, reading.")  # fmt: skip
@ends_cleanly
def demo(documents: tuple[Path, ...], keep: bool, timeout_s: float) -> None:
    """
    Show scanned documents becoming metadata, on a platform of your own.

    Starts the embedded platform, sends DOCUMENTS (default: the synthetic pages of
    this repository; folders are searched) through its public API, and prints the
    metadata that Decreto 10.278/2020 asks for. Exit code 0 only when every
    document succeeded.
    """
    paths = find_documents(documents)
    began = time.monotonic()
    log = ExecutorLog()
    started = start_unless_running(keep=keep)
    try:
        with Client.from_env() as client:
            wait_for_algorithm(client, timeout_s - (time.monotonic() - began), log)
            ready_s = time.monotonic() - began
            rows = read_documents(client, paths, timeout_s - (time.monotonic() - began))
            url, tenant = client.connection.url, client.connection.tenant
    except KeyboardInterrupt:
        err().print("stopped")
        sys.exit(EXIT_INTERRUPTED)
    finally:
        if started and not keep:
            stop()
    show(rows, ready_s=ready_s, total_s=time.monotonic() - began, synthetic=not documents)
    if keep:
        say_how_to_go_on(url, tenant)
    if not all(job.succeeded for _, job, _ in rows):
        sys.exit(EXIT_FAILED)


def find_documents(named: Sequence[Path]) -> list[Path]:
    """The documents to send: those named, with folders searched, or the pages in the repository."""
    repository_pages = Path(jangada.__file__).parent.parent / "tests" / "data" / "documents"
    places = named or [repository_pages]
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
        elif place.exists():
            found.append(place)
    if not found:
        fail(
            f"no documents in {', '.join(map(str, places))}: name some, as in `jangada demo scan.png`; "
            f"known kinds are {', '.join(sorted(SUFFIXES))}",
            2,
        )
    return found


def start_unless_running(*, keep: bool) -> bool:
    """Start the embedded platform; False when one runs in this home already, which is then used and left alone."""
    if _answers():
        err().print("using the platform that is running here")
        return False
    environ = dict(os.environ)
    if not keep:
        # For a moment only: whatever sits on the usual port may stay there.
        environ.setdefault("JANGADA_PORT", "0")
    began = time.monotonic()
    err().print("starting the embedded platform")
    if _jangada("up", "--detach", "--algorithms", ALGORITHM, environ=environ) != 0:
        fail("the embedded platform did not start; `jangada logs` may know why", EXIT_FAILED)
    err().print(f"it is up after {seconds(time.monotonic() - began)}")
    return True


def stop() -> None:
    """Stop the embedded platform."""
    if _jangada("down", environ=os.environ) != 0:
        err().print("[red]could not stop the platform[/]: try `jangada down`")


class ExecutorLog:
    """What the algorithm's executor has complained of since this object was made."""

    def __init__(self) -> None:
        home = Settings.from_env(os.environ).home
        self._path = home / "logs" / f"executor-{ALGORITHM}.log"
        self._begun = self._path.stat().st_size if self._path.exists() else 0

    def complaints(self) -> list[str]:
        """The reasons, oldest first."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._begun)
                lines = log.read().splitlines()
        except OSError:
            return []
        return [reason for line in lines if (reason := _complaint(line))]


def wait_for_algorithm(client: Client, timeout_s: float, log: ExecutorLog) -> None:
    """
    Until an executor has registered the algorithm: its environment may have to be installed first.

    Raises `ClientError` with what the executor said when it tries in vain.
    """
    deadline = time.monotonic() + timeout_s
    console = err()
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        progress.add_task(f"waiting for {ALGORITHM} (the first time its environment is installed)", total=None)
        while True:
            try:
                client.algorithm(ALGORITHM)
            except (NotFoundError, ServerError) as error:
                complaints = log.complaints()
                if time.monotonic() > deadline or len(complaints) >= _MOST_COMPLAINTS:
                    why = f": {complaints[-1]}" if complaints else ""
                    raise ClientError(
                        f"{ALGORITHM} does not come up{why} (jangada logs executor:{ALGORITHM})"
                    ) from error
                time.sleep(0.3)
            else:
                return


def read_documents(client: Client, paths: Sequence[Path], timeout_s: float) -> list[tuple[str, Job, Mapping[str, Any]]]:
    """Send every document as a job and wait for all: (name, job, output or nothing)."""
    names = [path.name for path in paths]
    jobs = [
        client.submit(ALGORITHM, {"submission": SUBMISSION | {"identifier": path.name}}, files={"/page": path})
        for path in paths
    ]
    err().print(f"submitted {len(jobs)} documents as jobs of {ALGORITHM}")
    ended = follow(client, jobs, names, timeout_s=timeout_s)
    for job, name in zip(ended, names, strict=True):
        report(job, name)
    return [(name, job, client.output(job) if job.succeeded else {}) for job, name in zip(ended, names, strict=True)]


def show(
    rows: Sequence[tuple[str, Job, Mapping[str, Any]]], *, ready_s: float, total_s: float, synthetic: bool
) -> None:
    """The metadata of each document, then all at a glance."""
    console = out()
    for name, job, output in rows:
        if job.succeeded:
            console.print(metadata_view.document(name, job, output))
    console.print(metadata_view.summary(rows))
    succeeded = sum(job.succeeded for _, job, _ in rows)
    console.print(
        f"{succeeded} of {len(rows)} documents succeeded; ready after {seconds(ready_s)}, in all {seconds(total_s)}."
    )
    if synthetic:
        console.print("[dim]These pages are synthetic: people, firms and their numbers are invented.[/]")


def say_how_to_go_on(url: str, tenant: str | None) -> None:
    """Address, key and what to try next."""
    home = os.environ.get("JANGADA_HOME", ".jangada")
    err().print(
        f"\nrunning at [bold]{escape(url)}[/]"
        + (f" as tenant {escape(tenant)}" if tenant else "")
        + f"; the key is in {escape(home)}/connection.json\n"
        "  jangada algorithms\n"
        "  jangada submit doc-metadata your-scan.png\n"
        "  jangada jobs list\n"
        "  jangada down"
    )


def _complaint(line: bytes) -> str:
    """The reason in a log line of level error; empty for any other."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or entry.get("level") != "error":
        return ""
    return str(entry.get("reason") or entry.get("event"))


def _answers() -> bool:
    try:
        with Client.from_env(timeout_s=3.0, retries=0) as client:
            client.whoami()
    except (ClientError, ConfigurationError):
        return False
    return True


def _jangada(*arguments: str, environ: Mapping[str, str]) -> int:
    """Run another jangada command; of what it prints, the lines on its parts go to standard error."""
    command = [sys.executable, "-c", "from jangada.cli.main import main; main()", *arguments]
    console = err()
    with (
        console.status(f"jangada {arguments[0]}"),
        subprocess.Popen(command, env=dict(environ), stdout=subprocess.PIPE, text=True) as process,
    ):
        for line in process.stdout or ():
            if line.strip()[:1] in _PART_MARKS:
                console.print(escape(line.rstrip()))
    return process.returncode
