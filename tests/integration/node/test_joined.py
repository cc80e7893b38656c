"""A node that joined over HTTP: the same executors, and neither Redis nor MongoDB in sight."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from jangada.clock import utc_now
from tests.integration.node.distant import OF_SERVERS, NodesFunction, blind, jangada, join, start, start_function
from tests.integration.node.rig import TENANT, Rig
from tests.servers import until
from tests.tls_front import TlsFront


@pytest.fixture
def function(rig: Rig) -> Iterator[NodesFunction]:
    made = start_function(rig)
    yield made
    rig.stop_agents()
    made.stop()


def test_a_job_runs_on_a_node_that_joined(rig: Rig, function: NodesFunction):
    one = rig.deploy("far", scaling={"idle_s": 1.0})
    node_id = join(rig, function.url, "desktop")
    agent = start(rig, "desktop")
    until(rig.store.nodes, 30)
    job = rig.final(rig.submit(one, {"value": 7}))
    assert (job.status.value, job.output["value"]) == ("succeeded", 7)
    (replica,) = rig.await_ready("far", 1)
    assert replica.node_id == node_id
    until(lambda: not rig.live("far") and not agent.executors(), 30)
    assert agent.stop() == 0
    assert not rig.store.nodes()


def test_what_runs_far_away_knows_no_server_and_outlives_the_function(rig: Rig, function: NodesFunction):
    one = rig.deploy("steady", "sleeps", scaling={"minimum": 1})
    join(rig, function.url, "desktop")
    agent = start(rig, "desktop")
    rig.await_ready("steady", 1)
    for process in agent.executors():
        environ = process.environ()
        assert not [name for name in environ if name in OF_SERVERS]
        assert str(rig.redis.port) not in str(environ)
        assert str(rig.mongo.port) not in str(environ)
        connections = {address.raddr.port for address in process.net_connections() if address.raddr}
        assert connections <= {function.port}
    identity = agent.home / "node" / "identity.json"
    assert identity.stat().st_mode & 0o777 == 0o600

    job_id = rig.submit(one, {"seconds": 2.0})
    until(lambda: rig.job(job_id).status.value == "running", 30)
    function.kill()
    until(lambda: not function.is_running, 10)
    function.start()
    job = rig.final(job_id)
    assert (job.status.value, job.output["attempt"]) == ("succeeded", 1)
    # What was used is billed to whom the job belongs.
    day = utc_now().strftime("%Y-%m-%d")
    until(lambda: any(key.tenant_id == TENANT for key in rig.services.ledger.usage(day, day)), 30)


def test_a_node_that_is_revoked_ends_and_its_job_goes_on_elsewhere(rig: Rig, function: NodesFunction):
    one = rig.deploy("moved", "sleeps", scaling={"minimum": 1})
    node_id = join(rig, function.url, "desktop")
    agent = start(rig, "desktop")
    rig.await_ready("moved", 1)
    job_id = rig.submit(one, {"seconds": 4.0})
    until(lambda: rig.job(job_id).status.value == "running", 30)
    rig.services.nodes.accounts.revoke(node_id, by="key_test")
    assert agent.process.wait(60) == 1
    assert "was revoked" in agent.said()
    assert not agent.executors()
    rig.agent("near")
    job = rig.final(job_id)
    assert (job.status.value, job.output["attempt"]) == ("succeeded", 2)


def test_files_go_there_and_back(rig: Rig, function: NodesFunction):
    one = rig.deploy("files", "writes-files", scaling={"minimum": 1})
    join(rig, function.url, "desktop")
    start(rig, "desktop")
    rig.await_ready("files", 1)
    content = os.urandom(5 * 1024 * 1024)
    file_id = rig.services.artifacts.put(TENANT, content, filename="in.bin").id
    sent = {"files": [{"file": file_id}, {"file": file_id}], "large": 400_000}
    job = rig.final(rig.submit(one, sent, files=(file_id,)))
    assert job.status.value == "succeeded", job
    artifacts = rig.services.artifacts
    output = artifacts.get(job.output_file, TENANT)
    assert output is not None
    with artifacts.open(output) as stream:
        told = json.loads(stream.read())
    assert (told["sizes"], len(told["padding"])) == ([len(content)] * 2, 400_000)
    joined = artifacts.get(told["joined"]["file"], TENANT)
    assert joined is not None
    with artifacts.open(joined) as stream:
        assert stream.read() == content * 2


def test_a_platform_whose_certificate_nobody_vouches_for_is_not_talked_to(rig: Rig, function: NodesFunction):
    front = TlsFront(rig.folder / "front", "127.0.0.1", ("127.0.0.1", function.port))
    front.start()
    try:
        command = [*jangada(), "node", "join", front.url, "--token", "jgn_x_y", "--home", str(rig.folder / "home")]
        for authority, said in (([], "CERTIFICATE_VERIFY_FAILED"), ([front.authority], "no such join token")):
            options = [word for file in authority for word in ("--ca-file", str(file))]
            done = subprocess.run(
                [*command, *options], capture_output=True, text=True, env=blind(rig), cwd=rig.folder, timeout=60
            )
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert said in done.stderr
    finally:
        front.stop()


@pytest.mark.parametrize(
    ("url", "token", "code", "said"),
    [
        ("http://192.0.2.1:8080", "jgn_x_y", 2, "expected https"),
        ("nowhere", "jgn_x_y", 2, "expected the address of a platform"),
        ("{url}", "jgn_x_y", 1, "no such join token"),
        ("http://127.0.0.1:9", "jgn_x_y", 1, "does not answer"),
    ],
)
def test_what_keeps_a_machine_from_joining_is_one_line(rig: Rig, url, token, code, said, request):
    if "{url}" in url:
        url = request.getfixturevalue("function").url
    home = rig.folder / "home"
    command = [*jangada(), "node", "join", url, "--token", token, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, env=blind(rig), cwd=rig.folder, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert said in done.stderr
    assert not (home / "node" / "identity.json").exists()
