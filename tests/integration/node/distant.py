"""A platform that is reached over HTTP alone: the function `nodes` as a process, and machines that join it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jangada.deployments.deployment import Trust
from tests.integration.node.rig import ROOT, Agent, Rig
from tests.servers import Server

INDEX = ROOT / "template" / "python3-jangada" / "index.py"
OF_SERVERS = ("JANGADA_REDIS_URL", "JANGADA_MONGO_URL", "JANGADA_MONGO_DATABASE")


class NodesFunction(Server):
    """The function `nodes`, as its template serves it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, prefix: Sequence[str] = (), host: str = "") -> None:
        super().__init__(folder)
        self._environ = dict(environ)
        self._prefix = list(prefix)
        self.host = host or "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        function = ROOT / "functions" / "nodes"
        return [
            *self._prefix,
            sys.executable, str(INDEX), "--function", str(function),
            "--host", self.host, "--port", str(self.port), "--metrics-port", "0",
        ]  # fmt: skip

    def environ(self) -> dict[str, str]:
        return self._environ

    def cwd(self) -> Path:
        return ROOT


def start_function(rig: Rig) -> NodesFunction:
    """The function over the rig's servers."""
    made = NodesFunction(rig.folder / "function", rig.environ)
    made.start()
    return made


def join(rig: Rig, url: str, name: str, *options: str, trust: Trust = Trust.TRUSTED, prefix: Sequence[str] = ()) -> str:
    """Let a machine join, with a home of its own in the rig's folder; the id of the node."""
    _, token = rig.services.nodes.accounts.create_token(trust=trust, labels={}, valid_s=60, by="key_test")
    home = rig.folder / name
    home.mkdir(exist_ok=True)
    command = [*prefix, *jangada(), "node", "join", url, "--token", "-", "--name", name, "--home", str(home), *options]
    done = subprocess.run(command, input=token, capture_output=True, text=True, env=blind(rig), cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start(
    rig: Rig, name: str, *options: str, prefix: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Agent:
    """The agent of a machine that has joined. Unless *environ* says so it is told nothing of Redis and MongoDB."""
    home, log = rig.folder / name, rig.folder / f"{name}.log"
    home.mkdir(exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, *jangada(), "node", "run", "--name", name, "--only-wished", *options],
            env={**(environ or blind(rig)), "JANGADA_HOME": str(home)},
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    agent = Agent(process, home, log)
    rig.agents.append(agent)
    return agent


def blind(rig: Rig) -> dict[str, str]:
    """The rig's environment without its servers."""
    return {name: value for name, value in rig.environ.items() if name not in OF_SERVERS}


def jangada() -> list[str]:
    """The command."""
    return [sys.executable, "-c", "from jangada.cli.main import main; main()"]
