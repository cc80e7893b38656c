"""
From bare servers to a scanned document read over HTTPS, and what comes after: one story, in order (`make test-lab`).

n1 has gateway, edge and backups, n2 the data, n3 runs executors and is reached as a user with sudo; n4 comes and goes.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.infra.terraform import Terraform
from tests.integration.terraform.lab.servers import Lab
from tests.integration.terraform.lab.site import (
    CONFIGURATION,
    FUNCTIONS,
    GIVEN,
    PAGES,
    PREFIX,
    RELEASE,
    AwayError,
    Client,
    Site,
    make_images,
    our,
)
from tests.requires import requires_program
from tests.servers import until

# Three servers with an Engine each take minutes to make: `make test-lab` does.
full = pytest.mark.skipif(os.environ.get("LAB") != "full", reason="make test-lab runs this; test_lab_short.py is here")
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200), full]
HOSTS = {"n1": ["gateway", "edge", "backup"], "n2": ["redis", "mongo"], "n3": ["cpu"]}
BACKUPS = "/var/backups/jangada"
# A job that two busy cores need some tenths of a second for.
LONG = {"texts": ["Era uma vez uma jangada que saiu cedo para o mar e voltou tarde. " * 150] * 12}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    for program in ("terraform", "ssh", "debootstrap", "age"):
        requires_program(program)
    make_images("text-langid", "doc-metadata")
    # ssh refuses a key below a folder that others may write to; the tests' own folder is not always so.
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            lab.open()
            for server in HOSTS:
                lab.start(server)
            lab.load("n1", *our("gateway", *FUNCTIONS))
            lab.load("n2", f"{PREFIX}/redis:1", f"{PREFIX}/mongo:1")
            lab.load("n3", *our("text-langid", "doc-metadata"))
            site = Site(lab, Path(folder), HOSTS)
            site.variables["hosts"]["n3"]["ssh_user"] = "admin"
            site.variables["executors"]["metadata"] = {"algorithm": "doc-metadata"}
            site.variables["backup"] = {"public_key": lab.make_identity(), "keep": 3}
            yield site
        finally:
            lab.close()


@contextmanager
def timed(what: str, most_s: float) -> Iterator[None]:
    """Says how long it took (-s shows it); fails when that is more than *most_s*."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    print(f"\n{what}: {took:.0f} s")
    assert took <= most_s, f"{what} took {took:.0f} s, at most {most_s:.0f}"


@contextmanager
def submitting(client: Client, every_s: float = 0.5) -> Iterator[Callable[[], list[str]]]:
    """Submits all the time, whoever is away; what is yielded ends it and returns the ids that were accepted."""
    stop = threading.Event()

    def go_on() -> list[str]:
        ids = []
        while not stop.wait(every_s):
            try:
                ids.append(client.submit()["id"])
            except AwayError:
                continue
        return ids

    def end() -> list[str]:
        stop.set()
        return running.result(120)

    with ThreadPoolExecutor() as pool:
        running: Future[list[str]] = pool.submit(go_on)
        try:
            yield end
        finally:
            stop.set()


def all_succeed(client: Client, ids: list[str], within_s: float = 120) -> None:
    """None is lost: each is there, and comes to its end."""
    waiting = set(ids)

    def are_done() -> bool:
        for job in list(waiting):
            status = client.get(job)["status"]
            assert status in {"queued", "starting", "running", "succeeded"}, client.get(job)
            if status == "succeeded":
                waiting.discard(job)
        return not waiting

    until(are_done, within_s, 1)


def test_wrong_keys_and_servers_that_are_not_there_are_refused_before_anything_is_touched(site):
    right = site.variables["hosts"]
    site.variables["hosts"] = right | {
        "n2": right["n2"] | {"host_key": right["n1"]["host_key"]},
        "n3": right["n3"] | {"address": site.lab.address("n9")},
    }
    try:
        said = site.up(expect=2)
    finally:
        site.variables["hosts"] = right
    assert "n2" in said and "another host key" in said  # noqa: PT018 - one line for each server
    assert "n3" in said and "cannot be reached" in said  # noqa: PT018
    assert site.lab.run("n1", "ls /var/lib/jangada", expect=2)


