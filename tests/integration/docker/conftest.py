"""A provider on the machine's Docker Engine, whose containers and network go away after each test."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jangada.gateway.deployment import FunctionDeployment
from tests.docker_engine import base_image, build, remove_containers, remove_network

IMAGE = "jangada-test/function:1"


@pytest.fixture(scope="session")
def image() -> str:
    return build(Path(__file__).parent / "image", IMAGE, BASE_IMAGE=base_image())


@pytest.fixture
def owner(image: str) -> Iterator[str]:
    """Marks what one test starts."""
    name = f"jgtest{uuid.uuid4().hex[:8]}"
    yield name
    remove_containers(f"io.jangada.gateway={name}")
    remove_network(name)


@pytest.fixture
def secrets() -> dict[tuple[str, str], bytes]:
    """Namespace and name → content: what the gateway's state would have."""
    return {}


@pytest.fixture
def open_provider(owner: str, tmp_path: Path, secrets: dict[tuple[str, str], bytes]) -> Callable[..., Any]:
    """Each call is one gateway's provider, all on the same Engine and of the same platform."""
    from jangada.gateway.provider_docker import DockerProvider
    from jangada.gateway.provider_docker_engine import Engine
    from jangada.gateway.provider_docker_spec import DockerOptions

    async def read(namespace: str, name: str) -> bytes | None:
        return secrets.get((namespace, name))

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[DockerProvider]:
        chosen = DockerOptions(secrets_dir=tmp_path / "secrets", owner=owner, network=owner, **options)
        provider = DockerProvider(Engine(chosen, os.environ.get("DOCKER_HOST")), read)
        await provider.start()
        try:
            yield provider
        finally:
            await provider.stop()

    return opened


def deployment(generation: int = 1, **facts: Any) -> FunctionDeployment:
    return FunctionDeployment(**{"service": "fn", "image": IMAGE, "generation": generation} | facts)


def get(address: str, path: str = "/") -> str:
    with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
        return answer.read().decode()


def facts_of(address: str) -> dict[str, Any]:
    return json.loads(get(address, "/facts"))
