"""The two command lines of docs/nodes.md, through the platform's own gateway: a machine joins and does a job."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.live_platform import ROOT, LivePlatform, live_platform
from tests.servers import until

SERVERS = ("JANGADA_REDIS_URL", "JANGADA_MONGO_URL", "JANGADA_MONGO_DATABASE", "JANGADA_SECRETS_DIR", "JANGADA_URL")


@contextlib.contextmanager
def agent(platform: LivePlatform, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`jangada node run` of the machine whose data are in *home*."""
    environ = {name: value for name, value in platform.environ().items() if name not in SERVERS}
    with (home / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from jangada.cli.main import main; main()", "node", "run", "--algorithms", "echo"],
            env={**environ, "JANGADA_HOME": str(home)},
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_a_machine_joins_works_and_is_revoked(tmp_path):
    home = tmp_path / "desktop"
    with live_platform(tmp_path / "home", ["echo"]) as platform:
        url = platform.connection()["url"]
        token = platform.jangada("node", "token", "create", "--label", "place=desk")
        assert token.returncode == 0, token.stderr
        assert f"jangada node join {url} --token" in token.stderr
        joined = platform.jangada(
            "node", "join", url, "--token", token.stdout.strip(), "--name", "desktop", "--home", str(home)
        )
        assert joined.returncode == 0, joined.stderr
        node_id = joined.stdout.strip()
        again = platform.jangada("node", "join", url, "--token", token.stdout.strip(), "--home", str(tmp_path / "two"))
        assert (again.returncode, again.stderr) == (1, "jangada: the join token was used already\n")

        def shown() -> dict[str, dict]:
            lines = platform.jangada("node", "list", "--json").stdout.splitlines()
            return {one["name"]: one for one in map(json.loads, lines)}

        assert shown()["desktop"]["state"] == "away"
        assert shown()["local"]["transport"] == "direct"
        with agent(platform, home) as process:
            with platform.client() as client:
                need = {"cpu_millicores": 100, "memory_mib": 64}
                wish = {
                    "name": "desk",
                    "algorithm": "echo",
                    "resources": need,
                    "placement": {"labels": {"place": "desk"}},
                }
                client.deployments.create(wish)
                job = client.wait(client.submit("echo", {"value": 7}, deployment="desk").id, timeout_s=90)
                assert job.output["value"] == 7
            assert (shown()["desktop"]["state"], shown()["desktop"]["id"]) == ("alive", node_id)
            assert "desktop" in platform.jangada("node", "list").stdout
            gone = platform.jangada("node", "revoke", node_id)
            assert gone.returncode == 0, gone.stderr
            until(lambda: process.poll() == 1, 60, 0.2)
        assert "was revoked" in (home / "agent.log").read_text()
        assert set(shown()) == {"local"}
