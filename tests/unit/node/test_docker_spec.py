"""What a replica's container is."""

from __future__ import annotations

import argparse
import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("docker")

from jangada.algorithms.batching import Batching
from jangada.deployments.deployment import Deployment, GpuNeed, Resources, Timeouts
from jangada.deployments.replica import claimed
from jangada.executor.terms import NO_TERMS, Terms, add_options, terms_of
from jangada.node.docker_spec import SECRETS_PATH, ContainerSpec, container_arguments, host_arguments, prepare_folders
from jangada.node.engine import Order
from jangada.remote.identity import NodeIdentity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "redis://:pa55@redis:6379/0"


def spec(folders=Path("/run/jangada"), **environ):
    return ContainerSpec("node_1", {"echo": "img:1"}, environ, SECRET, "mongodb://u:pa55@m/", folders, network="lan")


def order(gpu=None, gpus=(), memory_mib=512):
    deployment = Deployment("d", "echo", "dep.d", NOW, NOW, resources=Resources(1500, memory_mib, gpu))
    replica = claimed(deployment.stable, 0, "node_1", now=NOW, until=NOW, gpus=gpus)
    return Order(replica, deployment.stable, deployment)


def test_cores_and_memory_are_limits():
    host = host_arguments(spec(), order())
    assert (host["nano_cpus"], host["mem_limit"], host["memswap_limit"]) == (1_500_000_000, 2**29, 2**29)
    assert host["network_mode"] == "lan"


def test_gpus_are_given_by_uuid_and_only_where_there_are_some():
    host = host_arguments(spec(), order(GpuNeed(), ("GPU-a",)))
    (request,) = host["device_requests"]
    assert request["DeviceIDs"] == ["GPU-a"]
    assert "device_requests" not in host_arguments(spec(), order())


def test_addresses_come_as_files_and_what_is_true_of_this_machine_alone_stays_here(tmp_path):
    environ = {"JANGADA_REDIS_URL": SECRET, "JANGADA_HOME": "/h", "JANGADA_LEASE_S": "3", "PATH": "/bin"}
    arguments = container_arguments(spec(**environ), order())
    assert arguments["environment"] == {"JANGADA_LEASE_S": "3"}
    one = spec(tmp_path / "replicas")
    prepare_folders(one, "rep_1")
    secret = one.folder("rep_1") / "secrets" / "redis-url"
    assert secret.read_text() == SECRET
    assert stat.S_IMODE(one.folders.stat().st_mode) == 0o700


def test_a_folder_of_files_is_seen_under_the_same_path():
    host = host_arguments(spec(JANGADA_ARTIFACTS="folder:/data/files"), order())
    assert host["binds"]["/data/files"] == {"bind": "/data/files", "mode": "rw"}


def test_nobody_in_it_gains_rights():
    host = host_arguments(spec(), order())
    assert host["cap_drop"] == ["ALL"]
    assert host["security_opt"] == ["no-new-privileges"]
    assert host["restart_policy"] == {"Name": "no"}


def test_the_executor_is_told_what_its_deployment_asks_for():
    wish = Deployment(
        "d", "echo", "dep.d", NOW, NOW, model="-types@production", resources=Resources(gpu=GpuNeed()),
        timeouts=Timeouts(execution_s=2.5), batching=Batching(8, 5, is_adaptive=True),
    )  # fmt: skip
    replica = claimed(wish.stable, 0, "node_1", now=NOW, until=NOW)
    command = container_arguments(spec(), Order(replica, wish.stable, wish))["command"]
    parser = argparse.ArgumentParser()
    for name in ("--queue", "--drain-s", "--ready-file"):
        parser.add_argument(name)
    add_options(parser)
    told = terms_of(parser.parse_args(command[1:]))
    assert told == Terms(2.5, "-types@production", Batching(8, 5, is_adaptive=True), needs_gpu=True)
    plain = container_arguments(spec(), order())["command"]
    assert terms_of(parser.parse_args(plain[1:])) == NO_TERMS


def test_a_joined_nodes_containers_get_its_identity_and_no_server(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("certificates")
    file = tmp_path / "identity.json"
    made = NodeIdentity("https://jangada.example", "node_1", "a key", str(authority))
    made.save(file)
    joined = replace(spec(tmp_path / "run", JANGADA_NODE_IDENTITY=str(file)), identity=file)
    prepare_folders(joined, "rep_1")
    secrets = {one.name: one.read_text() for one in (tmp_path / "run" / "rep_1" / "secrets").iterdir()}
    assert set(secrets) == {"node-identity", "platform-ca"}
    assert secrets["platform-ca"] == "certificates"
    inside = NodeIdentity(**json.loads(secrets["node-identity"]))
    assert inside == replace(made, ca_file=f"{SECRETS_PATH}/platform-ca")
    environment = container_arguments(joined, order())["environment"]
    assert environment == {"JANGADA_NODE_IDENTITY": f"{SECRETS_PATH}/node-identity"}
