"""The state in a store that speaks S3: one apply at a time, a lock that a dead one leaves, and no secret in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.infra.lock import read_lock
from scripts.infra.terraform import Terraform
from tests.docker_engine import ROOT
from tests.integration.terraform.object_store import ObjectStore
from tests.requires import requires_program
from tests.servers import until

pytestmark = pytest.mark.timeout(300)
STATE, LOCK = "/states/jangada.tfstate", "/states/jangada.tfstate.tflock"
# A step that takes as long as a file is missing, and knows a secret.
MAIN = """
variable "number" { type = number }
variable "secret" {
  type      = string
  ephemeral = true
  sensitive = true
}
resource "terraform_data" "slow" {
  triggers_replace = var.number
  provisioner "local-exec" {
    command     = "until [ -e \\"$GO\\" ]; do sleep 0.1; done; test \\"$SECRET\\" = open-sesame"
    environment = { SECRET = var.secret }
  }
}
output "number" { value = var.number }
"""


class Place:
    """An environment whose state is in the store."""

    def __init__(self, folder: Path, store: ObjectStore, environment: str) -> None:
        self.folder, self.store, self.go = folder, store, folder / "go"
        (folder / "main.tf").write_text(MAIN)
        # What an operator copies, and what he writes.
        shutil.copy(ROOT / "terraform" / "environments" / environment / "backend.tf.example", folder / "backend.tf")
        (folder / "state.s3.tfbackend").write_text(
            'bucket = "states"\nkey = "jangada.tfstate"\nregion = "main"\nuse_path_style = true\n'
            f'endpoints = {{ s3 = "{store.url}" }}\n'
        )
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))} | {
            "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "thing", "AWS_EC2_METADATA_DISABLED": "true",
            "CHECKPOINT_DISABLE": "1", "TF_VAR_secret": "open-sesame", "GO": str(self.go), "NO_PROXY": "127.0.0.1",
        }  # fmt: skip
        self.terraform = Terraform(folder, environ=self.environ)
        self.terraform.init()

    def apply(self, number: int, wait: str = "0s") -> subprocess.Popen[str]:
        command = ["terraform", "apply", "-auto-approve", "-input=false", "-no-color", f"-lock-timeout={wait}"]
        return subprocess.Popen(
            [*command, f"-var=number={number}"], cwd=self.folder, env=self.environ, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def infra(self, *arguments: str, expect: int = 0) -> str:
        command = [ROOT / "scripts" / "infra.sh", *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=100, stdin=None)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def number(self) -> int:
        return json.loads(self.store.objects[STATE])["outputs"]["number"]["value"]


def ended(process: subprocess.Popen[str], expect: int = 0) -> str:
    said, _ = process.communicate(timeout=100)
    assert process.returncode == expect, said
    return said


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    found = ObjectStore()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def place(store, tmp_path) -> Place:
    requires_program("terraform")
    return Place(tmp_path, store, "dedicated")


def killed(place: Place, number: int) -> None:
    """An apply that was killed while it held the lock."""
    process = place.apply(number)
    until(lambda: LOCK in place.store.objects, 60, 0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def test_the_second_of_two_applies_is_refused_and_told_who_has_it(place):
    first = place.apply(1)
    until(lambda: LOCK in place.store.objects, 60, 0.05)
    said = ended(place.apply(2), expect=1)
    assert "Error acquiring the state lock" in said
    lock = read_lock(said)
    assert lock is not None
    assert lock.id == json.loads(place.store.objects[LOCK])["ID"]
    assert "@" in lock.who
    place.go.touch()
    ended(first)
    assert place.number() == 1
    assert LOCK not in place.store.objects


def test_one_that_waits_comes_after(place):
    first = place.apply(1)
    until(lambda: LOCK in place.store.objects, 60, 0.05)
    second = place.apply(2, wait="90s")
    place.go.touch()
    ended(first)
    ended(second)
    assert place.number() == 2


def test_of_many_at_once_one_wins(place):
    many = [place.apply(number) for number in range(1, 5)]
    until(lambda: LOCK in place.store.objects, 60, 0.05)
    # All but one end by themselves: the winner waits for the file.
    until(lambda: sum(one.poll() is not None for one in many) == 3, 100, 0.1)
    place.go.touch()
    codes = [(one.communicate(timeout=100), one.returncode)[1] for one in many]
    assert sorted(codes) == [0, 1, 1, 1]
    assert place.number() == codes.index(0) + 1


def test_a_dead_applys_lock_is_found_and_ended(place):
    killed(place, 1)
    lock = place.terraform.lock()
    assert lock is not None
    place.go.touch()
    assert "Error acquiring the state lock" in ended(place.apply(2), expect=1)
    assert "--yes goes on without" in place.infra("unlock", str(place.folder), expect=2)
    assert LOCK in place.store.objects
    said = place.infra("unlock", str(place.folder), "--yes")
    assert f"{lock}; id {lock.id}" in said
    assert "unlocked" in said
    assert "nobody holds the lock" in place.infra("unlock", str(place.folder), "--yes")
    ended(place.apply(2))
    assert place.number() == 2


def test_a_store_without_conditional_writes_is_no_store_for_this(place):
    # What docs/operate.md tells to try before a store is trusted: here both applies go on.
    place.store.atomic = False
    first = place.apply(1)
    until(lambda: LOCK in place.store.objects, 60, 0.05)
    second = place.apply(2)
    place.go.touch()
    said = [one.communicate(timeout=100)[0] for one in (first, second)]
    assert "Error acquiring the state lock" not in said[1]


def test_no_secret_is_in_the_store(place):
    place.go.touch()
    ended(place.apply(1))
    assert list(place.store.objects) == [STATE]
    assert b"terraform_data" in place.store.objects[STATE]
    assert b"open-sesame" not in place.store.objects[STATE]


@pytest.mark.parametrize("environment", ["dedicated", "hetzner"])
def test_every_environment_has_what_is_copied(environment):
    text = (ROOT / "terraform" / "environments" / environment / "backend.tf.example").read_text()
    assert "use_lockfile                = true" in text
    assert f'key          = "{environment}.tfstate"' in text


def test_the_locks_id_is_the_line_whose_first_word_it_is():
    said = """
│ Error message: operation error S3: PutObject, https response error
│ StatusCode: 412, RequestID: RequestID, HostID: , api error
│ Lock Info:
│   ID:        7af2b5b1
│   Path:      states/jangada.tfstate
│   Operation: OperationTypeApply
│   Who:       ana@office
│   Created:   2026-11-21 17:00:00 UTC
"""
    lock = read_lock(said)
    assert lock is not None
    assert lock.id == "7af2b5b1"
    assert str(lock) == "ana@office has held it for apply since 2026-11-21 17:00:00 UTC"
    assert read_lock("Error: no such thing\nRequestID: 1") is None
