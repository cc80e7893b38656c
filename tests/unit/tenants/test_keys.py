"""API keys: their form, and that their secret is kept nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jangada.tenants.keys import KEY_ID, new_key, new_plaintext, parse_plaintext

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_plaintext_reads_back_into_its_parts():
    plain = new_plaintext()
    assert parse_plaintext(plain.text) == plain
    assert KEY_ID.match(plain.key_id)
    assert plain.text.startswith("jgd_")


def test_two_keys_have_nothing_in_common():
    assert new_plaintext().secret != new_plaintext().secret


@pytest.mark.parametrize(
    "text",
    ["", "jgd_", "jgd_x_y", f"jgd_{'0' * 26}_{'A' * 42}", f"jgd_{'0' * 26}_{'A' * 43}\n", f"JGD_{'0' * 26}_{'A' * 43}"],
)
def test_what_has_not_the_form_of_a_key_is_none(text):
    assert parse_plaintext(text) is None


def test_a_key_accepts_its_secret_alone_and_does_not_keep_it():
    key, plain = new_key("acme", "n", frozenset({"jobs:read"}), now=NOW)
    assert key.accepts(plain.secret)
    assert not key.accepts(plain.secret[:-1])
    assert not key.accepts("")
    assert plain.secret not in repr(key)
    assert plain.secret.encode() not in key.digest
    assert plain.secret not in repr(plain)
    assert plain.secret[:3] not in key.start[8:]


def test_a_key_ends_at_its_expiry_and_when_it_is_revoked():
    key, _ = new_key("acme", "n", frozenset({"jobs:read"}), now=NOW, expires_at=NOW + timedelta(seconds=10))
    assert key.is_valid_at(NOW + timedelta(seconds=9.999))
    assert not key.is_valid_at(NOW + timedelta(seconds=10))
