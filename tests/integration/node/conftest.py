from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.node.rig import Rig
from tests.servers import MongoServer, RedisServer


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Rig]:
    redis, mongo = RedisServer(tmp_path / "redis"), MongoServer(tmp_path / "mongo")
    redis.start()
    mongo.start()
    made = Rig(tmp_path, redis, mongo)
    try:
        yield made
    finally:
        made.close()
        print(made.logs())  # shown by pytest where the test failed
