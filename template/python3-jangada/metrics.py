"""Counters of the process in Prometheus' text format, on a port of their own."""

from __future__ import annotations

import threading
from bisect import bisect_left
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Requests by method and code, their durations, and how many are in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, int], int] = {}
        self._buckets: dict[tuple[str, int], list[int]] = {}
        self._seconds: dict[tuple[str, int], float] = {}
        self.in_flight = 0

    def observe(self, method: str, code: int, seconds: float) -> None:
        """Count one finished request."""
        # Anyone can invent methods; labels are bounded.
        key = (method.lower() if method in _METHODS else "other", code)
        place = bisect_left(BUCKETS_S, seconds)
        with self._lock:
            if key not in self._totals:
                self._totals[key] = 0
                self._buckets[key] = [0] * (len(BUCKETS_S) + 1)
                self._seconds[key] = 0.0
            self._totals[key] += 1
            self._buckets[key][place] += 1
            self._seconds[key] += seconds

    def text(self) -> str:
        """The exposition (text format 0.0.4)."""
        lines = [
            "# HELP http_requests_in_flight Requests being handled.",
            "# TYPE http_requests_in_flight gauge",
            f"http_requests_in_flight {self.in_flight}",
            "# HELP http_requests_total Requests handled.",
            "# TYPE http_requests_total counter",
        ]
        with self._lock:
            totals = sorted(self._totals.items())
            buckets = {key: list(counts) for key, counts in self._buckets.items()}
            seconds = dict(self._seconds)
        lines += [f'http_requests_total{{code="{code}",method="{method}"}} {n}' for (method, code), n in totals]
        lines += [
            "# HELP http_request_duration_seconds Time from the request's last byte to the answer's.",
            "# TYPE http_request_duration_seconds histogram",
        ]
        name = "http_request_duration_seconds"
        for key, total in totals:
            method, code = key
            labels = f'code="{code}",method="{method}"'
            running = 0
            for bound, count in zip(BUCKETS_S, buckets[key], strict=False):
                running += count
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {running}')
            lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {total}')
            lines.append(f"{name}_sum{{{labels}}} {seconds[key]:.6f}")
            lines.append(f"{name}_count{{{labels}}} {total}")
        return "\n".join(lines) + "\n"


def serve_metrics(metrics: Metrics, host: str, port: int) -> ThreadingHTTPServer:
    """Answer ``GET /metrics`` on *port*, in a thread of its own, until the returned server is shut down."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            is_metrics = self.path.partition("?")[0] == "/metrics"
            body = metrics.text().encode() if is_metrics else b"not found\n"
            self.send_response(200 if is_metrics else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
