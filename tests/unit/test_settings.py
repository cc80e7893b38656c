"""Addresses that may hold passwords come from secrets when the environment does not say them."""

from __future__ import annotations

import pytest

from jangada.errors import ConfigurationError
from jangada.settings import Settings

SECRET = "redis://:pa55@queue:6379/0"


def settings(folder, **environ):
    return Settings.from_env({"JANGADA_SECRETS_DIR": str(folder)} | environ)


def test_a_secret_says_the_address(tmp_path):
    (tmp_path / "redis-url").write_text(f"{SECRET}\n")
    (tmp_path / "mongo-url").write_text("mongodb://u:p@store/")
    found = settings(tmp_path)
    assert (found.redis_url, found.mongo_url) == (SECRET, "mongodb://u:p@store/")
    assert "pa55" not in str(found.describe())


def test_the_environment_goes_first(tmp_path):
    (tmp_path / "redis-url").write_text(SECRET)
    assert settings(tmp_path, JANGADA_REDIS_URL="redis://other/1").redis_url == "redis://other/1"
    assert settings(tmp_path, JANGADA_REDIS_URL="").redis_url == SECRET


def test_without_either_it_is_this_machine(tmp_path):
    assert settings(tmp_path).redis_url == "redis://127.0.0.1:6379/0"


def test_a_wrong_secret_is_named_and_not_quoted(tmp_path):
    (tmp_path / "mongo-url").write_text("http://user:pa55@store")
    with pytest.raises(ConfigurationError, match="mongo-url") as raised:
        settings(tmp_path)
    assert "pa55" not in str(raised.value)
