"""
What the router itself costs: submits through waitress on services in memory, or with `--servers` on a real
Redis and MongoDB (those of the tests), without gateway and executor.

    python -m benchmarks.router.submit [--seconds 6] [--callers 16] [--key] [--servers]
    python -m benchmarks.router.submit --batch 4000

Prints one JSON line: requests (or items) per second, and the server's CPU per request.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from jangada.jobs.queue_memory import MemoryJobQueue

ROOT = Path(__file__).resolve().parents[2]
ITEM = {"algorithm": "echo", "input": {"text": "olá"}, "metadata": {"invoice": "A-17"}}


def serve(port: Any, stop: Any, result: Any, servers: tuple[str, str] | None) -> None:
    """The function as its template serves it."""
    sys.path[:0] = [str(ROOT), str(ROOT / "template" / "python3-jangada")]
    import dataclasses
    import socket

    from metrics import Metrics
    from serving import State, make_server, run

    from jangada.settings import Settings
    from jangada.wiring import Services
    from tests.contract.api.conftest import make_api

    settings = dataclasses.replace(
        Settings.from_env({}), secrets_dir=Path(tempfile.mkdtemp()), tenant_max_jobs=10**9, queue_max_jobs=10**9
    )
    if servers is None:
        api = make_api(Services.in_memory(settings))
        # It counts anew at each submit, and nobody takes jobs here: emptied, it stays out of the way.
        threading.Thread(target=empty, args=(api.services.queue,), daemon=True).start()
    else:
        redis_url, mongo_url = servers
        settings = dataclasses.replace(settings, redis_url=redis_url, mongo_url=mongo_url, allow_unsafe_redis=True)
        api = make_api(Services.from_settings(settings))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = make_server(
        api.app,
        State(Metrics(), 512),
        listener=listener,
        threads=settings.threads,
        max_body_bytes=settings.max_body_bytes,
        log_request=lambda *_: None,
    )
    began = time.process_time()
    port.put((listener.getsockname()[1], api.keys["acme"]))
    stopped = threading.Event()

    def wait() -> None:
        stop.wait()
        result.put(time.process_time() - began)
        stopped.set()
        server.pull_trigger()

    threading.Thread(target=wait, daemon=True).start()
    run(server, stopped)
    os._exit(0)


def empty(queue: MemoryJobQueue) -> None:
    """Forget what was queued, again and again."""
    while True:
        time.sleep(0.02)
        queue.wipe()


def call(port: int, key: str, until: float, with_key: bool, took: list[float]) -> None:
    """One caller, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps(ITEM)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    number = 0
    while time.monotonic() < until:
        if with_key:
            number += 1
            headers["Idempotency-Key"] = f"{threading.get_ident()}-{number}"
        began = time.monotonic()
        connection.request("POST", "/v1/jobs", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise SystemExit(f"answered {answer.status}")
        took.append(time.monotonic() - began)


def call_batch(port: int, key: str, items: int) -> float:
    """Seconds for one batch of *items*."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps([ITEM] * items)
    began = time.monotonic()
    connection.request("POST", "/v1/jobs/batch", body, headers)
    answer = connection.getresponse()
    if json.loads(answer.read())["accepted"] != items:
        raise SystemExit("not all were accepted")
    return time.monotonic() - began


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--key", action="store_true", help="send an Idempotency-Key")
    parser.add_argument("--servers", action="store_true", help="on a real Redis and MongoDB")
    parser.add_argument("--batch", type=int, help="items of one batch call, instead of submits")
    options = parser.parse_args()
    if options.servers:
        from tests import servers

        with servers.any_redis() as redis_url, servers.any_mongo() as mongo_url:
            measure(options, (redis_url, mongo_url))
    else:
        measure(options, None)


def measure(options: argparse.Namespace, servers: tuple[str, str] | None) -> None:
    """Start the function, call it, print what was seen."""
    context = multiprocessing.get_context("spawn")
    port_queue, stop, result = context.Queue(), context.Event(), context.Queue()
    server = context.Process(target=serve, args=(port_queue, stop, result, servers))
    server.start()
    port, key = port_queue.get(timeout=60)
    if options.batch:
        call_batch(port, key, 100)
        rates = [options.batch / call_batch(port, key, options.batch) for _ in range(5)]
        print(json.dumps({"items_per_s": round(statistics.median(rates)), "items": options.batch}))
    else:
        took: list[float] = []
        until = time.monotonic() + options.seconds
        callers = [
            threading.Thread(target=call, args=(port, key, until, options.key, took)) for _ in range(options.callers)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        stop.set()
        took.sort()
        figures = {
            "submits_per_s": round(len(took) / options.seconds),
            "server_cpu_ms": round(result.get(timeout=10) / len(took) * 1000, 3),
            "p50_ms": round(took[len(took) // 2] * 1000, 1),
            "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        }
        print(json.dumps(figures))
    stop.set()
    server.join(5)
    server.kill()


if __name__ == "__main__":
    main()
