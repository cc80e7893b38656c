"""A node's key pair, and where it may be used."""

from __future__ import annotations

import json

import pytest

from jangada.errors import ConfigurationError
from jangada.remote.identity import NodeIdentity, new_private_key, proves, require_safe


def test_it_is_kept_for_its_owner_alone(tmp_path):
    me = NodeIdentity("https://jangada.example", "node_1", new_private_key(), "/ca.pem")
    me.save(tmp_path / "node" / "identity.json")
    assert (tmp_path / "node" / "identity.json").stat().st_mode & 0o777 == 0o600
    assert NodeIdentity.load(tmp_path / "node" / "identity.json") == me
    assert [one.name for one in (tmp_path / "node").iterdir()] == ["identity.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"url": "x", "node_id": "y", "other": 1})])
def test_a_file_that_is_something_else_is_not_quoted(tmp_path, text):
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(ConfigurationError, match="expected what `jangada node join` writes"):
        NodeIdentity.load(tmp_path / "identity.json")
    with pytest.raises(ConfigurationError, match="cannot read"):
        NodeIdentity.load(tmp_path / "nothing")


def test_a_signature_proves_one_key_and_one_challenge():
    me, other = (NodeIdentity("https://x", "node_1", new_private_key()) for _ in range(2))
    signature = me.sign("challenge")
    assert proves(me.public_key, "challenge", signature)
    assert not proves(me.public_key, "another", signature)
    assert not proves(other.public_key, "challenge", signature)
    assert not proves(me.public_key, "challenge", "no base64")
    assert not proves("no key", "challenge", signature)


def test_a_key_that_is_none_is_said():
    with pytest.raises(ConfigurationError, match="private_key"):
        NodeIdentity("https://x", "node_1", "AAAA").sign("challenge")


@pytest.mark.parametrize(
    ("url", "insecure", "safe"),
    [
        ("https://jangada.example", False, "https://jangada.example"),
        ("https://jangada.example/", False, "https://jangada.example"),
        ("http://127.0.0.1:8080", False, "http://127.0.0.1:8080"),
        ("http://localhost:8080", False, "http://localhost:8080"),
        ("http://[::1]:8080", False, "http://[::1]:8080"),
        ("http://10.0.0.1:8080", True, "http://10.0.0.1:8080"),
    ],
)
def test_addresses_that_are_safe(url, insecure, safe):
    assert require_safe(url, is_insecure=insecure) == safe


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:8080", "http://jangada.example", "http://127.0.0.1.evil.example", "http://0.0.0.0"]
)
def test_jobs_do_not_travel_unencrypted_unasked(url):
    with pytest.raises(ConfigurationError, match="expected https"):
        require_safe(url, is_insecure=False)


@pytest.mark.parametrize("url", ["jangada.example", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", ""])
def test_what_is_no_address_is_said(url):
    with pytest.raises(ConfigurationError, match="expected the address of a platform"):
        require_safe(url, is_insecure=True)
