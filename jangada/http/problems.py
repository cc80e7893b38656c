"""The pages behind the ``type`` of a problem: ``/problems/<name>``, text for people."""

from __future__ import annotations

import inspect

from flask import Flask, Response

from jangada.errors import JangadaError, NotFoundError
from jangada.http.render import problem_name


def register_problems(app: Flask) -> None:
    """Serve a page for each error class that a client can meet."""
    pages = {problem_name(error.code): error for error in _with_subclasses(JangadaError)}

    @app.get("/problems/<name>")
    def problem_page(name: str) -> Response:
        error = pages.get(name)
        if error is None:
            raise NotFoundError(f"no problem is called {name}")
        about = " ".join((inspect.getdoc(error) or "").split())
        if error is JangadaError:
            about = "Something went wrong inside the platform; its log has the reason under the request id."
        again = "The same request may succeed later." if error.retryable else "The same request will fail again."
        text = f"{error.title}\n\ncode: {error.code}\nstatus: {error.status}\n\n{about}\n{again}\n"
        return Response(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "max-age=3600"})


def _with_subclasses(error: type[JangadaError]) -> list[type[JangadaError]]:
    return [error, *(deeper for child in error.__subclasses__() for deeper in _with_subclasses(child))]
