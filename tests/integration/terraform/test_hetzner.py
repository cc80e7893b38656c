"""Rented servers, against the real provider's schema and none of its servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docker_engine import ROOT
from tests.integration.terraform.roles import Box
from tests.requires import requires, requires_docker, requires_program

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of terraform/ and what it reads: init writes a lock of providers beside the configuration."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "terraform", root / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    for name in ("VERSION", "stack.yml", "deploy"):
        source = ROOT / name
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy(source, root / name)
    return root


@pytest.fixture(scope="module")
def environ(tree) -> dict[str, str]:
    """Terraform finds the provider in a folder: it is built from its source, or was."""
    requires_program("terraform")
    requires_program("go")
    mirror = ROOT / "build" / "terraform"
    done = subprocess.run([ROOT / "scripts" / "build_hcloud.sh", mirror], capture_output=True, text=True, timeout=850)
    requires(done.returncode == 0, f"the provider cannot be built: {done.stderr.strip()[-300:]}", "hcloud")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "HCLOUD_"))}
    return clean | {"TF_CLI_CONFIG_FILE": str(mirror / "mirror.tfrc"), "CHECKPOINT_DISABLE": "1"}


def terraform(folder: Path, environ: dict[str, str], *arguments: str, expect: int = 0) -> str:
    command = ["terraform", f"-chdir={folder}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["modules/cloud-hetzner", "environments/hetzner"])
def test_it_is_valid_and_keeps_its_promises(tree, environ, folder):
    place = tree / "terraform" / folder
    terraform(place, environ, "init", "-backend=false", "-input=false")
    terraform(place, environ, "validate")
    assert "0 failed" in terraform(place, environ, "test", "-no-color")


def test_the_provider_itself_reads_the_example(tree, environ):
    # Every argument is looked at before anybody is asked for a token; this one is refused by the provider alone.
    place = tree / "terraform" / "environments" / "hetzner"
    shutil.copy(place / "hetzner.tfvars.example", place / "hetzner.auto.tfvars")
    terraform(place, environ, "init", "-backend=false", "-input=false")
    said = terraform(place, environ, "plan", "-input=false", "-no-color", "-var=ssh_key_file=/dev/null", expect=1)
    assert "token" in said.lower()
    assert "Invalid value for variable" not in said


def test_a_disk_is_not_given_up(tree):
    # Terraform takes nothing but a literal here.
    text = (tree / "terraform" / "modules" / "cloud-hetzner" / "main.tf").read_text()
    block = text.split('resource "hcloud_volume" "data"')[1].split("\nresource ")[0]
    assert "prevent_destroy = true" in block


def test_servers_that_have_no_address_yet_are_planned_without_asking_them(tmp_path):
    requires_program("terraform")
    (tmp_path / "main.tf").write_text(
        'resource "terraform_data" "server" {\n  input = "198.51.100.7"\n}\n'
        'output "machines" {\n  value = { one = { address = terraform_data.server.output, port = 22 } }\n}\n'
        'output "applied" {\n  value = {}\n}\n'
        'output "ssh_config" {\n  value = ""\n}\noutput "known_hosts" {\n  value = ""\n}\n'
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [ROOT / "scripts" / "infra.sh", "plan", tmp_path]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 steps" in done.stdout


@pytest.mark.docker
def test_a_disk_that_is_not_mounted_is_noticed():
    requires_docker()
    box = Box()
    try:
        for name in ("docker", "nft"):
            box.fake(name, "")
        files = {"daemon.json": "{}", "firewall.nft": ""}
        config = {"MANAGE_SYSCTL": "false", "MANAGE_FIREWALL": "false"}
        box.upload("node", config | {"DATA_PATH": "/mnt/HC_Volume_51/jangada"}, files)
        assert "no disk is mounted at /mnt/HC_Volume_51" in box.apply("node", "--check", expect=3)
        box.fake("mountpoint", '[ "$*" = "-q /mnt/HC_Volume_51" ]\n')
        assert "no disk" not in box.apply("node", "--check", expect=3)
        box.upload("node", config | {"DATA_PATH": "/srv/jangada"}, files)
        assert "no disk" not in box.apply("node", "--check", expect=3)
    finally:
        box.close()
