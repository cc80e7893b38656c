"""
What a hop costs: one function that takes 5 ms, called directly, through our gateway, and through nginx.

    python -m benchmarks.gateway.overhead [--seconds 2] [--rounds 7] [--streams 1000] [--out benchmarks/results]

The three ways take turns in short rounds of one run, so that whatever else the machine
does meets them alike; figures are medians of the rounds. 16 connections give the
throughput, one connection the added time, and the processor time that the hop, the
function and the load generator spent on a request shows who is the bound: on a machine
of two cores all of them share these. Then event streams are held open, which shows the
memory of each, and a function that has no replica is called, which shows the cold
start. Writes ``gateway_overhead.json`` and ``gateway_overhead.png``. Without nginx on
the machine that way is left out. Beside other work `chrt -r 1 python -m …` gives all
parts alike, generator, hop and function, the processors first.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, cast

import psutil
import uvloop

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
        bench = next(row for row in rows if row["part"].startswith("function:bench"))
        self.function_port = bench["port"]
        self.function = psutil.Process(bench["pid"])
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

    def hop(self, name: str) -> list[psutil.Process]:
        """The processes that are between client and function on that way."""
        if name == "gateway":
            return [self.gateway]
        if name == "nginx" and self.nginx is not None:
            master = psutil.Process(self.nginx.pid)
            return [master, *master.children()]
        return []

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


class _Caller(asyncio.Protocol):
    """One connection of the load generator: the next request when the answer is whole. As little as can be done."""

    def __init__(self, request: bytes, took: list[float], end: float, over: asyncio.Future[None]) -> None:
        self._request = request
        self._took = took
        self._end = end
        self._over = over
        self._received = b""
        self._began = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        if b" 200 " not in head[:14]:
            self._stop(SystemExit(head.decode()))
            return
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self._took.append(time.perf_counter() - self._began)
        self._received = b""
        if time.perf_counter() < self._end:
            self._ask()
        else:
            self._stop(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(ConnectionError(f"the connection ended: {exc}"))

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def _stop(self, why: BaseException | None) -> None:
        if why is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(RuntimeError(str(why)))
        self._transport.close()


_LENGTH = re.compile(rb"(?i)content-length: *([0-9]+)")


async def load(port: int, path: str, connections: int, seconds: float) -> list[float]:
    """Seconds that each of the answered requests took."""
    request = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    took: list[float] = []
    end = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    over = [loop.create_future() for _ in range(connections)]
    for one in over:
        await loop.create_connection(lambda one=one: _Caller(request, took, end, one), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*over)
    return took


def _cpu_s(processes: list[psutil.Process]) -> float:
    """Processor time of *processes* so far."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def turn(stage: Stage, name: str, seconds: float) -> dict[str, float]:
    """One way, measured once."""
    port, path = stage.ways()[name]
    parts = {"hop": stage.hop(name), "function": [stage.function], "generator": [psutil.Process()]}
    before = {part: _cpu_s(processes) for part, processes in parts.items()}
    answered = len(uvloop.run(load(port, path, CONNECTIONS, seconds)))
    spent = {part: (_cpu_s(processes) - before[part]) / answered * 1000 for part, processes in parts.items()}
    alone = statistics.median(uvloop.run(load(port, path, 1, seconds / 2))) * 1000
    return {"rate": answered / seconds, "p50_ms": alone} | {f"{part}_cpu_ms": value for part, value in spent.items()}


def throughput(stage: Stage, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Each way against the direct one of the same round: the median of the rounds."""
    names = list(stage.ways())
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        # Another one begins each time: nobody always comes after the same neighbour.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(turn(stage, name, seconds))

    def median(name: str, key: str) -> float:
        return statistics.median(one[key] for one in found[name])

    def against(name: str, key: str) -> list[tuple[float, float]]:
        return [(one[key], direct[key]) for one, direct in zip(found[name], found["direct"], strict=True)]

    return {
        name: {
            "requests_per_s": round(median(name, "rate"), 1),
            "share_of_direct": round(statistics.median(a / b for a, b in against(name, "rate")), 3),
            "p50_one_connection_ms": round(median(name, "p50_ms"), 3),
            "added_p50_ms": round(statistics.median(a - b for a, b in against(name, "p50_ms")), 3),
            "hop_cpu_ms": round(median(name, "hop_cpu_ms"), 3),
            "function_cpu_ms": round(median(name, "function_cpu_ms"), 3),
            "generator_cpu_ms": round(median(name, "generator_cpu_ms"), 3),
        }
        for name in names
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
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft < hard else soft, hard))
    load_before = [round(one, 1) for one in os.getloadavg()]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            uvloop.run(load(stage.port, "/function/bench/x", CONNECTIONS, 1.0))
            ways = throughput(stage, options.rounds, options.seconds)
            cold = cold_start(stage, 5)
            open_streams = asyncio.run(streams(stage, options.streams))
        finally:
            stage.close()
    result = {
        "load_after": [round(one, 1) for one in os.getloadavg()],
        "cores": os.cpu_count(),
        "load_before": load_before,
        "is_real_time": os.sched_getscheduler(0) in {os.SCHED_RR, os.SCHED_FIFO},
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
