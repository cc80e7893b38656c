"""The calls to Docker Engine that the provider makes. They block: call them in threads."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.provider_docker_spec import (
    LABEL_FUNCTION,
    LABEL_NAMESPACE,
    LABEL_OWNER,
    LABEL_REVISION,
    LABEL_SLOT,
    DockerOptions,
    container_name,
    environment,
    host_settings,
    labels,
    secrets_folder,
)

ENGINE_ERRORS = (docker.errors.DockerException, requests.RequestException, OSError)
"""What any call here may raise when the Engine says no or is away."""

_CONNECTIONS = 32
_ENDED = frozenset({"exited", "dead"})


@dataclass(frozen=True, slots=True)
class Container:
    """One of our containers as the Engine tells of it; *address* is empty until it runs."""

    id: str
    name: str
    key: Key
    revision: str
    slot: int
    state: str
    address: str

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self.state in _ENDED


class Engine:
    """One Docker Engine: *base_url*, or what ``DOCKER_HOST`` says, or the socket's usual place."""

    def __init__(self, options: DockerOptions, base_url: str | None = None, timeout_s: float = 60.0) -> None:
        self.options = options
        self._url = base_url or os.environ.get("DOCKER_HOST")
        self._timeout_s = timeout_s
        self._api: Any = None

    def close(self) -> None:
        """Release its connections."""
        if self._api is not None:
            self._api.close()

    def prepare(self) -> None:
        """Connect, and make the functions' network where it is missing; to be called first."""
        # The newest version of its interface that both sides know: old ones are not understood for ever.
        self._api = docker.APIClient(
            base_url=self._url, version="auto", timeout=self._timeout_s, max_pool_size=_CONNECTIONS
        )
        try:
            self._api.inspect_network(self.options.network)
        except docker.errors.NotFound:
            # Somebody else may have made it in this moment.
            with contextlib.suppress(docker.errors.APIError):
                self._api.create_network(self.options.network, driver="bridge", check_duplicate=True)
            self._api.inspect_network(self.options.network)

    def list(self) -> list[Container]:
        """All our containers, those that have ended too."""
        found = self._api.containers(all=True, filters={"label": f"{LABEL_OWNER}={self.options.owner}"})
        return [self._read(one) for one in found]

    def require_image(self, image: str) -> None:
        """Have *image* here: used when present, pulled otherwise. Raises `DeployRefusedError`."""
        try:
            self._api.inspect_image(image)
            return
        except docker.errors.ImageNotFound:
            pass
        repository, tag = split_image(image)
        try:
            # Credentials come from the Docker configuration of whoever runs the gateway.
            for line in self._api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise DeployRefusedError(f"image {image} is not here and cannot be pulled: {line['error']}")
        except ENGINE_ERRORS as error:
            raise DeployRefusedError(f"image {image} is not here and cannot be pulled: {reason(error)}") from error

    def run(self, deployment: FunctionDeployment, slot: int) -> Container | None:
        """Start copy *slot*; one of that name that another gateway has just made is adopted. None: it is gone again."""
        name = container_name(self.options, deployment, slot)
        try:
            made = self._api.create_container(
                deployment.image,
                name=name,
                environment=environment(self.options, deployment),
                labels=labels(self.options, deployment, slot),
                # Ours asks for readiness itself; the image's check would run a process every few seconds.
                healthcheck={"test": ["NONE"]},
                host_config=self._host_config(deployment),
            )
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            found = self.inspect(name)
            # Made by a gateway that ended before it could start it?
            if found is None or found.state != "created":
                return found
            made = {"Id": found.id}
        try:
            self._api.start(made["Id"])
        except ENGINE_ERRORS:
            self.remove(made["Id"])
            raise
        return self.inspect(made["Id"])

    def inspect(self, container: str) -> Container | None:
        """The container as it is now; None when it is gone."""
        try:
            found = self._api.inspect_container(container)
        except docker.errors.NotFound:
            return None
        return self._read(
            {
                "Id": found["Id"],
                "Names": [found["Name"]],
                "Labels": found["Config"]["Labels"],
                "State": found["State"]["Status"],
                "NetworkSettings": found["NetworkSettings"],
            }
        )

    def stop(self, container: str, grace_s: int) -> None:
        """SIGTERM, and SIGKILL after *grace_s*; nothing when it is gone."""
        with contextlib.suppress(docker.errors.NotFound):
            self._api.stop(container, timeout=grace_s)

    def remove(self, container: str) -> None:
        """Forget it; nothing when it is gone or somebody else is at it."""
        try:
            self._api.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise

    def exit_note(self, container: str) -> str:
        """Why it ended, in a few words."""
        try:
            state = self._api.inspect_container(container)["State"]
        except docker.errors.NotFound:
            return "removed"
        if state.get("OOMKilled"):
            return "out of memory"
        return f"exit status {state.get('ExitCode')}"

    def write_secrets(self, key: Key, contents: Mapping[str, bytes]) -> None:
        """
        Make *contents* the files of the function's secrets folder; running copies see the change.

        The files can be read by any user, since nobody knows as whom an image runs:
        what keeps others out is the folder above them, which only we may enter.
        """
        folder = secrets_folder(self.options, key)
        for one in (self.options.secrets_dir, self.options.secrets_dir / self.options.owner):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name, content in contents.items():
            self._write(folder / name, content)
        for path in folder.iterdir():
            if path.name not in contents:
                path.unlink(missing_ok=True)

    def forget_secrets(self, key: Key) -> None:
        """Remove the function's secrets folder."""
        shutil.rmtree(secrets_folder(self.options, key), ignore_errors=True)

    def stats(self, container: str) -> Mapping[str, Any] | None:
        """One reading of what it uses; None when it is gone."""
        try:
            found: Mapping[str, Any] = self._api.stats(container, stream=False, one_shot=True)
        except (docker.errors.APIError, ValueError):
            # Of one that ends at this moment the Engine tells nothing, with status 200.
            return None
        return found

    def log_stream(self, container: str, *, tail: int | None, follow: bool, since: datetime | None) -> Any:
        """An iterator of bytes with `close`; each line begins with its time."""
        return self._api.logs(
            container,
            stream=True,
            follow=follow,
            timestamps=True,
            tail=tail if tail is not None and tail > 0 else "all",
            since=since.timestamp() if since is not None else None,
        )

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        if path.is_file() and path.read_bytes() == content:
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix="..")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o444)
        Path(temporary).replace(path)

    def _host_config(self, deployment: FunctionDeployment) -> Any:
        return self._api.create_host_config(**host_settings(self.options, deployment))

    def _read(self, found: Mapping[str, Any]) -> Container:
        marks = found.get("Labels") or {}
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        slot = marks.get(LABEL_SLOT, "")
        return Container(
            id=found["Id"],
            name=(found.get("Names") or [""])[0].lstrip("/"),
            key=(marks.get(LABEL_FUNCTION, ""), marks.get(LABEL_NAMESPACE, "")),
            revision=marks.get(LABEL_REVISION, ""),
            slot=int(slot) if slot.isdigit() else 0,
            state=found.get("State", ""),
            address=(networks.get(self.options.network) or {}).get("IPAddress") or "",
        )


