"""Which handler an image means."""

from __future__ import annotations

import pytest

from jangada.errors import ConfigurationError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.handlers import Handlers, repository
from jangada.gateway.stack import load_stack

STACK = """
version: 1.0
provider: {name: openfaas}
functions:
  auth: {lang: python3-jangada, handler: ./auth, image: "ghcr.io/x/jangada-auth:0.1.0"}
"""


@pytest.fixture
def handlers(tmp_path):
    index = tmp_path / "template" / "python3-jangada" / "index.py"
    index.parent.mkdir(parents=True)
    index.touch()
    (tmp_path / "auth").mkdir()
    (tmp_path / "stack.yml").write_text(STACK)
    for name in ("hello", "other"):
        (tmp_path / "fns" / name).mkdir(parents=True)
        (tmp_path / "fns" / name / "handler.py").touch()
    (tmp_path / "fns" / "no-function").mkdir()
    made = Handlers(tmp_path)
    made.add_stack(load_stack(tmp_path / "stack.yml", {}), of_platform=True)
    made.add_folder(tmp_path / "fns")
    return made


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        ("hello", "hello"),
        ("me/hello:1", "me/hello"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("a/b@sha256:00", "a/b"),
        ("a/b:1@sha256:00", "a/b"),
    ],
)
def test_tag_and_digest_are_not_the_name(image, plain):
    assert repository(image) == plain


@pytest.mark.parametrize(
    ("service", "image", "handler"),
    [
        ("anything", "me/hello:7", "hello"),
        ("auth", "ghcr.io/x/jangada-auth:9", "auth"),
        ("mine", "registry.local:5000/jangada-auth", "auth"),
        ("hello", "me/unknown:1", "hello"),
        ("other", "me/hello:1", "hello"),
    ],
)
def test_the_image_decides_and_then_the_name(handlers, service, image, handler):
    found = handlers.find(FunctionDeployment(service, image))
    assert (found.name, found.of_platform) == (handler, handler == "auth")


def test_an_image_from_elsewhere_is_refused_with_what_to_do(handlers):
    with pytest.raises(DeployRefusedError, match=r"jangada up --functions DIR.*Handlers here: auth, hello, other"):
        handlers.find(FunctionDeployment("nothing", "me/nothing:1"))


def test_a_users_function_cannot_take_the_place_of_the_platforms(handlers, tmp_path):
    (tmp_path / "more" / "auth").mkdir(parents=True)
    (tmp_path / "more" / "auth" / "handler.py").touch()
    with pytest.raises(ConfigurationError, match="the platform itself has a function auth"):
        handlers.add_folder(tmp_path / "more")


def test_a_folder_without_handlers_is_a_mistake(handlers, tmp_path):
    with pytest.raises(ConfigurationError, match=r"handler\.py"):
        handlers.add_folder(tmp_path / "nowhere")
