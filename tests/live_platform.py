"""An embedded platform with toy algorithms, as `jangada up` makes it, for stories, the supervisor's tests and chaos."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from jangada.client import Client
from tests.servers import until

ROOT = Path(__file__).resolve().parents[1]
TOYS = ROOT / "tests" / "algorithms" / "toy"
# Outside of any one home, so that a run of many platforms installs each environment once.
ENVIRONMENTS = ROOT / ".jangada-test-envs"


@dataclass
class LivePlatform:
    """One home and the command line that works on it."""

    home: Path
    algorithms: Sequence[str] = ("echo",)
    port: int = 0
    settings: dict[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        return clean | {
            "JANGADA_HOME": str(self.home),
            "JANGADA_PORT": str(self.port),
            "JANGADA_ALGORITHMS_DIR": str(TOYS),
            "JANGADA_TEST_ENVS": str(ENVIRONMENTS),
            **self.settings,
        }

    def jangada(self, *arguments: str, timeout_s: float = 150.0) -> subprocess.CompletedProcess[str]:
        """Run the command line; never raises for its exit code."""
        return subprocess.run(
            [sys.executable, "-c", "from jangada.cli.main import main; main()", *arguments],
            env=self.environ(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """`jangada up --detach`; wait until the executors run too."""
        done = self.jangada("up", "--detach", "--algorithms", ",".join(self.algorithms))
        assert done.returncode == 0, done.stdout + done.stderr
        self.port = int(self.connection()["url"].rsplit(":", 1)[1])
        with self.client() as client:
            wanted = set(self.algorithms)
            until(lambda: wanted <= {algorithm.name for algorithm in client.algorithms()}, within_s=120, every_s=0.2)
        return done

    def down(self) -> None:
        done = self.jangada("down")
        assert done.returncode == 0, done.stdout + done.stderr

    def connection(self) -> dict[str, Any]:
        return json.loads((self.home / "connection.json").read_text())

    def client(self, **options: Any) -> Client:
        connection = self.connection()
        return Client(connection["url"], connection["api_key"], **options)

    def status(self) -> dict[str, Any]:
        return json.loads(self.jangada("status", "--json").stdout)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Part → its row, as the supervisor and the gateway wrote them last."""
        rows: list[dict[str, Any]] = []
        with contextlib.suppress(OSError, ValueError):
            rows += json.loads((self.home / "run" / "state.json").read_text())["parts"]
        with contextlib.suppress(OSError, ValueError):
            rows += json.loads((self.home / "run" / "functions.json").read_text())
        return {row["part"]: row for row in rows}

    def supervisor_pid(self) -> int:
        return int(json.loads((self.home / "run" / "state.json").read_text())["pid"])

    def pid(self, part: str) -> int | None:
        return self.rows().get(part, {}).get("pid")

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, however it was started."""
        mark = f"JANGADA_HOME={self.home}"
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environ = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if mark.encode() in environ and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self, part: str) -> bool:
        """kill -9; False when it is not running just now."""
        pid = self.pid(part)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def logs(self) -> str:
        """The end of every log: what a failing test shows."""
        return "\n".join(
            f"== {path.name}\n" + path.read_text(errors="replace")[-1500:]
            for path in sorted((self.home / "logs").glob("*.log"))
        )


@contextlib.contextmanager
def live_platform(home: Path, algorithms: Sequence[str] = ("echo",), **settings: str) -> Iterator[LivePlatform]:
    """A platform that is up, and is gone afterwards whatever happened."""
    platform = LivePlatform(home, algorithms, settings=settings)
    try:
        platform.up()
        yield platform
    finally:
        platform.jangada("down")
        for process in platform.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
