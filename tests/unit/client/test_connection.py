import json

import pytest

from jangada.client.connection import find_connection
from jangada.errors import ConfigurationError


@pytest.fixture
def home(tmp_path):
    body = {"url": "http://127.0.0.1:8080/", "api_key": "jgd_local", "tenant": "demo"}
    (tmp_path / "connection.json").write_text(json.dumps(body))
    return tmp_path


def test_arguments_win_over_the_environment(home):
    environ = {"JANGADA_HOME": str(home), "JANGADA_URL": "http://env", "JANGADA_API_KEY": "jgd_env"}
    found = find_connection(environ, url="https://arg/", api_key="jgd_arg")
    assert (found.url, found.api_key) == ("https://arg", "jgd_arg")


def test_the_environment_wins_over_the_file(home):
    found = find_connection({"JANGADA_HOME": str(home), "JANGADA_URL": "http://env", "JANGADA_API_KEY": "jgd_env"})
    assert (found.url, found.api_key) == ("http://env", "jgd_env")


def test_the_file_of_the_embedded_platform_is_found(home):
    found = find_connection({"JANGADA_HOME": str(home)})
    assert (found.url, found.api_key, found.tenant) == ("http://127.0.0.1:8080", "jgd_local", "demo")


def test_the_key_of_the_file_goes_to_no_other_address(home):
    with pytest.raises(ConfigurationError, match="no key for http://other"):
        find_connection({"JANGADA_HOME": str(home), "JANGADA_URL": "http://other"})


def test_without_any_it_says_what_to_set_and_what_to_start(tmp_path):
    with pytest.raises(ConfigurationError, match=r"JANGADA_URL and JANGADA_API_KEY.*jangada up"):
        find_connection({"JANGADA_HOME": str(tmp_path)})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "http://x"}'])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "connection.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"connection\.json"):
        find_connection({"JANGADA_HOME": str(tmp_path)})


def test_the_key_is_not_shown():
    assert "jgd_secret" not in repr(find_connection({}, url="http://x", api_key="jgd_secret"))


@pytest.mark.parametrize("key", ["a\nb", "ключ", "two words", "tab\t"])
def test_a_key_that_no_header_can_carry_is_a_wrong_setting_and_not_repeated(tmp_path, key):
    with pytest.raises(ConfigurationError, match="the API key has") as caught:
        find_connection({"JANGADA_HOME": str(tmp_path)}, url="http://arg", api_key=key)
    assert key not in str(caught.value)
