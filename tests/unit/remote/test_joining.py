"""`jangada node join`: a key is made once, and kept only when the platform knows it."""

from __future__ import annotations

import pytest

from jangada.errors import ConfigurationError, StoreUnavailableError, UnauthenticatedError
from jangada.node import joined
from jangada.node.joined import identity_file, join_platform
from jangada.remote.link import RefusedError

URL = "https://jangada.example/"


class Platform:
    """Stands in for the link."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked: list[dict] = []

    def __call__(self, identity):
        self.identity = identity
        return self

    def join(self, body):
        self.asked.append(dict(body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def platform(monkeypatch):
    made = Platform({"id": "node_1"})
    monkeypatch.setattr(joined, "NodeLink", made)
    return made


def join(home, url=URL, **options):
    return join_platform(home, url, "jgn_x_y", **{"name": "desk", "ca_file": None, "is_insecure": False} | options)


def test_the_identity_lies_where_the_agent_looks_for_it(tmp_path, platform):
    made = join(tmp_path)
    assert (made.node_id, made.url) == ("node_1", "https://jangada.example")
    assert identity_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert platform.asked == [{"token": "jgn_x_y", "public_key": made.public_key, "name": "desk"}]
    assert [file.name for file in (tmp_path / "node").iterdir()] == ["identity.json"]
    with pytest.raises(ConfigurationError, match=r"is the node node_1 of .* already"):
        join(tmp_path)


def test_a_lost_answer_is_asked_for_again_with_the_same_key(tmp_path, platform):
    platform.answers = [StoreUnavailableError("the link is cut"), {"id": "node_1"}]
    with pytest.raises(StoreUnavailableError):
        join(tmp_path)
    assert not identity_file(tmp_path).exists()
    join(tmp_path)
    first, second = platform.asked
    assert first == second


@pytest.mark.parametrize(
    ("answer", "error"),
    [(UnauthenticatedError("used already"), UnauthenticatedError), (RefusedError(422, "no key"), ConfigurationError)],
)
def test_a_refusal_leaves_no_identity(tmp_path, platform, answer, error):
    platform.answers = [answer]
    with pytest.raises(error):
        join(tmp_path)
    assert not identity_file(tmp_path).exists()


def test_nothing_is_made_for_an_address_that_is_not_safe(tmp_path, platform):
    with pytest.raises(ConfigurationError, match="expected https"):
        join(tmp_path, "http://jangada.example")
    assert not (tmp_path / "node").exists()
    assert join(tmp_path, "http://jangada.example", is_insecure=True).is_insecure
