"""
Which handlers lie on this machine: what the process provider can run without an image.

They come from stack files and from folders of functions. A deployment finds its
handler by its image's name, whatever the registry and tag are, else by its own name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jangada.errors import ConfigurationError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.stack import Stack

DEFAULT_LANGUAGE = "python3-jangada"


@dataclass(frozen=True, slots=True)
class Handler:
    """
    A function's folder, the template that serves it, and the folder it is started in.

    One *of_platform* gets the platform's own environment; any other only what it was deployed with.
    """

    name: str
    image: str
    folder: Path
    index: Path
    root: Path
    of_platform: bool = False


class Handlers:
    """The handlers of this machine; a name registered later wins over an earlier one, unless that is the platform's."""

    def __init__(self, template_root: Path) -> None:
        self._template_root = template_root
        self._by_name: dict[str, Handler] = {}

    def add_stack(self, stack: Stack, *, of_platform: bool = False) -> None:
        """Register every function of *stack*. Raises `ConfigurationError` for one that cannot be run from here."""
        for function in stack.functions.values():
            where = f"{stack.path}: function {function.name}"
            folder = stack.root / function.handler
            if not folder.is_dir():
                raise ConfigurationError(f"{where}: no folder {function.handler}")
            index = self._index(function.lang, stack.root)
            if index is None:
                expected = stack.root / "template" / function.lang / "index.py"
                raise ConfigurationError(f"{where}: no template {function.lang} (expected {expected})")
            self._add(Handler(function.name, repository(function.image), folder, index, stack.root, of_platform))

    def add_folder(self, folder: Path) -> None:
        """Register every sub-folder of *folder* that has a ``handler.py``. Raises `ConfigurationError` if none has."""
        found = sorted(path.parent for path in folder.glob("*/handler.py")) if folder.is_dir() else []
        if not found:
            raise ConfigurationError(f"{folder}: no folder in it has a handler.py")
        index = self._index(DEFAULT_LANGUAGE, folder)
        if index is None:
            raise ConfigurationError(f"{folder}: no template {DEFAULT_LANGUAGE}")
        for path in found:
            self._add(Handler(path.name, path.name, path.resolve(), index, folder.resolve()))

    def find(self, deployment: FunctionDeployment) -> Handler:
        """What runs *deployment*. Raises `DeployRefusedError` that says what to do when nothing here does."""
        wanted = repository(deployment.image)
        handlers: Iterable[Handler] = self._by_name.values()
        for handler in handlers:
            if handler.image == wanted:
                return handler
        last = wanted.rpartition("/")[2]
        for handler in handlers:
            if handler.image.rpartition("/")[2] == last:
                return handler
        named = self._by_name.get(deployment.service)
        if named is None:
            raise DeployRefusedError(
                f"no handler for image {deployment.image} on this machine: this gateway runs functions as processes. "
                f"Register its folder with `jangada up --functions DIR` or `jangada up --stack FILE`, "
                f"or run the gateway with Docker. Handlers here: {', '.join(sorted(self._by_name)) or 'none'}"
            )
        return named

    def _add(self, handler: Handler) -> None:
        before = self._by_name.get(handler.name)
        if before is not None and before.of_platform and not handler.of_platform:
            raise ConfigurationError(f"{handler.folder}: the platform itself has a function {handler.name}")
        self._by_name[handler.name] = handler

    def _index(self, lang: str, root: Path) -> Path | None:
        for base in (root, root.parent, self._template_root):
            index = base / "template" / lang / "index.py"
            if index.is_file():
                return index
        return None


def repository(image: str) -> str:
    """*image* without tag and digest: ``localhost:5000/a/b:1`` is ``localhost:5000/a/b``."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
