"""`jangada up`, `down`, `status`, `logs`: the embedded platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from jangada.cli.starting import Starting
from jangada.errors import ConfigurationError
from jangada.local.home import Home
from jangada.local.state import PartState, PlatformState, function_rows, is_running, same_process, stop_running
from jangada.local.supervisor import StartFailedError
from jangada.local.up import AlreadyRunningError, home_of, run_platform
from jangada.settings import Settings

_home_option = click.option("--home", type=click.Path(path_type=Path), help="Folder of its data [$JANGADA_HOME].")


def _environ(**changes: object) -> dict[str, str]:
    """The environment with the options of the command line over it."""
    return dict(os.environ) | {name: str(value) for name, value in changes.items() if value is not None}


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return when it is up; `jangada down` stops it.")
@click.option("--algorithms", default="", help="Only these, comma-separated; else all there are.")
@click.option("--port", type=click.IntRange(0, 65535), help="Where to listen; 0 takes a free one [$JANGADA_PORT].")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--on-demand", is_flag=True, help="Start executors with the first job, and stop them when none comes.")
@click.option("--watch", is_flag=True, help="Start again what is changed on disk.")
@click.option(
    "--functions", type=click.Path(path_type=Path), multiple=True, help="Folder of handlers to deploy; repeatable."
)
@click.option("--stack", type=click.Path(path_type=Path), multiple=True, help="Stack file with handlers; repeatable.")
@_home_option
def up(
    detach: bool,
    algorithms: str,
    port: int | None,
    host: str,
    on_demand: bool,
    watch: bool,
    functions: tuple[Path, ...],
    stack: tuple[Path, ...],
    home: Path | None,
) -> None:
    """Start the embedded platform: Redis, MongoDB, gateway, functions and executors."""
    environ = _environ(JANGADA_HOME=home, JANGADA_PORT=port)
    settings = Settings.from_env(environ)
    names = [name.strip() for name in algorithms.split(",") if name.strip()]
    place = home_of(settings)
    if is_running(place):
        _tell_running(place)
        return
    with Starting(place) as starting:
        try:
            if detach:
                options = ["--host", host, "--algorithms", algorithms, *(["--watch"] if watch else [])]
                options += ["--on-demand"] if on_demand else []
                options += [word for folder in functions for word in ("--functions", str(folder))]
                options += [word for path in stack for word in ("--stack", str(path))]
                _detach(place, environ, options, starting)
            else:
                run_platform(
                    settings,
                    environ,
                    host=host,
                    algorithms=names,
                    functions=functions,
                    stacks=stack,
                    on_demand=on_demand,
                    observer=starting.show,
                    watch=click.echo if watch else None,
                )
        except AlreadyRunningError:
            _tell_running(place)
        except StartFailedError as error:
            raise click.ClickException(str(error)) from error


@click.command()
@_home_option
def down(home: Path | None) -> None:
    """Stop the embedded platform in good order."""
    place = home_of(Settings.from_env(_environ(JANGADA_HOME=home)))
    try:
        stopped = stop_running(place)
    except TimeoutError as error:
        raise click.ClickException(str(error)) from error
    click.echo("stopped" if stopped else f"nothing runs in {place.path}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_home_option
def status(as_json: bool, home: Path | None) -> None:
    """Show every part: pid, state, uptime, restarts, memory, port. Exit code 1 when nothing runs."""
    place = home_of(Settings.from_env(_environ(JANGADA_HOME=home)))
    state = PlatformState.read(place) if is_running(place) else None
    if state is None:
        if as_json:
            click.echo(json.dumps({"state": "stopped", "home": str(place.path), "parts": []}))
        else:
            click.echo(f"nothing runs in {place.path}")
        raise click.exceptions.Exit(1)
    supervisor = PartState("supervisor", state.state, state.pid, state.started_at)
    rows = [_row(part) for part in (supervisor, *state.parts, *function_rows(place))]
    if as_json:
        facts = {"state": state.state, "url": state.url, "home": state.home, "pid": state.pid, "parts": rows}
        click.echo(json.dumps(facts, indent=2))
        return
    table = Table(title=f"{state.url}  ({state.state})")
    table.add_column("part", no_wrap=True)
    table.add_column("state", no_wrap=True, min_width=8)  # the last to give way on a narrow terminal
    for heading in ("pid", "uptime", "restarts", "memory", "port"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        memory = f"{row['memory_bytes'] / 2**20:.0f} MiB" if row["memory_bytes"] else ""
        uptime = _duration(row["uptime_s"]) if row["uptime_s"] is not None else ""
        cells = (row["part"], row["state"], row["pid"] or "", uptime, row["restarts"], memory, row["port"] or "")
        table.add_row(*(str(cell) for cell in cells))
    console = Console()
    console.print(table)
    for row in rows:
        if row["note"]:
            console.print(f"{row['part']} {row['note']} (log: {place.log_file(row['part'])})", markup=False)


@click.command()
@click.argument("part", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="Lines to begin with.")
@_home_option
def logs(part: str | None, follow: bool, lines: int, home: Path | None) -> None:
    """Show the log of PART (as `jangada status` names it), or of all parts."""
    place = home_of(Settings.from_env(_environ(JANGADA_HOME=home)))
    files = [place.log_file(part)] if part else sorted(place.logs_dir.glob("*.log"))
    files = [file for file in files if file.is_file()]
    if not files:
        there = ", ".join(sorted(file.stem for file in place.logs_dir.glob("*.log"))) or "none"
        raise ConfigurationError(f"no log of {part or 'anything'} in {place.logs_dir}; there are: {there}")
    show = _printer(with_name=len(files) > 1)
    ends = {file: _show_tail(file, lines, show) for file in files}
    while follow:
        time.sleep(0.25)
        for file in files:
            ends[file] = _show_new(file, ends[file], show)


def _tell_running(home: Home) -> None:
    state = PlatformState.read(home)
    click.echo(f"Jangada is running at {state.url} (pid {state.pid}); `jangada down` stops it" if state else "running")


def _detach(home: Home, environ: Mapping[str, str], options: Sequence[str], starting: Starting) -> None:
    home.make()
    before = PlatformState.read(home)
    log = home.log_file("supervisor")
    with log.open("ab") as output:
        begun = log.stat().st_size
        process = subprocess.Popen(
            [sys.executable, "-m", "jangada.local", *options],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while process.poll() is None:
        state = PlatformState.read(home)
        if state is not None and state != before:
            starting.show(state)
            if state.state == "ready":
                # It goes on without us: its end is no longer ours to wait for.
                process.returncode = 0
                return
        time.sleep(0.05)
    said = log.read_bytes()[begun:].decode(errors="replace").strip().splitlines()
    reason = said[-1] if said else f"the supervisor ended with exit code {process.returncode} (log: {log})"
    if process.returncode == 2:
        raise ConfigurationError(reason)
    raise StartFailedError(reason)


def _row(part: PartState) -> dict[str, Any]:
    process = same_process(part.pid, part.started_at)
    memory = None
    if process is not None:
        try:
            memory = process.memory_info().rss
        except psutil.Error:
            process = None
    # The gateway tells of the functions; where it was killed itself, its last word is not the truth.
    is_gone = process is None and part.state in {"ready", "starting"}
    return {
        "part": part.part,
        "state": "gone" if is_gone else part.state,
        "pid": part.pid if process is not None else None,
        "uptime_s": round(time.time() - part.started_at, 1) if process is not None and part.started_at else None,
        "restarts": part.restarts,
        "memory_bytes": memory,
        "port": part.port,
        "note": part.note,
    }


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _printer(*, with_name: bool) -> Callable[[Path, bytes], None]:
    def show(file: Path, line: bytes) -> None:
        click.echo((f"{file.stem:24} " if with_name else "") + line.decode(errors="replace").rstrip("\n"))

    return show


def _show_tail(file: Path, lines: int, show: Callable[[Path, bytes], None]) -> int:
    with file.open("rb") as opened:
        for line in _tail(opened, lines):
            show(file, line)
        return opened.tell()


def _tail(opened: IO[bytes], lines: int) -> Iterator[bytes]:
    size = opened.seek(0, os.SEEK_END)
    opened.seek(max(0, size - 512 * lines))
    found = opened.read().splitlines()
    yield from found[-lines:] if lines else ()


def _show_new(file: Path, end: int, show: Callable[[Path, bytes], None]) -> int:
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        # Smaller than before: it was rotated, so begin at its start.
        opened.seek(end if size >= end else 0)
        for line in opened:
            if not line.endswith(b"\n"):
                return opened.tell() - len(line)
            show(file, line)
        return opened.tell()
