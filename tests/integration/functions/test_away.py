"""A function whose servers are away starts all the same, says 503, and works when they are back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from functions.auth.handler import create_app as create_auth
from functions.files.handler import create_app as create_files
from functions.router.handler import create_app as create_router
from jangada.settings import Settings
from jangada.wiring import Services
from tests.servers import MongoServer, RedisServer, started


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[MongoServer]:
    (tmp_path / "mongo").mkdir()
    with started(MongoServer(tmp_path / "mongo")) as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with started(RedisServer(tmp_path / "redis")) as server:
        yield server


def test_away_then_back(mongo: MongoServer, redis: RedisServer, tmp_path: Path, capsys):
    settings = replace(
        Settings.from_env({}), mongo_url=mongo.url, redis_url=redis.url, secrets_dir=tmp_path, artifacts="gridfs"
    )
    services = Services.from_settings(settings)
    mongo.kill()
    try:
        auth, files = create_auth(services).test_client(), create_files(services).test_client()
        router = create_router(services).test_client()
        headers = {"Authorization": f"Bearer jgd_{'0' * 26}_{'A' * 43}"}
        assert auth.get("/healthz").status_code == 200
        ready = auth.get("/readyz")
        assert ready.status_code == 503
        assert ready.json["checks"]["redis"] == "ok"
        assert ready.json["checks"]["mongo"] != "ok"
        for client, path in ((auth, "/v1/whoami"), (files, "/v1/files"), (router, "/v1/jobs")):
            begun = time.monotonic()
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert str(mongo.port) not in answer.text
            assert time.monotonic() - begun < 10
        mongo.start()
        assert auth.get("/v1/whoami", headers=headers).status_code == 401
        key = capsys.readouterr().err.rpartition("shown this once: ")[2].split()[0]
        mine = {"Authorization": f"Bearer {key}"}
        made = files.post("/v1/files?filename=x", data=b"bytes", headers=mine | {"Content-Type": "x/y"})
        assert made.status_code == 201
        time.sleep(1.01)  # how long readiness is remembered
        assert auth.get("/readyz").status_code == 200
        indexed = [index["key"] for index in services.database["files"].index_information().values()]
        assert [("by_tenant", 1)] in indexed
    finally:
        services.close()