def split_image(image: str) -> tuple[str, str | None]:
    """``host:5000/a/b:1`` → ``host:5000/a/b`` and ``1``; ``latest`` without a tag; a digest stays with the name."""
    if "@" in image:
        return image, None
    head, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", tag if colon else "latest"


def reason(error: BaseException) -> str:
    """The Engine's own words, where there are some."""
    return str(getattr(error, "explanation", None) or error)


def split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of what comes in arbitrary pieces."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def cpu_millicores(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Between two readings of `Engine.stats`."""
    used = _at(after, "cpu_stats", "cpu_usage", "total_usage") - _at(before, "cpu_stats", "cpu_usage", "total_usage")
    seconds = (_when(after) - _when(before)).total_seconds()
    return max(0.0, used / 1e9 / seconds * 1000) if seconds > 0 else 0.0


def memory_bytes(reading: Mapping[str, Any]) -> int:
    """What the container holds, without the file cache that it could do without."""
    stats = (reading.get("memory_stats") or {}).get("stats") or {}
    cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return max(0, _at(reading, "memory_stats", "usage") - int(cache))


def _at(reading: Mapping[str, Any], *path: str) -> int:
    value: Any = reading
    for name in path:
        value = (value or {}).get(name)
    return int(value or 0)


def _when(reading: Mapping[str, Any]) -> datetime:
    # Nanoseconds are more than datetime reads.
    text = str(reading.get("read", ""))[:26].rstrip("Z")
    return datetime.fromisoformat(f"{text}+00:00") if text else datetime.fromtimestamp(0, UTC)
