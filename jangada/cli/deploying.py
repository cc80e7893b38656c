"""`jangada function deploy` and its neighbours: functions on any OpenFaaS gateway, for whoever has no faas-cli."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from jangada.cli.gateway_login import gateway_address, may_carry_password, save_credentials, saved_credentials
from jangada.cli.gateway_system import GatewayRefusedError, SystemApi, is_ready
from jangada.cli.output import err, out, print_value
from jangada.errors import ConfigurationError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.stack import StackFunction, load_stack

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LOOK_S = 0.3

_gateway = click.option(
    "-g", "--gateway", metavar="URL", help="Address of the gateway [$OPENFAAS_URL, else http://127.0.0.1:8080]."
)


@click.command()
@_gateway
@click.option("-u", "--username", default="admin", show_default=True, help="User of the gateway.")
@click.option("--insecure", is_flag=True, help="Send the password unencrypted: the network in between is private.")
def login(gateway: str | None, username: str, insecure: bool) -> None:
    """
    Log in to a gateway; the password comes on standard input, or is asked for.

    It is kept where faas-cli keeps it ($OPENFAAS_CONFIG, else ~/.openfaas), readable for you alone.
    """
    address = gateway_address(gateway, os.environ)
    if not insecure and not may_carry_password(address):
        raise ConfigurationError(f"{address}: the password would travel unencrypted; expected https:// (or --insecure)")
    password = click.prompt("password", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()
    password = password.rstrip("\r\n")
    if not password:
        raise ConfigurationError("no password came on standard input")
    SystemApi(address, (username, password)).functions()
    path = save_credentials(address, (username, password), os.environ)
    _say(f"logged in to {address} as {username}, remembered in {path}")


@click.command()
@click.option(
    "-f", "--stack", default="stack.yml", show_default=True, type=click.Path(path_type=Path), help="The file."
)
@click.option("--filter", "patterns", multiple=True, metavar="NAME", help="Only these; may be repeated, may have a *.")
@click.option("--tag", help="Tag of their images, instead of what the file says.")
@click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="One more; may be repeated.")
@click.option("--wait", "wait_s", default=120.0, show_default=True, metavar="SECONDS", help="Until ready; 0: don't.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, as JSON, and send nothing.")
@_gateway
def deploy(
    stack: Path,
    patterns: tuple[str, ...],
    tag: str | None,
    annotations: tuple[str, ...],
    wait_s: float,
    dry_run: bool,
    gateway: str | None,
) -> None:
    """
    Deploy the functions of a stack file, or update them, and wait until they are ready.

    Nothing is built: the images must be where the gateway finds them. Log in first.
    """
    chosen = _chosen(load_stack(stack, os.environ).functions.values(), patterns, stack)
    wanted = [_wanted(function, tag, _pairs(annotations)) for function in chosen]
    if dry_run:
        print_value([each.to_json() for each in wanted])
        return
    api = _api(gateway)
    for each in wanted:
        was_there = api.deploy(each.to_json())
        _say(f"{each.service}: {each.image} {'updated' if was_there else 'deployed'}")
    deadline = time.monotonic() + wait_s
    for each in wanted if wait_s > 0 else ():
        _wait_ready(api, each, deadline, wait_s)


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="What the gateway tells, as JSON.")
@_gateway
def list_(as_json: bool, gateway: str | None) -> None:
    """List the functions of a gateway."""
    found = _api(gateway).functions()
    if as_json:
        print_value(found)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("function", "image", "ready", "calls", "version"):
        table.add_column(heading, overflow="fold")
    for row in found:
        replicas = f"{row.get('availableReplicas', 0)}/{row.get('replicas', 0)}"
        version = (row.get("annotations") or {}).get("com.jangada.version", "")
        table.add_row(row["name"], row.get("image", ""), replicas, str(row.get("invocationCount", 0)), version)
    out().print(table)


@click.command()
@click.argument("name")
@_gateway
def describe(name: str, gateway: str | None) -> None:
    """Show all that a gateway tells of the function NAME, as JSON."""
    found = _api(gateway).function(name)
    if found is None:
        raise GatewayRefusedError(f"there is no function {name}")
    print_value(found)


@click.command()
@click.argument("name")
@_gateway
def remove(name: str, gateway: str | None) -> None:
    """Remove the function NAME from a gateway."""
    _api(gateway).remove(name)
    _say(f"{name}: removed")


@click.command()
@click.argument("name")
@_gateway
def secret(name: str, gateway: str | None) -> None:
    """Make what comes on standard input the value of the secret NAME, a new one or not."""
    value = sys.stdin.read()
    if not value:
        raise ConfigurationError("no value came on standard input")
    was_there = _api(gateway).set_secret(name, value)
    _say(f"secret {name}: {'replaced' if was_there else 'created'}")


commands = (login, deploy, list_, describe, remove, secret)


def _api(gateway: str | None) -> SystemApi:
    address = gateway_address(gateway, os.environ)
    return SystemApi(address, saved_credentials(address, os.environ))


def _say(line: str) -> None:
    err().print(line, markup=False, highlight=False)


def _chosen(functions: Any, patterns: Sequence[str], path: Path) -> list[StackFunction]:
    found = list(functions)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(function.name, pattern) for function in found):
            there = ", ".join(function.name for function in found) or "none"
            raise ConfigurationError(f"{path} has no function {pattern}; there are: {there}")
    if not patterns:
        return found
    return [each for each in found if any(fnmatch.fnmatchcase(each.name, pattern) for pattern in patterns)]


def _wanted(function: StackFunction, tag: str | None, annotations: dict[str, str]) -> FunctionDeployment:
    wanted = FunctionDeployment.from_stack(function)
    image = wanted.image if tag is None else with_tag(wanted.image, tag)
    return dataclasses.replace(wanted, image=image, annotations={**wanted.annotations, **annotations})


def with_tag(image: str, tag: str) -> str:
    """*image* with *tag* instead of its own tag or digest. Raises `ConfigurationError` for what cannot be a tag."""
    if not _TAG.fullmatch(tag):
        raise ConfigurationError(f"--tag {tag!r}: letters, digits, dots, hyphens and underscores, at most 128")
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return f"{folder}{slash}{name.partition(':')[0]}:{tag}"


def _pairs(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigurationError(f"--annotation {text!r}: expected KEY=VALUE")
        found[key] = value
    return found


def _wait_ready(api: SystemApi, wanted: FunctionDeployment, deadline: float, wait_s: float) -> None:
    with err().status(f"{wanted.service} is starting"):
        while not is_ready(status := api.function(wanted.service, wanted.namespace), wanted.image):
            if time.monotonic() >= deadline:
                told = (status or {}).get("annotations") or {}
                why = [text for name, text in told.items() if name.startswith("status.jangada.io/")]
                raise GatewayRefusedError(f"{wanted.service} is not ready after {wait_s:g} s: {'; '.join(why) or '-'}")
            time.sleep(_LOOK_S)
    _say(f"{wanted.service}: ready")
