"""The short cut of the lab, for every run: one server with everything, from nothing to a restored backup and back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.terraform.lab.servers import Lab
from tests.integration.terraform.lab.site import FUNCTIONS, PREFIX, Site, make_images, our
from tests.requires import requires_docker, requires_program

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    requires_docker()
    for program in ("terraform", "ssh", "debootstrap", "age"):
        requires_program(program)
    make_images("text-langid")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            lab.open()
            lab.start("n1")
            images = [f"{PREFIX}/redis:1", f"{PREFIX}/mongo:1", *our("gateway", "text-langid", *FUNCTIONS)]
            lab.load("n1", *images)
            site = Site(lab, Path(folder), {"n1": ["gateway", "edge", "redis", "mongo", "cpu", "backup"]})
            site.variables["backup"] = {"public_key": lab.make_identity()}
            yield site
        finally:
            lab.close()


def test_one_server_from_nothing_to_a_restored_backup_and_back(site):
    lab = site.lab
    site.up()
    job = site.job()
    assert job["status"] == "succeeded"
    assert "nothing to do" in site.up()

    # Drift is found and repaired.
    lab.run("n1", "docker rm --force jangada-executor-langid-1")
    assert "n1: executor differs" in site.infra("drift", expect=3)
    said = site.up()
    assert "n1: executor: starts the container jangada-executor-langid-1" in said
    assert "n1: redis:" not in said

    # What is in a backup is there again.
    lab.run("n1", "systemctl start jangada-backup")
    later = site.job()
    said = site.script(
        "restore.sh", "--at", "latest", "--into", "lab", "--identity", lab.identity, "--yes", "--overwrite"
    )
    assert "restored and counted" in said
    with site.client() as client:
        assert client.get(job["id"])["status"] == "succeeded"
        assert not client.knows(later["id"])
    assert site.job()["status"] == "succeeded"

    site.infra("destroy", "--yes", "--wipe-data")
    assert lab.run("n1", "docker ps --all --quiet") == ""
    assert lab.run("n1", "find /etc/jangada /var/lib/jangada -type f 2>/dev/null || true") == ""
