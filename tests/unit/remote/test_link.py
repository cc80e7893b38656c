"""Where calls go, and what answers mean."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import urllib3

from jangada.errors import ConfigurationError, ForbiddenError, NotFoundError, StoreUnavailableError
from jangada.remote import bell
from jangada.remote.identity import NodeIdentity, new_private_key
from jangada.remote.link import NodeLink, RefusedError

ME = NodeIdentity("https://jangada.example", "node_1", new_private_key())


class Pool:
    """Answers with one status and body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body
        self.urls: list[str] = []

    def request(self, _method, url, **_options):
        self.urls.append(url)
        return urllib3.HTTPResponse(body=self.body, status=self.status, preload_content=True)

    def clear(self) -> None:
        """Nothing is kept."""


def link(status: int, body: bytes) -> NodeLink:
    made = NodeLink(ME, pool=Pool(status, body))
    made._renew_at = float("inf")
    return made


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, RefusedError),
        (422, RefusedError),
        (413, RefusedError),
        (429, StoreUnavailableError),
        (500, StoreUnavailableError),
        (502, StoreUnavailableError),
        (503, StoreUnavailableError),
    ],
)
def test_an_answer_is_an_error_of_ours(status, error):
    problem = b'{"detail": "why", "errors": [{"pointer": "/want", "detail": "expected 0 or more"}]}'
    with pytest.raises(error, match="why; /want: expected 0 or more"):
        link(status, problem).post("/x", {})
    with pytest.raises(error, match=f"answered {status}"):
        link(status, b"<html>").post("/x", {})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"null"])
def test_what_is_no_object_is_no_answer_of_the_platform(body):
    with pytest.raises(StoreUnavailableError, match="expected JSON"):
        link(200, body).post("/x", {})


def test_nothing_to_say_is_an_answer():
    made = link(204, b"")
    assert made.post("/leave", {}) == {}
    assert made._pool.urls == ["https://jangada.example/v1/nodes/leave"]


def test_a_proxy_is_taken_from_the_environment(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    made = NodeLink(ME)
    assert isinstance(made._pool, urllib3.ProxyManager)
    made.close()
    monkeypatch.setenv("no_proxy", "jangada.example")
    made = NodeLink(ME)
    assert not isinstance(made._pool, urllib3.ProxyManager)
    made.close()


def test_an_authority_that_cannot_be_read_is_named(tmp_path):
    file = tmp_path / "ca.pem"
    for content in (None, "no certificates"):
        if content is not None:
            file.write_text(content)
        with pytest.raises(ConfigurationError, match="not certificates in PEM"):
            NodeLink(NodeIdentity(ME.url, "node_1", ME.private_key, str(file)))


@pytest.mark.parametrize(("is_busy", "slept"), [(True, True), (False, False)])
def test_a_platform_that_holds_enough_calls_is_asked_again_later(is_busy, slept):
    answer = {"heard": False, "is_busy": is_busy, "again_s": 2.0}
    asked = SimpleNamespace(post=lambda path, body, wait_s: answer)
    pauses: list[float] = []
    assert bell.hear(asked, "echo", 10.0, pauses.append) is False
    assert [0.9 < pause <= 2.0 for pause in pauses] == [True] * slept
