"""Links are what the client sees, and no header can put text of its own into them."""

from __future__ import annotations

import pytest

from .conftest import make_client, with_settings

FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-Prefix": "/function/router",
    "X-Forwarded-For": "203.0.113.7:4711",
}


def links(headers, **settings):
    return make_client(with_settings(**settings)).get("/v1/links", headers=headers).json


def test_a_trusted_proxy_is_believed():
    assert links(FORWARDED) == {
        "href": "/function/router/v1/x",
        "absolute": "https://api.example.com/function/router/v1/x",
        "client": "203.0.113.7",
    }


def test_without_trusted_proxies_nothing_is_believed():
    found = links(FORWARDED, trusted_proxies=0)
    assert found == {"href": "/v1/x", "absolute": "http://localhost/v1/x", "client": "127.0.0.1"}


def test_of_a_list_the_value_of_the_outermost_trusted_proxy_counts():
    headers = {"X-Forwarded-Host": "evil.example, edge.example, inner.example"}
    assert links(headers)["absolute"] == "http://inner.example/v1/x"
    assert links(headers, trusted_proxies=2)["absolute"] == "http://edge.example/v1/x"


def test_the_public_url_wins():
    found = links(FORWARDED, public_url="https://jangada.example/api/")
    assert found["absolute"] == "https://jangada.example/api/v1/x"
    assert found["href"] == "/api/v1/x"


@pytest.mark.parametrize(
    "host", ["a b", "x/y", "user@host", 'evil"><script>', "host:port", "[::1", "-x", "", "x" * 300]
)
def test_a_host_that_is_none_is_ignored(host):
    assert links({"X-Forwarded-Host": host})["absolute"] == "http://localhost/v1/x"


@pytest.mark.parametrize("prefix", ["//evil.example", "x", "/a/../b", "/a b", "/a?b", "/<b>"])
def test_a_prefix_that_is_none_is_ignored(prefix):
    assert links({"X-Forwarded-Prefix": prefix})["href"] == "/v1/x"


def test_an_unknown_scheme_is_ignored():
    assert links({"X-Forwarded-Proto": "javascript"})["absolute"] == "http://localhost/v1/x"


@pytest.mark.parametrize(
    ("header", "address"),
    [("203.0.113.7", "203.0.113.7"), ("[2001:db8::1]:443", "2001:db8::1"), ("2001:db8::1", "2001:db8::1")],
)
def test_the_client_address_is_read_with_and_without_port(header, address):
    assert links({"X-Forwarded-For": header})["client"] == address
