"""A private redis-server for each measurement: appendonly, synced every second, no snapshots."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from benchmarks.queue import priority
from tests.servers import free_port, redis_binary

START_S = 20.0


@functools.cache
def server_version() -> str:
    """The version of the redis-server that is measured with, as ``7.0.15``."""
    said = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=([0-9.]+)", said)
    return found[1] if found else "unknown"


class PrivateRedis:
    """Runs from `start` to `close`; *loaded_from* is an RDB file to begin with, *core* the core it is kept on."""

    def __init__(self, *, loaded_from: Path | None = None, core: int | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = Path(tempfile.mkdtemp(prefix="jangada-bench-redis-"))
        if loaded_from is not None:
            shutil.copy(loaded_from, self.folder / "dump.rdb")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        # A server told to use an append-only file does not read the snapshot: that is switched on after the load.
        options += [
            "--appendfsync",
            "everysec",
            "--appendonly",
            "no" if loaded_from else "yes",
            "--maxclients",
            "20000",
        ]
        self._log = self.folder / "log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen([redis_binary(), *options], stdout=output, start_new_session=True)
        priority.join(self._process.pid)
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self.client: Any = redis.Redis(port=self.port, protocol=2)
        try:
            self._await()
            if loaded_from is not None:
                self._append_from_now_on()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def info(self) -> dict[str, Any]:
        """What INFO says."""
        found: dict[str, Any] = self.client.info("all")
        return found

    def snapshot(self, to: Path) -> None:
        """Save everything it holds as the RDB file *to*."""
        self.client.save()
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "dump.rdb", to)

    def close(self) -> None:
        """End it and remove its files."""
        self.client.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PrivateRedis:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
                return
            except redis.RedisError:
                ended = self._process.poll()
                if ended is not None:
                    # It says why on its standard output: an RDB file of a newer server, a port that was just taken.
                    said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
                    raise RuntimeError(f"redis-server ended with {ended}: {' | '.join(said)}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _append_from_now_on(self) -> None:
        self.client.config_set("appendonly", "yes")
        while any(self.info()[name] for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled")):
            time.sleep(0.02)
