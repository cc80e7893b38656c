"""A function that waits, streams, fails and reads, as told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, request


def create_app() -> Flask:
    app = Flask("slow")
    app.config["MAX_CONTENT_LENGTH"] = 1000

    @app.get("/wait")
    def wait() -> dict[str, object]:
        time.sleep(float(request.args["s"]))
        return {"waited": True}

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                time.sleep(0.4)

        return Response(chunks(), content_type="text/event-stream")

    @app.post("/echo")
    def echo() -> Response:
        return Response(request.get_data(), headers={"X-Length": str(request.content_length)})

    @app.get("/forwarded")
    def forwarded() -> dict[str, object]:
        return {name: request.headers.get(name) for name in ("X-Forwarded-Host", "X-Forwarded-For", "Host")}

    @app.get("/pid")
    def pid() -> dict[str, int]:
        return {"pid": os.getpid()}

    return app
