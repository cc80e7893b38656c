"""`jangada algorithms`, `jangada files` and `jangada whoami`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from jangada.cli.output import ends_cleanly, err, out, pairs_table, print_json, print_value, size
from jangada.client import Algorithm, Client, File

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line, nothing else.")


@click.command()
@click.argument("name", required=False)
@as_json_option
@ends_cleanly
def algorithms(name: str | None, as_json: bool) -> None:
    """List the algorithms, or show NAME with its input and output."""
    with Client.from_env() as client:
        found = [client.algorithm(name)] if name else client.algorithms()
    if as_json:
        print_json(algorithm.raw for algorithm in found)
    elif name:
        _show(found[0])
    elif found:
        table = Table("algorithm", "version", "device", "description", box=None, pad_edge=False)
        for algorithm in found:
            table.add_row(
                escape(algorithm.name),
                algorithm.version or "-",
                algorithm.device or "-",
                escape(algorithm.description or ""),
            )
        out().print(table)
    else:
        err().print("no algorithm is registered yet; an executor registers its own when it starts")


@click.group()
def files() -> None:
    """Upload files for jobs, and download what jobs made."""


@files.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--media-type", help="Instead of what the name suggests.")
@as_json_option
@ends_cleanly
def upload(path: Path, media_type: str | None, as_json: bool) -> None:
    """Upload a file and print its id."""
    with Client.from_env() as client:
        sent = client.upload(path, media_type=media_type)
    if as_json:
        print_json([sent.raw])
    else:
        click.echo(sent.id)
        err().print(f'use it: --input \'{{"…": {{"file": "{sent.id}"}}}}\'', markup=False)


@files.command("get")
@click.argument("file_id")
@as_json_option
@ends_cleanly
def get_(file_id: str, as_json: bool) -> None:
    """Show what is known of a file."""
    with Client.from_env() as client:
        found = client.file(file_id)
    if as_json:
        print_json([found.raw])
    else:
        out().print(pairs_table(_described(found)))


@files.command()
@click.argument("file_id")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@ends_cleanly
def download(file_id: str, path: Path | None) -> None:
    """Download a file to PATH (default: its own name, here), checked against its SHA-256."""
    with Client.from_env() as client:
        known = client.file(file_id)
        # Only the last part of a name that somebody else chose.
        target = path or Path(Path(known.filename or file_id).name or file_id)
        if path is None and target.exists():
            raise click.UsageError(f"{target} exists: name another PATH")
        client.download(file_id, target)
    click.echo(str(target))


@click.command()
@as_json_option
@ends_cleanly
def whoami(as_json: bool) -> None:
    """Show the tenant, the key and its scopes."""
    with Client.from_env() as client:
        body = client.whoami()
        url = client.connection.url
    if as_json:
        print_json([body])
    else:
        out().print(
            pairs_table(
                [("platform", escape(url)), *((name, _text(value)) for name, value in body.items() if name != "object")]
            )
        )


def _show(algorithm: Algorithm) -> None:
    err().print(f"[bold]{escape(algorithm.name)}[/] {algorithm.version or ''}  {escape(algorithm.description or '')}")
    print_value(
        {
            "device": algorithm.device,
            "limits": algorithm.limits,
            "input_schema": algorithm.input_schema,
            "output_schema": algorithm.output_schema,
        }
    )


def _described(file: File) -> list[tuple[str, str]]:
    return [
        ("file", file.id),
        ("name", escape(file.filename or "-")),
        ("type", escape(file.media_type or "-")),
        ("size", size(file.size_bytes)),
        ("sha256", file.sha256 or "-"),
        ("expires", f"{file.expires_at:%Y-%m-%d %H:%M:%S} UTC" if file.expires_at else "-"),
    ]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return escape(", ".join(map(str, value)))
    if isinstance(value, dict):
        return escape(f"{value.get('id', '')}  {value.get('name', '')}".strip() or "-")
    return escape("-" if value is None else str(value))
