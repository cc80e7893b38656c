"""The pages behind the ``type`` of a problem: ``/problems/<name>``, text for people."""

from __future__ import annotations

import inspect
from http import HTTPStatus

from flask import Flask, Response

from jangada.errors import JangadaError, NotFoundError
from jangada.http.render import http_code, problem_name

_FIRST_ERROR = 400


def register_problems(app: Flask) -> None:
    """Serve a page for each kind of error that a client can meet: ours, and HTTP's own."""
    pages = {problem_name(http_code(status)): _http_page(status) for status in HTTPStatus if status >= _FIRST_ERROR}
    pages |= {problem_name(error.code): _page(error) for error in _with_subclasses(JangadaError)}

    @app.get("/problems/<name>")
    def problem_page(name: str) -> Response:
        text = pages.get(name)
        if text is None:
            raise NotFoundError(f"no problem is called {name}")
        return Response(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "max-age=3600"})


def _page(error: type[JangadaError]) -> str:
    about = " ".join((inspect.getdoc(error) or "").split())
    if error is JangadaError:
        about = "Something went wrong inside the platform; its log has the reason under the request id."
    again = "The same request may succeed later." if error.retryable else "The same request will fail again."
    return f"{error.title}\n\ncode: {error.code}\nstatus: {error.status}\n\n{about}\n{again}\n"


def _http_page(status: HTTPStatus) -> str:
    about = f"{status.description}." if status.description else "See RFC 9110, section 15."
    return f"{status.phrase}\n\ncode: {http_code(status)}\nstatus: {status.value}\n\n{about}\n"


def _with_subclasses(error: type[JangadaError]) -> list[type[JangadaError]]:
    return [error, *(deeper for child in error.__subclasses__() for deeper in _with_subclasses(child))]