def test_from_bare_servers_to_a_scanned_document_read_over_https(site):
    with timed("from bare servers to the first answer", 360):
        said = site.up()
        assert "answers" in said
        assert "scripts/infra.sh key" in said
        with site.client() as client:
            page = {"page": {"file": client.upload(PAGES / "02_recibo.jpg")}}
            done = client.submit("doc-metadata", page, Prefer="wait=60")
            until(lambda: client.get(done["id"])["status"] == "succeeded", 120, 1)
            done = client.get(done["id"])
    assert done["output"]["metadata"]["tipo_documental"]["value"] == "recibo"
    # Its record names the image that ran it.
    image = site.lab.run("n3", f"docker image inspect -f '{{{{.Id}}}}' {our('doc-metadata')[0]}").strip()
    assert done["ran_by"]["image_digest"] == image
    # And the first backup is there.
    assert "jangada-" in site.lab.run("n1", f"ls {BACKUPS}")


def test_there_is_nothing_left_to_do(site):
    terraform = Terraform(CONFIGURATION, var_files=[site.file], state=site.state, environ=site.environ)
    assert terraform.plan(site.folder / "plan") is False
    with timed("a run with nothing to do", 60):
        assert "nothing to do" in site.up()
    assert "every server is as it was left" in site.infra("drift")


def test_no_secret_is_in_state_or_plan(site):
    terraform = Terraform(CONFIGURATION, var_files=[site.file], state=site.state, environ=site.environ)
    assert terraform.plan(site.folder / "plan", variables={"secrets_version": "7"})
    names = site.lab.run("n1", "ls /etc/jangada/secrets").split()
    values = [site.lab.run("n1", f"cat /etc/jangada/secrets/{name}").strip() for name in names if name != "version"]
    assert GIVEN in values
    assert len(values) >= 4
    for file in (site.state, site.folder / "plan"):
        text = file.read_bytes()
        assert [value for value in values if value.encode() in text] == []
    # Nor in what containers are started with, nor in files that others may read.
    for server in HOSTS:
        started = site.lab.run(server, "docker inspect $(docker ps -aq)")
        assert [value for value in values if value in started] == []
        assert site.lab.run(server, f"grep -rlF {GIVEN} /var/lib/jangada /tmp || true").strip() == ""
        assert site.lab.run(server, "find /etc/jangada/secrets -type f -perm /077") == ""


