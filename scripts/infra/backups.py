"""Where backups lie, and which of them is meant."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.infra.servers import Servers

_NAME = "jangada-%Y%m%dT%H%M%SZ"


class NoBackupError(Exception):
    """Raised when there is none that is meant; its text says what there is."""


@dataclass(frozen=True)
class Backup:
    """One that was verified when it was written."""

    name: str
    sha256: str
    size: int
    documents: int

    @property
    def began_at(self) -> datetime:
        """What was accepted before is in it."""
        return datetime.strptime(self.name, _NAME).replace(tzinfo=UTC)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Backup:
        """As ``write_backup.sh`` writes them beside it."""
        return cls(facts["name"], facts["sha256"], int(facts["bytes"]), int(facts["manifest"]["documents"]))


class LocalBackups:
    """In a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Backup]:
        """Oldest first."""
        return _parse([file.read_text() for file in self._folder.glob("jangada-*.json")])

    def reading(self, backup: Backup) -> list[str]:
        """What to start here for its bytes on standard output."""
        return ["cat", str(self._folder / f"{backup.name}.age")]


class RemoteBackups:
    """On the server with the role backup."""

    def __init__(self, servers: Servers, host: str, folder: str) -> None:
        self._servers = servers
        self._host = host
        self._folder = folder

    def all(self) -> list[Backup]:
        """Oldest first."""
        done = self._servers.run(self._host, f"cat {shlex.quote(self._folder)}/jangada-*.json")
        return _parse(done.stdout.splitlines())

    def reading(self, backup: Backup) -> list[str]:
        """What to start here for its bytes on standard output."""
        return self._servers.line(self._host, f"cat {shlex.quote(f'{self._folder}/{backup.name}.age')}")


def choose(backups: Sequence[Backup], at: str) -> Backup:
    """The newest that was begun at or before *at* (ISO 8601, UTC unless it says otherwise, or ``latest``)."""
    if not backups:
        raise NoBackupError("there is no backup there")
    if at == "latest":
        return backups[-1]
    try:
        wanted = datetime.fromisoformat(at)
    except ValueError as error:
        raise NoBackupError(f"--at {at}: expected latest, or an instant such as 2026-11-21T02:30:00Z") from error
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
    before = [one for one in backups if one.began_at <= wanted]
    if not before:
        raise NoBackupError(f"no backup is as old as {at}; the oldest is {backups[0].began_at.isoformat()}")
    return before[-1]


def _parse(texts: Sequence[str]) -> list[Backup]:
    return sorted((Backup.from_facts(json.loads(text)) for text in texts if text.strip()), key=lambda one: one.name)


def opens(identity: Path) -> str:
    """The public key of the private one in *identity*. Raises `NoBackupError` when it is none."""
    done = subprocess.run(["age-keygen", "-y", str(identity)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoBackupError(f"--identity {identity}: no private key of age, as age-keygen writes one")
    return done.stdout.split()[0]
