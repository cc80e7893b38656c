"""`jangada usage`: what was used, by day, tenant and deployment."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from jangada.cli.output import ends_cleanly, err, out, print_json
from jangada.client import Client

_GPU = ("gpu_s", "idle_gpu_s")
_AMOUNTS = ("attempts", "cpu_s", "idle_s", *_GPU, "cost")


def _day(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The option's value as a day. Raises `click.BadParameter`."""
    if value is None:
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise click.BadParameter(f"expected a day such as 2026-01-31, found {value!r}") from error


@click.command()
@click.option(
    "--from",
    "first_day",
    callback=_day,
    metavar="DAY",
    help="The first day, in UTC; 30 days before the last unless given.",
)
@click.option("--to", "last_day", callback=_day, metavar="DAY", help="The last day; today unless given.")
@click.option("--tenant", help="Only this tenant's; another than your own takes an admin's key.")
@click.option("--deployment", help="Only this deployment's.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line, nothing else.")
@ends_cleanly
def usage(
    first_day: str | None, last_day: str | None, tenant: str | None, deployment: str | None, as_csv: bool, as_json: bool
) -> None:
    """Show what was used, by day, tenant and deployment: seconds, and what they cost."""
    if as_csv and as_json:
        raise click.UsageError("expected --csv or --json, found both")
    with Client.from_env() as client:
        lines = client.usage(first_day=first_day, last_day=last_day, tenant=tenant, deployment=deployment)
    if as_json:
        print_json(lines)
    elif as_csv:
        _print_csv(lines)
    elif lines:
        out().print(_table(lines))
    else:
        err().print("nothing was used in these days")


def _print_csv(lines: Sequence[dict[str, Any]]) -> None:
    if lines:
        table = csv.DictWriter(sys.stdout, list(lines[0]), lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        table.writerows(lines)


def _table(lines: Sequence[dict[str, Any]]) -> Table:
    has_gpu = any(line.get("gpu_type") for line in lines)
    amounts = [name for name in _AMOUNTS if has_gpu or name not in _GPU]
    table = Table(box=None, pad_edge=False, show_footer=len(lines) > 1)
    for heading in ("day", "tenant", "deployment", *(["gpu"] if has_gpu else [])):
        table.add_column(heading, no_wrap=heading == "day", overflow="fold")
    for heading in amounts:
        total = sum((line.get(heading) or 0 for line in lines), start=0 if heading == "attempts" else 0.0)
        table.add_column(heading, justify="right", no_wrap=True, footer=_number(total))
    for line in lines:
        names = [line["day"], line.get("tenant") or "-", line["deployment"]]
        names += [line.get("gpu_type") or "-"] if has_gpu else []
        table.add_row(*(escape(str(name)) for name in names), *(_number(line.get(name)) for name in amounts))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
