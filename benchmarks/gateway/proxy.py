"""
What the gateway costs: a small POST to a function, directly and through the gateway.

    python -m benchmarks.gateway.proxy [--seconds 4] [--runs 3] [--clients 8] [--out benchmarks/results/gateway.json]

The function is a WSGI application of two lines on the template (waitress); the two
ways take turns in one run. CPU is what the processes used, so that a busy machine
changes the rates but hardly the milliseconds per request. Event streams and large
bodies are measured too: memory of the gateway while 100 MB go up and come down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
BODY = b'{"algorithm": "noop", "input": {"number": 1}, "metadata": {"note": "' + b"x" * 120 + b'"}}'
LARGE_BYTES = 100 * 1024 * 1024

HANDLER = """
def app(environ, start_response):
    taken = 0
    while chunk := environ["wsgi.input"].read(65536):
        taken += len(chunk)
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"x" * 65536 for _ in range(1600))
    body = b'{"taken": %d}' % taken
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
STACK = """
version: 1.0
provider: {name: openfaas}
functions:
  bench: {lang: python3-jangada, handler: ./functions/bench, image: "bench:1", annotations: {jangada.io/routes: jobs}}
"""


class Stage:
    """A gateway with one function, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        handler = folder / "functions" / "bench"
        handler.mkdir(parents=True)
        (handler / "handler.py").write_text(HANDLER)
        (folder / "stack.yml").write_text(STACK)
        (folder / "template").symlink_to(ROOT / "template")
        self._state = folder / "functions.json"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "jangada.gateway", "--stack", str(folder / "stack.yml"), "--port", str(self.port),
                "--log-dir", str(folder / "logs"), "--state-file", str(self._state),
            ],
            env=clean | {"JANGADA_LOG_LEVEL": "error", "JANGADA_MAX_BODY_BYTES": str(2 * LARGE_BYTES)},
        )  # fmt: skip
        self._wait()
        row = json.loads(self._state.read_text())[0]
        self.function_port = row["port"]
        self.gateway = psutil.Process(self.process.pid)
        self.function = psutil.Process(row["pid"])

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Stop both processes."""
        self.process.terminate()
        self.process.wait(30)


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of *process* so far."""
    times = process.cpu_times()
    return times.user + times.system


async def load(port: int, path: str, clients: int, seconds: float) -> list[float]:
    """Seconds that each of the answered requests took."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer key\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head[:14]:
                raise SystemExit(head.decode())
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return took


def small_requests(stage: Stage, clients: int, seconds: float) -> dict[str, dict[str, float]]:
    """One turn each way."""
    results = {}
    for name, port, path in (
        ("direct", stage.function_port, "/v1/jobs"),
        ("gateway", stage.port, "/v1/jobs"),
        ("gateway, /function/", stage.port, "/function/bench/v1/jobs"),
    ):
        before = cpu_s(stage.gateway), cpu_s(stage.function)
        took = asyncio.run(load(port, path, clients, seconds))
        after = cpu_s(stage.gateway), cpu_s(stage.function)
        ranked = sorted(took)
        results[name] = {
            "requests_per_s": len(took) / seconds,
            "p50_ms": ranked[len(ranked) // 2] * 1000,
            "p99_ms": ranked[len(ranked) * 99 // 100] * 1000,
            "gateway_cpu_ms": (after[0] - before[0]) / len(took) * 1000,
            "function_cpu_ms": (after[1] - before[1]) / len(took) * 1000,
        }
    return results


def large_bodies(stage: Stage) -> dict[str, float]:
    """Memory of the gateway before, and the most it had while 100 MB went up and came down."""
    before = most = stage.gateway.memory_info().rss
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", stage.port)) as up:
        up.sendall(f"POST /function/bench/ HTTP/1.1\r\nHost: b\r\nContent-Length: {LARGE_BYTES}\r\n\r\n".encode())
        block = b"x" * 1048576
        for _ in range(LARGE_BYTES // len(block)):
            up.sendall(block)
            most = max(most, stage.gateway.memory_info().rss)
        if b" 200 " not in up.recv(4096):
            raise SystemExit("the large upload was refused")
    up_s = time.perf_counter() - began
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/function/bench/large") as answer:
        taken = 0
        while chunk := answer.read(1048576):
            taken += len(chunk)
            most = max(most, stage.gateway.memory_info().rss)
    down_s = time.perf_counter() - began
    return {
        "up_mib_per_s": LARGE_BYTES / 2**20 / up_s,
        "down_mib_per_s": taken / 2**20 / down_s,
        "gateway_rss_mib": before / 2**20,
        "gateway_rss_growth_mib": (most - before) / 2**20,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gateway.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            asyncio.run(load(stage.port, "/v1/jobs", options.clients, 1.0))
            runs = [small_requests(stage, options.clients, options.seconds) for _ in range(options.runs)]
            large = large_bodies(stage)
        finally:
            stage.close()
    small: dict[str, Any] = {
        way: {key: round(statistics.median(run[way][key] for run in runs), 3) for key in figures}
        for way, figures in runs[0].items()
    }
    result = {
        "clients": options.clients,
        "runs": options.runs,
        "seconds": options.seconds,
        "small": small,
        "large": {key: round(value, 1) for key, value in large.items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
