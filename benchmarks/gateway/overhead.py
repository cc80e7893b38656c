"""
What a hop costs: one function that takes 5 ms, called directly, through our gateway, and through nginx.

    python -m benchmarks.gateway.overhead [--seconds 4] [--rounds 3] [--streams 1000] [--out benchmarks/results]

The three ways take turns in one run, so that whatever else the machine does meets them
alike. 16 connections give the throughput, one connection the added time. Then event
streams are held open, which shows the memory of each, and a function that has no
replica is called, which shows the cold start. Writes ``gateway_overhead.json`` and
``gateway_overhead.png``. Without nginx on the machine that way is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.servers import free_port, until

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 16
BODY = b'{"number": 1}'
# Async, so that 16 calls side by side are limited by their 5 ms and not by the function's threads.
FUNCTION = """
import asyncio, sys
from aiohttp import web

async def handle(request):
    await request.read()
    await asyncio.sleep(0.005)
    return web.Response(body=b'{"ok": true}', content_type="application/json")

async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: 1\\n\\n")
    await asyncio.sleep(3600)
    return response

async def ready(request):
    return web.Response()

app = web.Application()
app.router.add_get("/_/ready", ready)
app.router.add_get("/_/health", ready)
app.router.add_get("/events", events)
app.router.add_route("*", "/{tail:.*}", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[sys.argv.index("--port") + 1]), print=None)
"""
HANDLER = "def handle(event, context):\n    return 'here'\n"
STACK = """
version: 1.0
provider: {name: openfaas}
functions:
  bench:
    lang: bench
    handler: ./handler
    image: "bench:1"
    labels: {com.openfaas.scale.min: "1", com.openfaas.scale.max: "1"}
  cold:
    lang: python3-jangada
    handler: ./cold
    image: "cold:1"
    labels: {com.openfaas.scale.zero: "true", com.openfaas.scale.max: "1"}
"""
NGINX = """
worker_processes 1;
daemon off;
error_log {folder}/error.log crit;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream function {{ server 127.0.0.1:{function}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location /function/bench/ {{
      proxy_pass http://function/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
    }}
  }}
}}
"""


class Stage:
    """The gateway with its functions, and nginx beside it in front of the same function."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "handler").mkdir()
        (folder / "handler" / "handler.py").write_text("")
        (folder / "cold").mkdir()
        (folder / "cold" / "handler.py").write_text(HANDLER)
        (folder / "template" / "bench").mkdir(parents=True)
        (folder / "template" / "bench" / "index.py").write_text(FUNCTION)
        (folder / "template" / "python3-jangada").symlink_to(ROOT / "template" / "python3-jangada")
        (folder / "stack.yml").write_text(STACK)
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "basic-auth-user").write_text("admin")
        (secrets / "basic-auth-password").write_text("bench")
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        self.nginx: subprocess.Popen[bytes] | None = None
        self.nginx_port = free_port()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jangada.gateway", "--stack", str(folder / "stack.yml")),
                *("--port", str(self.port), "--metrics-port", str(free_port()), "--state", "memory"),
                *("--log-dir", str(folder / "logs"), "--state-file", str(folder / "functions.json")),
            ],
            cwd=ROOT,
            env=clean | {"JANGADA_LOG_LEVEL": "error", "JANGADA_SECRETS_DIR": str(secrets)},
        )
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        until(self._is_ready, within_s=30, every_s=0.05)
        rows = json.loads((self._folder / "functions.json").read_text())
        self.function_port = next(row["port"] for row in rows if row["part"].startswith("function:bench"))
        self.gateway = psutil.Process(self.process.pid)
        self.nginx = self._nginx()

    def _is_ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2).close()
        except OSError:
            return False
        return True

    def _nginx(self) -> subprocess.Popen[bytes] | None:
        program = shutil.which("nginx")
        if program is None:
            return None
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self._folder, function=self.function_port, port=self.nginx_port))
        started = subprocess.Popen([program, "-c", str(conf), "-p", str(self._folder)])
        until(lambda: _answers(self.nginx_port), within_s=10, every_s=0.05)
        return started

    def ways(self) -> dict[str, tuple[int, str]]:
        """Name → port and path."""
        found = {"direct": (self.function_port, "/x"), "gateway": (self.port, "/function/bench/x")}
        if self.nginx is not None:
            found["nginx"] = (self.nginx_port, "/function/bench/x")
        return found

    def system(self, method: str, path: str, body: Any) -> int:
        """Ask the control API; the status."""
        token = base64.b64encode(b"admin:bench").decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)

    def close(self) -> None:
        """Stop all."""
        for process in (self.nginx, self.process):
            if process is not None:
                process.terminate()
                process.wait(30)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/function/bench/x", timeout=2).close()
    except OSError:
        return False
    return True


