"""
`jangada up --watch`: what was changed on disk runs a moment later.

Folders are looked at each 0.3 s; only what a change concerns is started again. A
function is deployed anew through the gateway, which has the new replica ready
before the old one drains: a handler that does not even start takes nothing away.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

EVERY_S = 0.3
_TIMEOUT_S = 5.0
_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", "build", "dist"})
_IGNORED_ENDS = (".pyc", ".pyo", ".swp", ".tmp", "~")

# Of the shared package: whom a change concerns. What is not named here concerns everybody.
_FUNCTIONS_ONLY = frozenset({"http", "wiring.py", "tenants"})
_EXECUTORS_ONLY = frozenset({"executor"})
_GATEWAY_ONLY = frozenset({"gateway"})
_NODE_ONLY = frozenset({"node"})
_NOBODY = frozenset({"client", "cli", "local"})

Reload = Callable[[str], None]
Tell = Callable[[str], None]
Seen = dict[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Concerned:
    """Who must be started again: parts of the supervisor by their name, functions by theirs."""

    gateway: bool = False
    functions: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset()
    node: bool = False

    def __or__(self, other: Concerned) -> Concerned:
        return Concerned(
            self.gateway or other.gateway,
            self.functions | other.functions,
            self.algorithms | other.algorithms,
            self.node or other.node,
        )

    @property
    def parts(self) -> frozenset[str]:
        """The supervisor's parts. The node's replicas are executors too, and come again with their agent."""
        parts = {f"executor:{name}" for name in self.algorithms}
        if self.gateway:
            parts.add("gateway")
        if self.node or self.algorithms:
            parts.add("node")
        return frozenset(parts)


@dataclass(frozen=True, slots=True)
class Watched:
    """
    What lies where under *root*: *handlers* maps a function to its folder, *algorithms* an algorithm to all of its.

    All paths are absolute.
    """

    root: Path
    handlers: Mapping[str, Path]
    algorithms: Mapping[str, tuple[Path, ...]]

    def folders(self) -> list[Path]:
        """What is looked at, none of them inside another."""
        of_algorithms = (folder for folders in self.algorithms.values() for folder in folders)
        wanted = sorted({self.root / "jangada", self.root / "template", *self.handlers.values(), *of_algorithms})
        return [
            folder
            for folder in wanted
            if not any(folder != other and folder.is_relative_to(other) for other in wanted) and folder.is_dir()
        ]

    def concerned(self, path: Path) -> Concerned:
        """Who runs from *path*."""
        found = Concerned(
            functions=frozenset(name for name, folder in self.handlers.items() if path.is_relative_to(folder)),
            algorithms=frozenset(
                name for name, folders in self.algorithms.items() if any(path.is_relative_to(one) for one in folders)
            ),
        )
        if path == self.root / "stack.yml":
            return Concerned(gateway=True)
        if path.is_relative_to(self.root / "template"):
            return found | Concerned(functions=frozenset(self.handlers))
        if path.is_relative_to(self.root / "jangada"):
            return found | self._of_package(path.relative_to(self.root / "jangada").parts[0])
        return found

    def _of_package(self, room: str) -> Concerned:
        if room in _NOBODY:
            return Concerned()
        if room in _FUNCTIONS_ONLY:
            return Concerned(functions=frozenset(self.handlers))
        executors = Concerned(algorithms=frozenset(self.algorithms))
        if room in _EXECUTORS_ONLY:
            return executors
        if room in _GATEWAY_ONLY:
            return Concerned(gateway=True)
        if room in _NODE_ONLY:
            return Concerned(node=True)
        # The functions are the gateway's children and come again with it.
        return executors | Concerned(gateway=True)


@dataclass(slots=True)
class Watch:
    """Looked at again and again by the supervisor. *reload* deploys a function anew; *tell* says what was seen."""

    watched: Watched
    reload: Reload
    tell: Tell
    _seen: Seen = field(init=False)
    _reloading: dict[str, threading.Thread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen = scan(self.watched)

    def look(self) -> frozenset[str]:
        """
        The parts to start again now; functions are seen to in the background.

        Counted from when this was made: a change while all still starts is acted on once it is up.
        """
        now = scan(self.watched)
        before, self._seen = self._seen, now
        if before == now:
            return frozenset()
        changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
        whole = Concerned()
        for path in changed:
            whole |= self.watched.concerned(path)
        named = sorted(whole.parts | (frozenset() if whole.gateway else whole.functions))
        shown = (
            changed[0].relative_to(self.watched.root) if changed[0].is_relative_to(self.watched.root) else changed[0]
        )
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self.tell(f"{shown}{more} changed: {', '.join(named) or 'nothing that runs'}")
        if not whole.gateway:
            for name in sorted(whole.functions):
                self._reload(name)
        return whole.parts

    def _reload(self, name: str) -> None:
        before = self._reloading.get(name)

        def work() -> None:
            # Two deployments of one function at once could end with the older one.
            if before is not None:
                before.join()
            try:
                self.reload(name)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.tell(f"{name} is not deployed anew: {error}")

        thread = self._reloading[name] = threading.Thread(target=work, name=f"reload-{name}", daemon=True)
        thread.start()


def scan(watched: Watched) -> Seen:
    """Every file of interest with its time of change and size."""
    seen: Seen = {}
    for folder in watched.folders():
        seen.update(_files(folder))
    stack = watched.root / "stack.yml"
    with contextlib.suppress(OSError):
        facts = stack.stat()
        seen[stack] = (facts.st_mtime_ns, facts.st_size)
    return seen


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or name.endswith(_IGNORED_ENDS):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if name not in _IGNORED_FOLDERS:
                            waiting.append(entry.path)
                        continue
                    facts = entry.stat()
                    yield Path(entry.path), (facts.st_mtime_ns, facts.st_size)
        except OSError:
            # Taken away while we looked: the next look sees that.
            continue


class GatewayReload:
    """Deploys a function anew, as it is: the gateway then starts it from what is on disk now."""

    def __init__(self, url: str, secrets_dir: Path) -> None:
        self._netloc = urlsplit(url).netloc
        self._secrets_dir = secrets_dir

    def __call__(self, name: str) -> None:
        """Raises `OSError` or `ValueError` telling what the gateway said."""
        status = json.loads(self._ask("GET", f"/system/function/{name}", None))
        status["service"] = status.pop("name")
        for told in ("replicas", "availableReplicas", "invocationCount", "createdAt", "usage"):
            status.pop(told, None)
        status.get("labels", {}).pop("faas_function", None)
        self._ask("PUT", "/system/functions", json.dumps(status).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        connection = http.client.HTTPConnection(self._netloc, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, body, self._headers())
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status not in {200, 202}:
            raise ValueError(f"the gateway answered {response.status}: {answer[:200].decode(errors='replace').strip()}")
        return answer

    def _headers(self) -> dict[str, Any]:
        try:
            user = (self._secrets_dir / "basic-auth-user").read_text(encoding="utf-8").strip()
            password = (self._secrets_dir / "basic-auth-password").read_text(encoding="utf-8").strip()
        except OSError:
            return {"Content-Type": "application/json"}
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
