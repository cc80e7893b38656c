"""
`jangada`: the group of all commands.

Commands are imported when they are named, so that ``--help`` is quick and a client
without the platform's libraries still has the client's commands.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import click

from jangada.errors import ConfigurationError, JangadaError


@dataclass(frozen=True, slots=True)
class _Lazy:
    """Where a command lies and the line that ``--help`` shows for it."""

    module: str
    attribute: str
    about: str


_COMMANDS: dict[str, _Lazy] = {
    "up": _Lazy("platform", "up", "Start the embedded platform."),
    "down": _Lazy("platform", "down", "Stop it."),
    "status": _Lazy("platform", "status", "Show its parts."),
    "logs": _Lazy("platform", "logs", "Show the log of one part, or of all."),
    "function": _Lazy("function", "function", "Run one function by itself; deploy functions to a gateway."),
    "demo": _Lazy("demo", "demo", "Send scanned documents through it and show what was found."),
    "submit": _Lazy("jobs", "submit", "Submit a job."),
    "jobs": _Lazy("jobs", "jobs", "List, get, cancel, watch jobs; show their logs."),
    "algorithms": _Lazy("jobs", "algorithms", "Show what the platform can run."),
    "files": _Lazy("jobs", "files", "Upload, describe, download files."),
    "node": _Lazy("node", "node", "Run this machine as a node, here or anywhere; tokens, list, revoke."),
    "deployment": _Lazy("deployment", "deployment", "Wish for capacity: list, show, apply, roll back, delete."),
    "usage": _Lazy("deployment_usage", "usage", "Show what was used, by day, tenant and deployment."),
    "queue": _Lazy("queues", "queue", "Look after queues: stats, peek, pause, drain, resume, requeue."),
    "backup": _Lazy("backup", "backup", "Write, verify and restore backups of the store."),
    "whoami": _Lazy("jobs", "whoami", "Show which tenant a key belongs to."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click gives it
        lazy = _COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        try:
            module = importlib.import_module(f"jangada.cli.{lazy.module}")
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"`jangada {cmd_name}` needs {error.name}, which is not installed (pip install 'jangada[local]')"
            ) from error
        command: click.Command = getattr(module, lazy.attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Its output's reader may have seen enough (`jangada logs | head`): that is no failure."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Here, as click would make it exit code 1; and nothing may be left to flush when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click gives it
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.about) for name, lazy in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("jangada"), message="jangada %(version)s")
def jangada() -> None:
    """Jangada: a self-hosted platform for AI functions."""


def main() -> None:
    """Exit code 0 on success, 1 on failure, 2 on wrong usage or configuration; never a traceback."""
    try:
        code = jangada.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\n")
        code = 130
    except Exception as error:  # noqa: BLE001 - the edge of the program: people get one line
        code = _tell(error)
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: Exception) -> int:
    if os.environ.get("JANGADA_LOG_LEVEL") == "debug":
        import traceback

        traceback.print_exception(error)
    known = isinstance(error, JangadaError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    hint = "" if known else " (JANGADA_LOG_LEVEL=debug shows where)"
    sys.stderr.write(f"jangada: {text}{hint}\n")
    return 2 if isinstance(error, ConfigurationError) else 1


if __name__ == "__main__":
    main()
