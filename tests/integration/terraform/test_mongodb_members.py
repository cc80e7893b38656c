"""
The steps of a MongoDB replica set, in their order, on servers whose Docker Engine and mongosh are a recorder.

No mongod is to be had without internet. members/fake.py keeps the set and refuses what MongoDB would refuse; the
scripts under test are those that go to real servers, and what they send is real commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docker_engine import ROOT, base_image, build, docker, remove_containers

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
# One story, whose longer half `make test-lab` tells.
full = pytest.mark.skipif(os.environ.get("LAB") != "full", reason="make test-lab runs this")
FILES = ROOT / "terraform" / "files"
ROLE = "/var/lib/jangada/roles/mongodb"
ADDRESSES = {f"n{number}": f"127.0.1.{number}" for number in range(1, 6)}


class Members:
    """Servers n1 … n5; the first three make the set unless *names* says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.label = f"jangada-members-{uuid.uuid4().hex[:8]}"
        self.names = ["n1", "n2", "n3"]
        self.image = "mongo:7"
        self.user, self.password = "jangada-1", "first"
        self.before: tuple[str, str] | None = None

    def start(self, image: str) -> None:
        for name, address in ADDRESSES.items():
            docker(
                "run", "--detach", "--init", "--name", f"{self.label}-{name}", "--hostname", name,
                "--label", self.label, "--env", f"ADDRESS={address}", "--volume", f"{self.shared}:/shared",
                "--network", "none", image,
            )  # fmt: skip
        fake = self.folder / "ssh"
        # What the rollout calls: the last two words are the server and the command.
        fake.write_text(
            f'#!/bin/bash\nset -- "${{@: -2}}"\nexec docker exec -i "{self.label}-$1" sh -c "$2"\n',
        )
        fake.chmod(0o755)

    def run(self, server: str, command: str, *, text: str = "") -> subprocess.CompletedProcess[str]:
        line = ["docker", "exec", "-i", f"{self.label}-{server}", "sh", "-c", command]
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=120)

    def bring(self, server: str) -> None:
        """What Terraform and the role secrets bring."""
        config = {
            "DATA_PATH": "/data", "PRIVATE_ADDRESS": ADDRESSES[server], "PORT": "27017", "REPLICA_SET": "true",
            "MEMBERS": " ".join(f"{name}={ADDRESSES[name]}" for name in self.names), "MONGO_IMAGE": self.image,
            "MONGO_AUTHENTICATION": "true", "PATIENCE": "3",
        }  # fmt: skip
        files = {
            f"{ROLE}/lib.sh": (FILES / "lib.sh").read_text(),
            f"{ROLE}/apply.sh": (FILES / "mongodb.sh").read_text(),
            f"{ROLE}/mongodb-members.sh": (FILES / "mongodb-members.sh").read_text(),
            f"{ROLE}/config.env": "".join(f"{name}='{value}'\n" for name, value in config.items()),
            "/etc/jangada/secrets/mongo-keyfile": "key",
            "/etc/jangada/secrets/mongo-user": self.user,
            "/etc/jangada/secrets/mongo-password": self.password,
        }
        if self.before is not None:
            files["/etc/jangada/secrets/mongo-user.before"], files["/etc/jangada/secrets/mongo-password.before"] = (
                self.before
            )
        script = "\n".join(
            f"mkdir -p $(dirname {path}); cat >{path} <<'EOF'\n{text}\nEOF" for path, text in files.items()
        )
        # Secrets have no line's end.
        script += (
            '\nfor file in /etc/jangada/secrets/*; do printf %s "$(cat $file)" >$file.new; mv $file.new $file; done'
        )
        done = self.run(server, "bash -s", text=script)
        assert done.returncode == 0, done.stderr

    def apply(self, *servers: str) -> str:
        said = ""
        for server in servers or self.names:
            self.bring(server)
            done = self.run(server, f"bash {ROLE}/apply.sh 2>&1")
            assert done.returncode == 0, done.stdout
            said += done.stdout
        return said

    def rollout(self, *arguments: str, expect: int = 0) -> str:
        environ = {
            **os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "SSH_CONFIG": "", "KNOWN_HOSTS": "",
            "HOSTS": " ".join(f"{name}={ADDRESSES[name]}" for name in self.names),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", FILES / "mongodb-rollout.sh", *arguments], env=environ, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.shared / "set.json").read_text())

    def change(self, **values: Any) -> None:
        state = self.state
        for address, more in values.pop("members", {}).items():
            state["members"][address] |= more
        (self.shared / "set.json").write_text(json.dumps(state | values))

    def happened(self) -> list[str]:
        """What did, since this was asked last."""
        happened = self.state["happened"]
        self.change(happened=[])
        return happened


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    image = "jangada-test/members:1"
    build(Path(__file__).parent / "members", image, BASE_IMAGE=base_image())
    made = Members(tmp_path_factory.mktemp("members"))
    try:
        made.start(image)
        yield made
    finally:
        remove_containers(made.label)


def test_the_set_is_made_once_and_grows_by_one(members):
    members.apply()
    assert sorted(members.happened()) == [f"start {ADDRESSES[name]}" for name in members.names]
    members.rollout()
    assert members.happened() == ["initiate 127.0.1.1", "user jangada-1", "join 127.0.1.2", "join 127.0.1.3"]
    command = members.state["members"]["127.0.1.2"]["command"]
    assert " ".join(command).endswith("--replSet jangada --keyFile /etc/jangada/mongo/keyfile")
    assert "requireTLS" in command
    assert "changed=0" in members.apply("n2")
    members.rollout()
    assert members.happened() == []


def test_a_change_goes_through_the_secondaries_first_and_the_primary_steps_down(members):
    members.image = "mongo:8"
    said = members.apply()
    assert said.count("is to be restarted, in its turn") == 3
    assert members.happened() == []
    members.change(primary="127.0.1.2")
    members.rollout()
    assert members.happened() == [
        "stop 127.0.1.1", "start 127.0.1.1", "stop 127.0.1.3", "start 127.0.1.3",
        "step down 127.0.1.2", "stop 127.0.1.2", "start 127.0.1.2",
    ]  # fmt: skip


def test_certificates_are_read_again_without_a_restart(members):
    done = members.run("n1", f"bash {ROLE}/apply.sh --do reload")
    assert done.returncode == 0, done.stderr
    assert members.happened() == ["certificate 127.0.1.1"]


@full
def test_nothing_is_restarted_without_a_majority_of_the_others(members):
    members.image = "mongo:9"
    members.apply()
    members.change(members={"127.0.1.3": {"cut_off": True}})
    said = members.rollout(expect=1)
    assert "the other members are no majority, so this one is not restarted" in said
    assert members.happened() == []
    members.change(members={"127.0.1.3": {"cut_off": False}})
    members.rollout()
    happened = members.happened()
    assert sum(one.startswith("start") for one in happened) == 3
    assert "majority lost" not in happened
    assert not [one for one in happened if "as primary" in one]


@full
def test_a_new_password_is_a_new_user_and_the_old_one_goes_last(members):
    members.before, members.user, members.password = (members.user, members.password), "jangada-2", "second"
    members.apply()
    members.rollout()
    assert members.happened() == ["user jangada-2"]
    # Clients of both kinds are let in until all have changed.
    assert members.state["users"] == {"jangada-1": "first", "jangada-2": "second"}
    members.rollout("retire")
    assert members.happened() == ["no user jangada-1"]
    # Two versions at once, as after an apply that ended early: the one that was good last is known.
    members.before, members.user, members.password = ("jangada-3", "third"), "jangada-4", "fourth"
    members.apply()
    members.rollout()
    members.rollout("retire")
    assert members.state["users"] == {"jangada-4": "fourth"}
    assert "fourth" not in "".join(str(one) for one in members.state["happened"])


@full
def test_a_password_that_nobody_knows_is_said(members):
    members.change(users={"jangada-4": "by hand"})
    said = members.rollout(expect=1)
    assert "none of the passwords" in said
    members.change(users={"jangada-4": "fourth"})
    members.happened()


@full
def test_servers_join_later_and_leave(members):
    members.names = ["n1", "n2", "n3", "n4", "n5"]
    members.apply()
    members.happened()
    members.rollout()
    assert members.happened() == ["join 127.0.1.4", "join 127.0.1.5"]
    members.names = ["n1", "n2", "n3"]
    members.apply()
    members.rollout()
    assert members.happened() == ["leave 127.0.1.4", "leave 127.0.1.5"]


@full
def test_one_server_with_data_becomes_the_first_of_a_set_and_two_are_refused(members):
    (members.shared / "set.json").unlink()
    for server in ADDRESSES:
        members.run(server, "pkill -f create_server; rm -rf /etc/jangada/mongo")
    members.names, members.before = ["n1", "n2", "n3"], None
    members.apply()
    own = {"users": {members.user: members.password}}
    members.change(members={"127.0.1.2": own, "127.0.1.3": own})
    assert "several members have data of their own: n2 n3" in members.rollout(expect=1)
    members.change(members={"127.0.1.3": {"users": {}}})
    members.happened()
    members.rollout()
    assert members.happened() == ["initiate 127.0.1.2", "join 127.0.1.1", "join 127.0.1.3"]
