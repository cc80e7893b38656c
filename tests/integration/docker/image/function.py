"""A function for tests, of the standard library alone: tells how it was started, and misbehaves when told to."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SECRETS = Path("/var/openfaas/secrets")


def can_write(path: str) -> bool:
    try:
        Path(path).write_text("x", encoding="utf-8")
    except OSError:
        return False
    return True


def facts() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "env": dict(os.environ),
        "uid": os.getuid(),
        "capabilities": status["CapBnd"],
        "no_new_privileges": status["NoNewPrivs"],
        "secrets": {path.name: path.read_text() for path in SECRETS.iterdir() if path.is_file()}
        if SECRETS.is_dir()
        else {},
        "writes": {path: can_write(path) for path in ("/tmp/x", "/var/tmp/x", "/var/openfaas/secrets/x")},
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/exit":
            os._exit(int(query.get("status", "1")))
        if url.path == "/say":
            print(query["text"], flush=True)
        time.sleep(float(query.get("sleep", "0")))
        body = json.dumps(facts()).encode() if url.path == "/facts" else os.uname().nodename.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if os.environ.get("EXITS"):
        print("cannot go on", flush=True)
        sys.exit(3)
    time.sleep(float(os.environ.get("STARTS_AFTER", "0")))
    server = ThreadingHTTPServer(("", 8080), Handler)
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("serving", flush=True)
    server.serve_forever()
    server.server_close()


main()