def test_only_the_edge_is_open(site):
    def is_open(server: str, port: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((site.lab.address(server), port)) == 0

    assert is_open("n1", 443)
    assert not is_open("n1", 8080)
    assert not is_open("n2", 6379)
    assert not is_open("n2", 27017)
    # A port that Docker publishes skips the chains that most firewalls are written in.
    site.lab.run(
        "n2", f"docker run -d --rm --name stray -p 7777:7777 {PREFIX}/redis:1 redis-server --port 7777 --bind 0.0.0.0"
    )
    assert not is_open("n2", 7777)
    site.lab.run("n2", "docker stop -t 1 stray")


def test_what_broke_halfway_is_done_again(site):
    right = site.variables["executors"]
    site.variables["executors"] = right | {"nothing": {"algorithm": "no-such"}}
    try:
        said = site.up(expect=1)
    finally:
        site.variables["executors"] = right
    assert "executor on n3: cannot fetch the image jangada-lab/jangada-no-such" in said
    assert "to do:" in said
    said = site.up()
    assert "n3: executor: changed=0" in said
    assert "n2:" not in said
    assert "nothing to do" in site.up()


def test_drift_is_found_and_repaired_on_that_server_only(site):
    site.lab.run("n3", "rm -rf /etc/jangada/executor && docker rm --force jangada-executor-langid-1")
    site.lab.run("n3", "nft delete table inet jangada")
    said = site.infra("drift", expect=3)
    assert "n3: executor differs" in said
    assert "n3: node differs" in said
    assert "n1" not in said
    assert "n2" not in said
    said = site.up()
    assert "n3: executor: starts the container jangada-executor-langid-1" in said
    assert "n3: node: loads the firewall" in said
    assert "n1: " not in said
    assert "n2: " not in said
    assert "every server is as it was left" in site.infra("drift")
    assert site.job()["status"] == "succeeded"


def test_secrets_change_and_everything_goes_on(site):
    before = site.lab.run("n1", "cat /etc/jangada/secrets/gateway-password")
    started = site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis")
    site.variables["secrets_version"], site.given = 2, "another-one-0815"
    said = site.up()
    assert "n2: redis: writes /etc/jangada/redis/users.acl" in said
    assert "n2: redis: changed=1" in said
    assert site.lab.run("n1", "cat /etc/jangada/secrets/gateway-password") != before
    assert site.job()["status"] == "succeeded"
    # Redis learnt of it while it ran, and takes the one before until the next time.
    for password in (GIVEN, site.given, "neither"):
        ping = "redis-cli --tls --cacert /etc/jangada/data-tls/root.crt ping"
        said = site.lab.run("n2", f"docker exec -e REDISCLI_AUTH={password} jangada-redis {ping} 2>&1 || true")
        assert ("PONG" in said) == (password != "neither")
    assert site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis") == started
    assert "nothing to do" in site.up()


def test_a_release_is_rolled_out_while_fifty_jobs_run_and_none_is_lost(site):
    # Another image under another tag, made where it is needed.
    for server, names in (("n1", ["gateway", *FUNCTIONS]), ("n3", ["text-langid", "doc-metadata"])):
        for name in names:
            image = f"{PREFIX}/jangada-{name}"
            site.lab.run(
                server, f"docker build -q -t {image}:next -", text=f"FROM {image}:{RELEASE}\nLABEL release=next\n"
            )
    backups = site.lab.run("n1", f"ls {BACKUPS}/*.age").split()
    with site.client() as client, submitting(client) as submitted:
        # One is due every second, so that some run and others wait at every step of it.
        fifty = [client.submit(input=LONG, delay_s=1 + number)["id"] for number in range(50)]
        assert client.get(fifty[-1])["status"] == "queued"
        site.variables["release"] = "next"
        said = site.up()
        ids = submitted()
        assert "n1: openfaas: deploys the function router next" in said
        assert "n3: executor: starts the container" in said
        assert len(ids) >= 10
        all_succeed(client, fifty + ids)
    # What there was before is in a backup.
    assert len(site.lab.run("n1", f"ls {BACKUPS}/*.age").split()) == len(backups) + 1
    assert "nothing to do" in site.up()


@pytest.mark.parametrize("fate", ["paused", "killed"])
def test_the_server_with_the_data_goes_and_nothing_accepted_is_lost(site, fate):
    with site.client() as client, submitting(client) as submitted:
        before = [client.submit(input=LONG)["id"] for _ in range(5)]
        if fate == "paused":
            site.lab.pause("n2")
        else:
            site.lab.kill("n2")
        try:
            # Refused as it should be, within the time that a client waits: see `Client.submit`.
            with timed(f"{fate}: until a submit is refused", 60):
                until(lambda: not takes(client, before), 60)
            time.sleep(5)
        finally:
            if fate == "paused":
                site.lab.unpause("n2")
            else:
                site.lab.start_again("n2")
        with timed(f"{fate}: until a submit is taken again", 120):
            until(lambda: takes(client, before), 120, 0.5)
        all_succeed(client, before + submitted(), 180)
    assert "every server is as it was left" in site.infra("drift")


def takes(client: Client, ids: list[str]) -> bool:
    """Whether a job is accepted; it is noted then."""
    try:
        ids.append(client.submit()["id"])
    except AwayError:
        return False
    return True


def test_a_server_with_executors_comes_and_goes(site):
    lab = site.lab
    lab.start("n4")
    lab.load("n4", *our("text-langid"))
    lab.run("n4", f"docker tag {our('text-langid')[0]} {PREFIX}/jangada-text-langid:next")
    site.variables["hosts"]["n4"] = site.host("n4", ["cpu"])
    site.variables["executors"]["metadata"]["hosts"] = ["n3"]
    site.variables["executors"]["langid"]["replicas"] = 2
    said = site.up()
    assert "n4: executor: starts the container jangada-executor-langid-2" in said
    count = "docker ps --filter label=io.jangada.role=executor --format '{{.Names}}' | wc -l"
    assert lab.run("n4", count).strip() == "2"
    # With the other one's away, this one does what there is; and what it has it hands back when it goes.
    lab.run("n3", "docker stop jangada-executor-langid-1 jangada-executor-langid-2")
    with site.client() as client:
        assert client.submit(Prefer="wait=30")["status"] == "succeeded"
        ids = [client.submit(input=LONG)["id"] for _ in range(20)]
        lab.run("n3", "docker start jangada-executor-langid-1 jangada-executor-langid-2")
        del site.variables["hosts"]["n4"]
        assert "n4: executor: removed" in site.up()
        all_succeed(client, ids)
    assert lab.run("n4", "docker ps --all --quiet") == ""
    assert lab.run("n4", "find /etc/jangada /var/lib/jangada -type f 2>/dev/null || true") == ""
    assert "jangada" not in lab.run("n4", "nft list tables; systemctl list-unit-files")


def test_a_backup_outlives_everything_and_is_put_into_an_empty_platform(site):
    lab, identity = site.lab, site.lab.identity
    with site.client() as client:
        file = client.upload(PAGES / "02_recibo.jpg")
        jobs = [client.submit(Prefer="wait=30")["id"] for _ in range(10)]
    with timed("a backup", 60):
        lab.run("n1", "systemctl start jangada-backup")
    # No more of them than were asked for, verified, for the other key alone, and said where Prometheus looks.
    assert len(lab.run("n1", f"ls {BACKUPS}/*.age").split()) <= 3
    assert "jangada_backup_failed 0" in lab.run("n1", "cat /var/lib/prometheus/node-exporter/jangada_backup*.prom")
    assert lab.run("n1", f"head -c 21 $(ls -t {BACKUPS}/*.age | head -1)") == "age-encryption.org/v1"
    restore = ("--into", "lab", "--identity", identity, "--yes")
    said = site.script("restore.sh", "--at", "latest", *restore, expect=2)
    assert "the store is not empty: jobs" in said
    said = site.script("restore.sh", "--at", "2020-01-01", *restore, expect=2)
    assert "the oldest is 20" in said

    site.infra("destroy", "--yes", "--wipe-data")
    assert lab.run("n2", "find /var/lib/jangada -type f 2>/dev/null || true") == ""
    with timed("from nothing to everything as it was", 360):
        site.up()
        said = site.script("restore.sh", "--at", "latest", *restore)
    print(said)
    assert "restored and counted" in said
    assert "answers" in said
    # Its keys are those of then.
    with site.client() as client:
        assert [client.get(job)["status"] for job in jobs] == ["succeeded"] * 10
        assert client.download(file) == (PAGES / "02_recibo.jpg").read_bytes()
        assert client.submit(Prefer="wait=30")["status"] == "succeeded"
    said = site.script("restore.sh", "--at", "latest", *restore, expect=2)
    assert "the store is not empty: jobs" in said
    site.script("restore.sh", "--at", "latest", *restore, "--overwrite")
    assert site.job()["status"] == "succeeded"
    assert "every server is as it was left" in site.infra("drift")


def test_a_backup_that_fails_says_so_and_takes_nothing_away(site):
    lab = site.lab
    before = lab.run("n1", f"ls {BACKUPS}")
    lab.run("n2", "docker stop -t 20 jangada-mongo")
    try:
        lab.run("n1", "systemctl start jangada-backup", expect=1)
        told = "cat /var/lib/prometheus/node-exporter/*.prom"
        until(lambda: "jangada_backup_failed 1" in lab.run("n1", told), 20, 0.5)
    finally:
        lab.run("n2", "docker start jangada-mongo")
    assert lab.run("n1", f"ls {BACKUPS}") == before
    assert "MongoDB is not available" in lab.run("n1", "journalctl -u jangada-backup --output cat")
    until(lambda: takes_again(site), 60, 1)


def takes_again(site: Site) -> bool:
    with site.client() as client:
        return takes(client, [])


def test_destroy_leaves_the_servers_clean_and_the_data_where_it_was(site):
    site.infra("destroy", "--yes")
    for server in HOSTS:
        assert site.lab.run(server, "docker ps --all --quiet") == ""
        assert "jangada" not in site.lab.run(server, "nft list tables; systemctl list-unit-files")
        site.lab.run(server, "test ! -e /var/lib/jangada/roles")
    assert site.lab.run("n2", "ls /etc/jangada 2>/dev/null || true") == ""
    assert "appendonlydir" in site.lab.run("n2", "ls /var/lib/jangada/data/redis")
    assert "jangada.db" in site.lab.run("n2", "ls /var/lib/jangada/data/mongo")


def test_what_was_destroyed_comes_back_with_its_data_and_goes_for_good(site):
    del site.variables["executors"]["metadata"]
    site.up()
    # The same key and the same store: jobs of before are still there.
    assert site.job()["status"] == "succeeded"
    site.infra("destroy", "--yes", "--wipe-data")
    for server in HOSTS:
        assert site.lab.run(server, "find /etc/jangada /var/lib/jangada -type f 2>/dev/null || true") == ""
    # Backups are nobody's to take but the operator's.
    assert ".age" in site.lab.run("n1", f"ls {BACKUPS}")
