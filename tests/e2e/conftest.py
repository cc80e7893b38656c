"""One platform for all stories: real servers, functions and executors behind the public address."""

from __future__ import annotations

import pytest

from tests.live_platform import live_platform

ALGORITHMS = ("echo", "emits-progress", "killed-in-run", "never-ends", "noop", "writes-files")


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    with live_platform(tmp_path_factory.mktemp("e2e") / "home", ALGORITHMS) as running:
        yield running


@pytest.fixture
def client(platform):
    with platform.client() as made:
        yield made
