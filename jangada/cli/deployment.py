"""`jangada deployment`: wish for capacity, see how far it is there, roll back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from rich.markup import escape
from rich.table import Table

from jangada.cli.output import ends_cleanly, err, out, pairs_table, print_json, seconds
from jangada.client import Client
from jangada.client.deployments import Deployment, Lane
from jangada.errors import ConfigurationError

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line, nothing else.")

_STATE_STYLES = {"ready": "green", "starting": "cyan", "waiting": "yellow", "paused": "magenta", "idle": "dim"}


@click.group()
def deployment() -> None:
    """Wish for capacity, and see how far it is there."""


@deployment.command(name="list")
@as_json_option
@ends_cleanly
def list_all(as_json: bool) -> None:
    """List deployments: shared ones and your tenant's; all, for an administrator."""
    with Client.from_env() as client:
        found = client.deployments.list()
    if as_json:
        print_json(one.raw for one in found)
    elif found:
        table = Table(box=None, pad_edge=False)
        for heading in ("deployment", "runs", "tenant", "state", "replicas", "queued", "backlog"):
            table.add_column(heading, no_wrap=heading not in {"deployment", "runs"}, overflow="fold")
        for one in found:
            table.add_row(*_row(one))
        out().print(table)
    else:
        err().print("no deployment yet; each algorithm has a shared one as soon as an executor has registered it")


@deployment.command()
@click.argument("name")
@as_json_option
@ends_cleanly
def show(name: str, as_json: bool) -> None:
    """Show NAME: what is wished, what is there, and why it is no more."""
    with Client.from_env() as client:
        found = client.deployments.get(name)
    if as_json:
        print_json([found.raw])
    else:
        out().print(pairs_table(_pairs(found)))


@deployment.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=Path), metavar="FILE...")
@as_json_option
@ends_cleanly
def apply(files: tuple[Path, ...], as_json: bool) -> None:
    """
    Make or change what FILEs (YAML or JSON; - is standard input) describe.

    A file may hold several, separated by `---`. What one leaves out stays as it is.
    """
    wishes = [wish for file in files for wish in _wishes(file)]
    with Client.from_env() as client:
        for wish in wishes:
            made, what = client.deployments.apply(wish)
            if as_json:
                print_json([made.raw])
            else:
                out().print(f"{escape(made.name)} {what}", highlight=False)
                _warn(made)


@deployment.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@ends_cleanly
def delete(names: tuple[str, ...]) -> None:
    """Take the wish for each NAME back. Refused while it has unfinished jobs."""
    with Client.from_env() as client:
        for name in names:
            client.deployments.delete(name)
            out().print(f"{escape(name)} deleted", highlight=False)


@deployment.command()
@click.argument("name")
@as_json_option
@ends_cleanly
def rollback(name: str, as_json: bool) -> None:
    """End the canary of NAME when it has one, else go back to the version before."""
    with Client.from_env() as client:
        found = client.deployments.rollback(name)
    if as_json:
        print_json([found.raw])
    else:
        out().print(f"{escape(found.name)} runs version {escape(found.algorithm_version)}", highlight=False)


def _wishes(file: Path) -> Iterator[dict[str, Any]]:
    """The deployments that *file* describes. Raises `ConfigurationError` naming the file, `OSError`."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not YAML ({' '.join(str(error).split())})") from error
    if not documents:
        raise ConfigurationError(f"{file}: describes no deployment")
    for document in documents:
        if not isinstance(document, dict) or not isinstance(document.get("name"), str):
            raise ConfigurationError(f"{file}: expected keys and values with a name, found {str(document)[:60]!r}")
        yield document


def _row(one: Deployment) -> tuple[str, ...]:
    ready = sum(lane.ready for lane in one.lanes)
    wanted = sum(lane.wanted for lane in one.lanes)
    queued = sum(lane.queued for lane in one.lanes)
    backlog_s = max((lane.backlog_s for lane in one.lanes), default=0.0)
    return (
        escape(one.name),
        escape(f"{one.algorithm} {one.algorithm_version}"),
        escape(one.tenant or "shared"),
        f"[{_STATE_STYLES.get(one.state, 'white')}]{one.state}[/]",
        f"{ready}/{wanted}",
        str(queued),
        seconds(backlog_s) if queued else "-",
    )


def _pairs(one: Deployment) -> Iterator[tuple[str, str]]:
    scaling = one.raw.get("scaling") or {}
    yield "deployment", escape(one.name)
    yield "algorithm", escape(f"{one.algorithm} {one.algorithm_version}")
    yield "tenant", escape(one.tenant or "shared by all")
    yield "mode", f"{one.mode}, {scaling.get('min')} to {scaling.get('max')} replicas"
    yield "state", f"[{_STATE_STYLES.get(one.state, 'white')}]{one.state}[/]"
    for lane in one.lanes:
        name = "at work" if len(one.lanes) == 1 else lane.track
        yield name, escape(_lane(lane))
        if lane.problem:
            yield "problem", f"[yellow]{escape(lane.problem)}[/]"
    if one.previous_version:
        yield "before", escape(f"version {one.previous_version} (jangada deployment rollback {one.name})")


def _lane(lane: Lane) -> str:
    why = f" ({lane.reason})" if lane.reason else ""
    text = f"{lane.ready} ready and {lane.starting} starting of {lane.wanted} wanted{why}; "
    text += f"{lane.running} jobs run, {lane.queued} wait"
    return text + (f", {seconds(lane.backlog_s)} of work" if lane.queued else "")


def _warn(one: Deployment) -> None:
    """What keeps it from being there is said at once."""
    for lane in one.lanes:
        if lane.problem:
            err().print(f"[yellow]{escape(one.name)}: {escape(lane.problem)}[/]")
