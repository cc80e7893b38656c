"""`jangada function run`: one function, once, without the platform; the group that `deploying` has its commands in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from jangada.cli import deploying
from jangada.errors import ConfigurationError
from jangada.gateway.stack import StackFunction, load_stack
from jangada.local.home import Home
from jangada.local.platform import find_root
from jangada.local.state import is_running
from jangada.local.up import home_of
from jangada.settings import Settings

_DEFAULT_LANG = "python3-jangada"
_EXIT_BY_CLASS = {4: 4, 5: 5}


@click.group()
def function() -> None:
    """Run a function by itself; deploy functions to a gateway."""


for _command in deploying.commands:
    function.add_command(_command)


@function.command()
@click.argument("name")
@click.option("-d", "--data", default="", help="The body: a text, @file, or - for stdin.")
@click.option("--path", default="/", show_default=True, help="Path and query.")
@click.option("-X", "--method", default="POST", show_default=True, help="HTTP method.")
@click.option("-H", "--header", "headers", multiple=True, help="`Name: value`; may be repeated.")
@click.option("-i", "--include", is_flag=True, help="Show status and headers before the body.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the platform's data [$JANGADA_HOME].")
def run(
    name: str, data: str, path: str, method: str, headers: tuple[str, ...], include: bool, home: Path | None
) -> None:
    """
    Run the function NAME of stack.yml (or of a folder with a handler.py) once and print its answer.

    Exit code 0 for an answer below 400, 4 or 5 for the class of another one.
    """
    environ = dict(os.environ) | ({"JANGADA_HOME": str(home)} if home is not None else {})
    settings = Settings.from_env(environ)
    folder, template, own = _find(name, environ)
    body = _body(data)
    head = {
        "method": method.upper(),
        "path": path if path.startswith("/") else f"/{path}",
        "headers": _headers(headers, body),
    }
    done = subprocess.run(
        [sys.executable, "-m", "jangada.local.function_once", str(folder), str(template)],
        input=json.dumps(head).encode() + b"\n" + body,
        stdout=subprocess.PIPE,
        env=environ | _environment(home_of(settings)) | own,
        check=False,
    )
    first, newline, answer = done.stdout.partition(b"\n")
    if not newline:
        raise click.ClickException(f"{name} gave no answer (exit code {done.returncode})")
    _show(json.loads(first), answer, include=include)


def _find(name: str, environ: dict[str, str]) -> tuple[Path, Path, dict[str, str]]:
    """Handler folder, template folder and the function's own environment."""
    root = find_root(Path.cwd())
    stack = load_stack(root / "stack.yml", environ)
    given = Path(name)
    found = stack.functions.get(name)
    if found is None and (given / "handler.py").is_file():
        found = StackFunction(given.resolve().name, _DEFAULT_LANG, str(given.resolve()), "")
    if found is None:
        there = ", ".join(sorted(stack.functions)) or "none"
        raise ConfigurationError(
            f"no function {name} in {stack.path} and no {given / 'handler.py'}; there are: {there}"
        )
    folder, template = root / found.handler, root / "template" / found.lang
    if not (template / "loading.py").is_file():
        raise ConfigurationError(
            f"the template {found.lang} cannot run a function by itself (no {template}/loading.py)"
        )
    names = {"OPENFAAS_NAME": found.name, "OPENFAAS_NAMESPACE": found.namespace}
    return folder, template, names | dict(found.environment)


def _environment(home: Home) -> dict[str, str]:
    """The stores of the embedded platform, while it runs: a function that asks them then gets an answer."""
    if not is_running(home):
        return {}
    try:
        ports = json.loads((home.run_dir / "ports.json").read_text(encoding="utf-8"))
        password = (home.secrets_dir / "redis-password").read_text(encoding="utf-8").strip()
        return {
            "JANGADA_REDIS_URL": f"redis://:{password}@127.0.0.1:{ports['redis']}/0",
            "JANGADA_MONGO_URL": f"mongodb://127.0.0.1:{ports['mongo']}",
            "JANGADA_SECRETS_DIR": str(home.secrets_dir),
            "JANGADA_ARTIFACTS": f"folder:{home.artifacts_dir}",
        }
    except (OSError, ValueError, KeyError):
        return {}


def _body(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {data[1:]}: {error.strerror}") from error


def _headers(given: tuple[str, ...], body: bytes) -> list[tuple[str, str]]:
    headers = []
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigurationError(f"--header {line!r}: expected `Name: value`")
        headers.append((name.strip(), value.strip()))
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json" if _is_json(body) else "text/plain"))
    return headers


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _show(head: dict[str, Any], body: bytes, *, include: bool) -> None:
    status = head["status"]
    if include:
        click.echo(f"HTTP/1.1 {status}")
        for name, value in head["headers"]:
            click.echo(f"{name}: {value}")
        click.echo()
    elif status >= 400:
        click.echo(f"status {status}", err=True)
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    if body and not body.endswith(b"\n") and sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
    raise click.exceptions.Exit(_EXIT_BY_CLASS.get(status // 100, 0))
