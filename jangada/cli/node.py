"""`jangada node`: this machine as one that runs replicas."""

from __future__ import annotations

import os
from pathlib import Path

import click

from jangada import logs
from jangada.deployments.node import Engine
from jangada.errors import ConfigurationError
from jangada.node.run import NodeOptions, run_node
from jangada.settings import Settings


@click.group()
def node() -> None:
    """This machine as one that runs replicas of deployments."""


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

    It talks to Redis and MongoDB as JANGADA_REDIS_URL and JANGADA_MONGO_URL say. SIGTERM or Ctrl-C stops it, and what
    it runs: jobs go back to their queues at once.
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


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise ConfigurationError(f"{option} {text}: expected KEY=VALUE")
        found[name] = value
    return found
