"""A gateway that is sent nonsense answers it, and goes on: no 500, no hang, nothing that grows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import os
import random
import re
import time
from collections import Counter

import psutil
import pytest

from tests.fuzz import bodies, garbage
from tests.integration.gateway.asynchronous.stage import AsyncStage

pytestmark = pytest.mark.timeout(600)

COUNT = int(os.environ.get("FUZZ_REQUESTS", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1, 10**9)
AT_ONCE = 32
WITHIN_S = 20.0
PATIENCE_S = 3.0
MOST_GROWTH_BYTES = 24 * 1024 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_FAULTS = ("Traceback", "gateway.unhandled", "Task exception", "never retrieved", "Unclosed")


@pytest.fixture(scope="module")
def stage(tmp_path_factory, redis_url, mongo_url):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "basic-auth-user").write_text("admin")
    (folder / "secrets" / "basic-auth-password").write_text("secret")
    made = AsyncStage(folder, redis_url, mongo_url, JANGADA_LOG_LEVEL="warning")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def connection(stage):
    made = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=WITHIN_S)
    yield made
    made.close()


@pytest.fixture
def unharmed(stage):
    """What the gateway is before, and that it is the same afterwards."""
    warm = list(garbage.requests(SEED + 1, 200))
    asyncio.run(_send_all(stage.port, warm))
    process = psutil.Process(stage.process.pid)
    memory, files = process.memory_info().rss, process.num_fds()
    yield process
    assert stage.process.poll() is None
    assert stage.request("POST", "/function/worker", b"x").status == 200
    grown = process.memory_info().rss - memory
    assert grown < MOST_GROWTH_BYTES, f"seed {SEED}: {grown / 2**20:.1f} MiB more"
    assert process.num_fds() < files + 40
    said = stage.log()
    assert [word for word in _FAULTS if word in said] == [], f"seed {SEED}:\n{said[-4000:]}"


def test_raw_garbage(stage, unharmed):
    answers = asyncio.run(_send_beside_a_client(stage.port, list(garbage.requests(SEED, COUNT))))
    statuses = Counter(status for _, found in answers for status in found)
    broken = [sent for sent, found in answers if 500 in found]
    assert broken == [], f"seed {SEED}: {broken[0]!r}"
    print(f"seed {SEED}: {sorted(statuses.items())}")
    # Else nothing was tested: many must fail in the parser, and many get past it.
    assert statuses[400] > COUNT / 10
    assert statuses.total() - statuses[400] - statuses[431] > COUNT / 10


def test_nearly_right_bodies_to_the_control_api(connection, unharmed):
    authorization = "Basic " + base64.b64encode(b"admin:secret").decode()
    statuses: Counter[int] = Counter()
    for sent in bodies.requests(SEED, COUNT, authorization):
        headers = sent.headers | {"Connection": "keep-alive"}
        connection.request(sent.method, sent.target, sent.body, headers)
        response = connection.getresponse()
        answer = response.read()
        statuses[response.status] += 1
        # Alertmanager is told of each alert that names no function in a 500 of numbered lines [contract §1.3].
        is_told = sent.target.startswith("/system/alert") and answer.startswith(b"[0] ")
        assert response.status < 500 or is_told, f"seed {SEED}: {sent} {answer[:300]!r}"
    print(f"seed {SEED}: {sorted(statuses.items())}")
    assert statuses[400] > COUNT / 10
    assert statuses[401] > COUNT / 100


async def _send_beside_a_client(port: int, sent: list[bytes]) -> list[tuple[bytes, list[int]]]:
    """What came of *sent*; fails when somebody decent had to wait long meanwhile."""
    ending = asyncio.Event()

    async def decent() -> float:
        slowest = 0.0
        while not ending.is_set():
            began = time.monotonic()
            assert await _send(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", patience_s=WITHIN_S) == [200]
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.05)
        return slowest

    client = asyncio.create_task(decent())
    try:
        return await _send_all(port, sent)
    finally:
        ending.set()
        slowest = await client
        assert slowest < PATIENCE_S, f"seed {SEED}: a client beside waited {slowest:.1f} s"


async def _send_all(port: int, sent: list[bytes]) -> list[tuple[bytes, list[int]]]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(request: bytes) -> tuple[bytes, list[int]]:
        async with room:
            return request, await _send(port, request)

    return await asyncio.gather(*(one(request) for request in sent))


async def _send(port: int, request: bytes, *, patience_s: float = 0.15) -> list[int]:
    """The status of each answer on a connection of its own; we leave when nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    # Cut off while we still sent: that is an answer to garbage too.
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(request)
        await writer.drain()
        while True:
            async with asyncio.timeout(patience_s if not received else 0.02):
                chunk = await reader.read(65536)
            if not chunk:
                break
            received += chunk
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return [int(status) for status in _STATUS.findall(received)]
