"""The folder of the embedded platform: private, remembered, locked."""

from __future__ import annotations

import json
import os
import stat

import psutil
import pytest

from jangada.errors import ConfigurationError
from jangada.local.connection import ensure_connection
from jangada.local.home import Home, write_private
from jangada.local.logfile import rotate
from jangada.local.part import last_words
from jangada.local.platform import choose_algorithms, find_root, redis_binary
from jangada.local.state import PartState, PlatformState, held_lock, is_running, same_process
from jangada.settings import Settings
from jangada.tenants.bootstrap import FIRST_KEY_ID, ensure_first_key
from jangada.tenants.keys import parse_plaintext
from jangada.tenants.store_memory import MemoryTenantStore


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


def test_folders_and_files_are_for_their_owner_alone(home):
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.path, *home.path.iterdir())} == {0o700}
    path = home.path / "x"
    write_private(path, "1")
    write_private(path, "2")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("2", 0o600)
    assert [other.name for other in home.path.iterdir() if other.name.endswith(".tmp")] == []


def test_a_secret_is_made_once(home):
    first = home.secret("redis-password")
    assert len(first) > 30
    assert home.secret("redis-password") == first
    assert home.secret("other") != first


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot create"):
        Home(tmp_path / "file" / "home").make()


def test_the_lock_is_held_by_one_and_free_afterwards(home):
    assert not is_running(home)
    with held_lock(home) as ours:
        assert ours
        assert is_running(home)
        with held_lock(home) as second:
            assert not second
    assert not is_running(home)


def test_the_state_file_tells_what_was_written_or_nothing(home):
    assert PlatformState.read(home) is None
    state = PlatformState("ready", 1, "http://x", "h", 2.0, parts=[PartState("redis", "ready", 3, 4.0, 5, 6, "n")])
    state.write(home)
    assert PlatformState.read(home) == state
    home.state_file.write_text("{")
    assert PlatformState.read(home) is None


def test_a_process_is_the_same_only_with_its_start_time():
    started_at = psutil.Process().create_time()
    assert same_process(os.getpid(), started_at) is not None
    assert same_process(os.getpid(), started_at - 60) is None
    assert same_process(os.getpid(), None) is None
    assert same_process(None, started_at) is None


def test_logs_are_rotated_by_copy_so_that_writers_go_on(home):
    log = home.logs_dir / "part.log"
    with log.open("ab", buffering=0) as writer:
        for round_number in range(5):
            writer.write(b"%d" % round_number * 20)
            assert rotate(home.logs_dir, most_bytes=10, kept=2) == [log]
        writer.write(b"new")
    assert rotate(home.logs_dir, most_bytes=10, kept=2) == []
    assert log.read_bytes() == b"new"
    assert [(home.logs_dir / f"part.log.{n}").read_bytes()[:1] for n in (1, 2)] == [b"4", b"3"]
    assert not (home.logs_dir / "part.log.3").exists()


def test_the_last_words_of_a_log_are_its_last_line_that_says_something(tmp_path):
    log = tmp_path / "x.log"
    assert last_words(log) == ""
    log.write_text("first\nlast one \n\n  \n")
    assert last_words(log) == "last one"


def test_a_fresh_platform_gets_a_key_that_its_store_accepts(tmp_path):
    store, path = MemoryTenantStore(), tmp_path / "connection.json"
    assert ensure_connection(store, path, "http://a")
    written = json.loads(path.read_text())
    plain = parse_plaintext(written["api_key"])
    assert store.get_key(plain.key_id).accepts(plain.secret)
    assert (written["url"], written["tenant"]) == ("http://a", "default")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_working_key_is_kept_and_only_the_address_changes(tmp_path):
    store, path = MemoryTenantStore(), tmp_path / "connection.json"
    ensure_connection(store, path, "http://a")
    before = json.loads(path.read_text())
    assert not ensure_connection(store, path, "http://b")
    assert json.loads(path.read_text()) == before | {"url": "http://b"}


@pytest.mark.parametrize("left", [None, "not json", '{"api_key": "jgd_nonsense"}', '{"url": "x"}'])
def test_a_key_that_was_lost_is_replaced_by_one_that_works(tmp_path, left):
    store, path = MemoryTenantStore(), tmp_path / "connection.json"
    lost = parse_plaintext(ensure_first_key(store))
    if left is not None:
        path.write_text(left)
    assert ensure_connection(store, path, "http://a")
    plain = parse_plaintext(json.loads(path.read_text())["api_key"])
    assert store.get_key(FIRST_KEY_ID).accepts(plain.secret)
    assert not store.get_key(FIRST_KEY_ID).accepts(lost.secret)


def test_algorithms_are_chosen_by_name_in_the_order_asked(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "executor.yml").write_text(f'name: {name}\nversion: "1.0.0"\n')
        (tmp_path / name / "algorithm.py").write_text("")
    assert [manifest.name for manifest in choose_algorithms(tmp_path, ())] == ["a", "b"]
    assert [manifest.name for manifest in choose_algorithms(tmp_path, ("b", "a"))] == ["b", "a"]
    with pytest.raises(ConfigurationError, match=r"no algorithm c .* there are: a, b"):
        choose_algorithms(tmp_path, ("c",))


def test_the_root_is_found_from_below_it_and_else_is_the_checkout(tmp_path):
    (tmp_path / "stack.yml").write_text("")
    (tmp_path / "functions" / "x").mkdir(parents=True)
    assert find_root(tmp_path / "functions" / "x") == tmp_path
    assert (find_root(tmp_path.parent) / "jangada" / "settings.py").is_file()


def test_a_redis_that_was_named_must_be_there():
    assert redis_binary(Settings.from_env({}))
    with pytest.raises(ConfigurationError, match="no-such-redis"):
        redis_binary(Settings.from_env({"JANGADA_REDIS_BINARY": "no-such-redis"}))