async def load(port: int, path: str, connections: int, seconds: float) -> list[float]:
    """Seconds that each of the answered requests took."""
    request = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head[:14]:
                raise SystemExit(head.decode())
            if b"chunked" in head:
                await reader.readuntil(b"0\r\n\r\n")
            else:
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return took


def throughput(stage: Stage, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Requests/s with 16 connections and p50 with one, each the median of the rounds."""
    many: dict[str, list[float]] = {}
    single: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (port, path) in stage.ways().items():
            many.setdefault(name, []).append(len(asyncio.run(load(port, path, CONNECTIONS, seconds))) / seconds)
            single.setdefault(name, []).append(statistics.median(asyncio.run(load(port, path, 1, seconds / 2))) * 1000)
    rates = {name: statistics.median(found) for name, found in many.items()}
    times = {name: statistics.median(found) for name, found in single.items()}
    return {
        name: {
            "requests_per_s": round(rates[name], 1),
            "share_of_direct": round(rates[name] / rates["direct"], 3),
            "p50_one_connection_ms": round(times[name], 3),
            "added_p50_ms": round(times[name] - times["direct"], 3),
        }
        for name in rates
    }


async def streams(stage: Stage, count: int) -> dict[str, float]:
    """Memory of the gateway for each of *count* event streams that are open at once."""
    request = b"GET /function/bench/events HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\n\r\n"
    before = stage.gateway.memory_info().rss
    writers = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        writer.write(request)
        await reader.readuntil(b"data: 1\n\n")
        writers.append(writer)
    grown = stage.gateway.memory_info().rss - before
    for writer in writers:
        writer.close()
    return {"streams": count, "kib_per_stream": round(grown / count / 1024, 1)}


def cold_start(stage: Stage, rounds: int) -> dict[str, float]:
    """Seconds from the request to the answer of a function that has no replica; processes only."""
    took = []
    for _ in range(rounds):
        stage.system("POST", "/system/scale-function/cold", {"serviceName": "cold", "replicas": 0})
        until(lambda: _replicas(stage, "cold") == 0, within_s=30, every_s=0.05)
        began = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/function/cold", timeout=30) as answer:
            answer.read()
        took.append(time.perf_counter() - began)
    return {"median_s": round(statistics.median(took), 3), "most_s": round(max(took), 3), "rounds": rounds}


def _replicas(stage: Stage, name: str) -> int:
    rows = json.loads((stage._folder / "functions.json").read_text())
    return sum(1 for row in rows if row["part"].startswith(f"function:{name}") and row["pid"] is not None)


def plot(result: dict[str, Any], path: Path) -> None:
    """Share of the direct rate, and the time added, by way."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    ways = [name for name in ("direct", "nginx", "gateway") if name in result["ways"]]
    colours = {"direct": "#888888", "nginx": "#4477aa", "gateway": "#228833"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    shares = [result["ways"][name]["share_of_direct"] * 100 for name in ways]
    left.barh(ways, shares, color=[colours[name] for name in ways])
    left.axvline(90, color="black", linewidth=1)
    left.set_title(f"requests/s, {CONNECTIONS} connections, % of direct")
    for position, share in enumerate(shares):
        left.text(share - 2, position, f"{share:.0f} %", va="center", ha="right", color="white")
    added = [result["ways"][name]["added_p50_ms"] for name in ways[1:]]
    right.barh(ways[1:], added, color=[colours[name] for name in ways[1:]])
    right.axvline(0.5, color="black", linewidth=1)
    right.set_title("added p50, one connection, ms")
    for position, value in enumerate(added):
        right.text(value, position, f" {value:.2f}", va="center")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft < hard else soft, hard))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            asyncio.run(load(stage.port, "/function/bench/x", CONNECTIONS, 1.0))
            ways = throughput(stage, options.rounds, options.seconds)
            cold = cold_start(stage, 5)
            open_streams = asyncio.run(streams(stage, options.streams))
        finally:
            stage.close()
    result = {
        "cores": os.cpu_count(),
        "load_before": [round(one, 1) for one in os.getloadavg()],
        "connections": CONNECTIONS,
        "function_ms": 5,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "ways": ways,
        "streams": open_streams,
        "cold_start_process": cold,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gateway_overhead.json").write_text(json.dumps(result, indent=2) + "\n")
    plot(result, options.out / "gateway_overhead.png")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
