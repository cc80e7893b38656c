"""
Terraform as a child process: plans, applies and reads, by its JSON, never by what it prints for people.

Why not the package python-terraform: docs/decisions says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.infra.lock import Lock, read_lock

LEAST = (1, 11)
Event = Mapping[str, Any]


class TerraformError(Exception):
    """Raised when Terraform refuses or fails; its text is what Terraform said, the first error first."""


class Terraform:
    """
    One configuration folder.

    *var_files* are given to every command, since a saved plan holds no ephemeral
    variable. *state* is a local state file, for tests and labs; by default the
    backend decides.
    """

    def __init__(
        self,
        folder: Path,
        *,
        var_files: Sequence[Path] = (),
        state: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        program = shutil.which("terraform")
        if program is None:
            raise TerraformError("no terraform on PATH; version 1.11 or newer is needed")
        self._program = program
        self.folder = folder
        self._variables = [f"-var-file={file.resolve()}" for file in var_files]
        self._state = [f"-state={state.resolve()}"] if state else []
        self._environ = _environment(os.environ if environ is None else environ)

    def check_version(self) -> None:
        """Raises `TerraformError` below `LEAST`."""
        said = json.loads(self._read("version", "-json"))["terraform_version"]
        if tuple(int(word) for word in said.split("-")[0].split(".")[:2]) < LEAST:
            raise TerraformError(f"terraform {said} is too old; {LEAST[0]}.{LEAST[1]} or newer is needed")

    def init(self) -> None:
        """Safe to repeat. A file ``state.s3.tfbackend`` in the folder says where the state is."""
        backend = self.folder / "state.s3.tfbackend"
        more = [f"-backend-config={backend.name}"] if backend.is_file() else []
        self._read("init", "-input=false", "-no-color", *more)

    def plan(
        self,
        out: Path,
        *,
        replace: Iterable[str] = (),
        destroy: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> bool:
        """Write a plan to *out*, which is as secret as the state; whether it has anything to do."""
        arguments = ["plan", "-json", "-input=false", "-lock-timeout=5m", "-detailed-exitcode", f"-out={out}"]
        arguments += [f"-replace={address}" for address in replace]
        arguments += [f"-var={name}={value}" for name, value in (variables or {}).items()]
        arguments += ["-destroy"] if destroy else []
        code = self._stream([*arguments, *self._state, *self._variables], _ignore, (0, 2))
        return code == 2

    def show(self, plan: Path) -> dict[str, Any]:
        """A saved plan as JSON."""
        found: dict[str, Any] = json.loads(self._read("show", "-json", str(plan)))
        return found

    def apply(self, plan: Path, told: Callable[[Event], None]) -> None:
        """Do what *plan* says, and tell *told* of every event. Raises `TerraformError` when a step failed."""
        arguments = ["apply", "-json", "-input=false", "-lock-timeout=5m", *self._state, *self._variables, str(plan)]
        self._stream(arguments, told, (0,))

    def outputs(self) -> dict[str, Any]:
        """Name → value; empty before the first apply."""
        found = json.loads(self._read("output", "-json", *self._state))
        return {name: one["value"] for name, one in found.items()}

    def lock(self) -> Lock | None:
        """Who holds the state's lock; None when nobody does. Changes nothing."""
        try:
            self._read(
                "untaint", "-allow-missing", "-lock-timeout=0s", "-no-color", *self._state, "terraform_data.nobody"
            )
        except TerraformError as error:
            found = read_lock(str(error))
            if found is None:
                raise
            return found
        return None

    def unlock(self, lock: Lock) -> None:
        """Take *lock* away from whoever holds it."""
        self._read("force-unlock", "-force", "-no-color", lock.id)

    def _read(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, f"-chdir={self.folder}", *arguments],
            check=False,
            env=self._environ,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TerraformError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def _stream(self, arguments: Sequence[str], told: Callable[[Event], None], good: tuple[int, ...]) -> int:
        errors: list[str] = []
        with tempfile.TemporaryFile() as stderr:
            with subprocess.Popen(
                [self._program, f"-chdir={self.folder}", *arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process:
                for line in process.stdout or ():
                    event = _parse(line)
                    if event.get("@level") == "error":
                        errors.append(_said(event))
                    told(event)
            if process.returncode not in good:
                stderr.seek(0)
                raise TerraformError("\n".join(errors) or stderr.read().decode(errors="replace").strip())
        return process.returncode


def _ignore(_: Event) -> None:
    """Nobody watches a plan."""


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = dict(environ) | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    # It would warn in every command of a file that is not there.
    if found.get("TF_CLI_CONFIG_FILE") and not Path(found["TF_CLI_CONFIG_FILE"]).is_file():
        del found["TF_CLI_CONFIG_FILE"]
    return found


def _parse(line: str) -> Event:
    try:
        found = json.loads(line)
    except ValueError:
        return {"@message": line.rstrip(), "type": "text"}
    return found if isinstance(found, dict) else {"@message": line.rstrip(), "type": "text"}


def _said(event: Event) -> str:
    diagnostic = event.get("diagnostic") or {}
    words = [
        diagnostic.get("address", ""),
        diagnostic.get("summary", event.get("@message", "")),
        diagnostic.get("detail", ""),
    ]
    return "\n".join(word for word in words if word)
