"""`jangada node`: this machine as one that runs replicas."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from jangada import logs
from jangada.cli.catalog import as_json_option
from jangada.cli.output import ends_cleanly, err, out, print_json
from jangada.client import Client
from jangada.deployments.node import Engine
from jangada.errors import ConfigurationError
from jangada.node.joined import join_platform
from jangada.node.run import NodeOptions, run_node
from jangada.settings import Settings


@click.group()
def node() -> None:
    """This machine as one that runs replicas of deployments."""


@node.command()
@click.argument("url")
@click.option(
    "--token", required=True, help="What `jangada node token create` printed; - reads it from standard input."
)
@click.option("--name", help="How people call it [the machine's host name].")
@click.option(
    "--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates (PEM) to check the platform's against [the system's].",
)  # fmt: skip
@click.option("--insecure", is_flag=True, help="Allow plain http:// to another machine: jobs travel unencrypted.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of its data [$JANGADA_HOME].")
@ends_cleanly
def join(url: str, token: str, name: str | None, ca_file: Path | None, insecure: bool, home: Path | None) -> None:
    """
    Join the platform at URL, once, so that `jangada node run` works for it over HTTPS.

    The machine needs no way in: it calls, nobody calls it. Its key is made here and stays here.
    """
    text = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105 - no secret
    folder = home or Settings.from_env(os.environ).home
    joined = join_platform(folder.expanduser().resolve(), url, text, name=name, ca_file=ca_file, is_insecure=insecure)
    click.echo(joined.node_id)
    err().print(f"joined {joined.url}; start it: jangada node run", markup=False)


@node.group()
def token() -> None:
    """Tokens by which machines join."""


@token.command()
@click.option("--untrusted", is_flag=True, help="For a machine of other people: it gets only what allows that.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Stays with the node; repeatable.")
@click.option("--valid-s", type=click.FloatRange(1, 7 * 86_400), default=3600.0, show_default=True, metavar="SECONDS")
@click.option(
    "--verify-share", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
    help="untrusted: of its jobs, so many are done again elsewhere and compared.",
)  # fmt: skip
@as_json_option
@ends_cleanly
def create(untrusted: bool, labels: tuple[str, ...], valid_s: float, verify_share: float, as_json: bool) -> None:
    """Print a token that lets one machine join, once. Takes the scope admin."""
    trust = "untrusted" if untrusted else "trusted"
    with Client.from_env() as client:
        made = client.nodes.create_token(
            trust=trust, labels=_pairs("--label", labels), valid_s=valid_s, verify_share=verify_share
        )
        url = client.connection.url
    if as_json:
        print_json([made])
        return
    click.echo(made["token"])
    err().print(f"there: jangada node join {url} --token …   (until {made['expires_at']})", markup=False)


@node.command(name="list")
@as_json_option
@ends_cleanly
def list_all(as_json: bool) -> None:
    """List the nodes that are heard of, and those that joined. Takes the scope admin."""
    with Client.from_env() as client:
        found = client.nodes.list()
    if as_json:
        print_json(found)
    elif found:
        table = Table("node", "id", "state", "trust", "way", "replicas", "offers", box=None, pad_edge=False)
        for one in found:
            table.add_row(*_row(one))
        out().print(table)
    else:
        err().print("no node yet: `jangada node run` beside the servers, or `jangada node token create` for elsewhere")


@node.command()
@click.argument("node_id")
@ends_cleanly
def revoke(node_id: str) -> None:
    """End NODE_ID: its key is worth nothing any more, and what it runs goes on elsewhere. Takes the scope admin."""
    with Client.from_env() as client:
        client.nodes.revoke(node_id)
    err().print(f"revoked {node_id}", markup=False)


@node.command()
@click.argument("node_id")
@ends_cleanly
def resume(node_id: str) -> None:
    """End the suspension of NODE_ID. Takes the scope admin."""
    with Client.from_env() as client:
        client.nodes.resume(node_id)
    err().print(f"resumed {node_id}", markup=False)


@node.command()
@click.option("--name", help="How people call it [the machine's host name].")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="For deployments to choose by; repeatable.")
@click.option(
    "--engine", type=click.Choice([one.value for one in Engine]), default=Engine.PROCESS.value, show_default=True,
    help="What replicas run as.",
)  # fmt: skip
@click.option("--cpu", type=click.FloatRange(0, min_open=True), metavar="CORES", help="Cores to offer [all].")
@click.option("--memory", type=click.IntRange(1), metavar="MIB", help="Memory to offer, in MiB [all].")
@click.option("--image", "images", multiple=True, metavar="ALGORITHM=IMAGE", help="docker: an image; repeatable.")
@click.option("--network", metavar="NAME", help="docker: the network of the containers [the Engine's default].")
@click.option("--only-wished", is_flag=True, help="Leave alone the deployments that nobody asked for.")
@click.option("--algorithms", default="", help="Offer only these, comma-separated; else all there are.")
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="Write the process id there once all is registered."
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder of its data [$JANGADA_HOME].")
def run(
    name: str | None,
    labels: tuple[str, ...],
    engine: str,
    cpu: float | None,
    memory: int | None,
    images: tuple[str, ...],
    network: str | None,
    only_wished: bool,
    algorithms: str,
    ready_file: Path | None,
    home: Path | None,
) -> None:
    """
    Offer this machine: claim replicas that are wanted, run them, give them up when they are wanted no more.

    It talks to Redis and MongoDB as JANGADA_REDIS_URL and JANGADA_MONGO_URL say; after `jangada node join`, to the
    platform over HTTPS instead. SIGTERM or Ctrl-C stops it, and what it runs: jobs go back to their queues at once.
    """
    environ = dict(os.environ) | ({} if home is None else {"JANGADA_HOME": str(home)})
    settings = Settings.from_env(environ)
    logs.configure(settings.log_level, settings.log_format)
    options = NodeOptions(
        name=name,
        labels=_pairs("--label", labels),
        engine=Engine(engine),
        cpu=cpu,
        memory_mib=memory,
        images=_pairs("--image", images),
        network=network,
        only_wished=only_wished,
        algorithms=tuple(name.strip() for name in algorithms.split(",") if name.strip()),
        ready_file=ready_file,
    )
    run_node(settings, environ, options)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    offers = "-"
    if one["cpu_millicores"] is not None:
        gpus = f", {len(one['gpus'])} gpu" if one["gpus"] else ""
        offers = f"{one['cpu_millicores'] / 1000:g} cores, {one['memory_mib'] / 1024:.1f} GiB{gpus}"
    return (
        escape(one["name"]), one["id"], one["state"], one["trust"], one["transport"], str(one["replicas"]), offers,
    )  # fmt: skip


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise ConfigurationError(f"{option} {text}: expected KEY=VALUE")
        found[name] = value
    return found
