"""What the Engine answers of a container that ends at this moment."""

from __future__ import annotations

import docker.errors
import pytest
import requests

from jangada.gateway.provider_docker_engine import Engine


class Api:
    def __init__(self, answer: object) -> None:
        self._answer = answer

    def stats(self, container: str, **_: bool) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"cpu_stats": {}}, {"cpu_stats": {}}),
        (docker.errors.NotFound("no such container"), None),
        (requests.exceptions.JSONDecodeError("Expecting value", "", 0), None),
    ],
)
def test_what_a_container_uses(answer, found):
    engine = object.__new__(Engine)
    engine._api = Api(answer)
    assert engine.stats("1a2b") == found
