"""Debian's docker-registry on loopback, and what skopeo says of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.requires import requires_program
from tests.servers import free_port, until


@dataclass(frozen=True)
class Registry:
    """A registry that anybody on this machine may push to."""

    port: int
    folder: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def image(self, reference: str) -> dict[str, Any]:
        """Digest, labels and layers of ``namespace/name:tag``."""
        command = ["skopeo", "inspect", "--no-tags", "--tls-verify=false", f"docker://{self.host}/{reference}"]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout)

    def tags(self, repository: str) -> set[str]:
        answer = requests.get(f"http://{self.host}/v2/{repository}/tags/list", timeout=10)
        return set(answer.json()["tags"]) if answer.status_code == 200 else set()

    def files(self) -> dict[str, int]:
        """Everything it has stored, and when: unchanged means that nothing was pushed."""
        return {str(path): path.stat().st_mtime_ns for path in self.folder.rglob("*") if path.is_file()}


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    program = requires_program("docker-registry")
    requires_program("skopeo")
    made = Registry(free_port(), folder / "registry")
    made.folder.mkdir()
    config = folder / "registry.json"
    config.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(made.folder)}},
                "http": {"addr": made.host},
            }
        )
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        until(lambda: _answers(made), within_s=20)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _answers(made: Registry) -> bool:
    try:
        return requests.get(f"http://{made.host}/v2/", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False
