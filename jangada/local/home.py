"""The folder that the embedded platform keeps everything in, and the ports it remembers there."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jangada.errors import ConfigurationError
from jangada.gateway.process import free_port


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under ``$JANGADA_HOME``; `make` creates the folders."""

    path: Path

    @property
    def connection_file(self) -> Path:
        """``url``, ``api_key`` and ``tenant`` for clients, mode 0600."""
        return self.path / "connection.json"

    @property
    def redis_dir(self) -> Path:
        """Redis' append-only file and configuration."""
        return self.path / "redis"

    @property
    def mongo_dir(self) -> Path:
        """The store's database files."""
        return self.path / "mongo"

    @property
    def artifacts_dir(self) -> Path:
        """The bytes of files."""
        return self.path / "artifacts"

    @property
    def secrets_dir(self) -> Path:
        """Secrets as files, one each."""
        return self.path / "secrets"

    @property
    def logs_dir(self) -> Path:
        """One log per part."""
        return self.path / "logs"

    @property
    def run_dir(self) -> Path:
        """What is only true while the platform runs."""
        return self.path / "run"

    @property
    def state_file(self) -> Path:
        """What the supervisor says about itself and its parts."""
        return self.run_dir / "state.json"

    @property
    def targets_file(self) -> Path:
        """Where Prometheus may read which metrics there are."""
        return self.run_dir / "prometheus-targets.json"

    @property
    def functions_file(self) -> Path:
        """What the gateway says about the functions' processes."""
        return self.run_dir / "functions.json"

    @property
    def lifeline(self) -> Path:
        """The pipe by which functions know that somebody looks after them: beside what the gateway says of them."""
        return self.run_dir / "lifeline"

    def log_file(self, part: str) -> Path:
        """The log of *part*; ``function:router`` lies in ``function-router.log``."""
        return self.logs_dir / f"{part.replace(':', '-')}.log"

    def make(self) -> None:
        """Create the folders, readable by their owner alone. Raises `ConfigurationError` when that is not allowed."""
        folders = (
            self.path, self.redis_dir, self.mongo_dir, self.artifacts_dir, self.secrets_dir, self.logs_dir, self.run_dir
        )  # fmt: skip
        try:
            for folder in folders:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot create {error.filename}: {error.strerror}") from error
        for folder in folders:
            if not os.access(folder, os.W_OK | os.X_OK):
                raise ConfigurationError(f"cannot write to {folder}: no permission")

    def secret(self, name: str) -> str:
        """The secret *name*; made at random the first time."""
        path = self.secrets_dir / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            value = secrets.token_urlsafe(32)
            write_private(path, value)
            return value

    def make_credentials(self) -> None:
        """The user and the password of the gateway's ``/system``; what lies there already stays."""
        if not (self.secrets_dir / "basic-auth-user").exists():
            write_private(self.secrets_dir / "basic-auth-user", "admin")
        self.secret("basic-auth-password")

    def ports(self, names: Sequence[str]) -> dict[str, int]:
        """
        A free loopback port for each of *names*: the same as last time where it is still free.

        Remembered so that a restart finds its servers where clients knew them.
        """
        path = self.run_dir / "ports.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        ports = {
            name: port if isinstance(port := known.get(name), int) and is_free("127.0.0.1", port) else free_port()
            for name in names
        }
        write_private(path, json.dumps(ports))
        return ports


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on *port* now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def write_private(path: Path, text: str) -> None:
    """Replace *path* by *text* in one step, mode 0600 from its first byte on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
