"""What Docker Engine is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.provider_docker_engine import cpu_millicores, memory_bytes, split_image, split_lines
from jangada.gateway.provider_docker_spec import (
    LEAST_MEMORY_BYTES,
    DockerOptions,
    container_name,
    environment,
    host_settings,
    parse_quantity,
    revision,
)

OPTIONS = DockerOptions(secrets_dir=Path("/run/x"))


def deployment(**facts):
    return FunctionDeployment(**{"service": "fn", "image": "a/b:1"} | facts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128Mi", 128 * 2**20), ("1G", 10**9), ("1e3", 1000), ("500m", 0.5), ("0.5", 0.5), (".5", 0.5), ("2Ki", 2048)],
)
def test_quantities(text, expected):
    assert float(parse_quantity(text, "memory")) == expected


@pytest.mark.parametrize("text", ["", "lots", "-1", "1 Gi", "1MiB", "NaN", "1e99", "9" * 40, "1.2.3", "Mi", "0x10"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(DeployRefusedError):
        parse_quantity(text, "memory")


def test_memory_is_never_below_what_the_engine_accepts():
    settings = host_settings(OPTIONS, deployment(limits={"memory": "1", "cpu": "1m"}))
    assert settings["mem_limit"] == settings["memswap_limit"] == LEAST_MEMORY_BYTES
    assert settings["nano_cpus"] >= 10_000_000


def test_nobody_gains_rights():
    settings = host_settings(OPTIONS, deployment())
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges"]
    assert settings["init"] is True
    assert "privileged" not in settings
    assert "runtime" not in settings
    assert "binds" not in settings
    assert host_settings(DockerOptions(Path("/x"), runtime="runsc"), deployment())["runtime"] == "runsc"


def test_secrets_and_a_read_only_root():
    settings = host_settings(OPTIONS, deployment(secrets=("a",), read_only_root_filesystem=True))
    assert settings["binds"] == {"/run/x/jangada/openfaas-fn/fn": {"bind": "/var/openfaas/secrets", "mode": "ro"}}
    assert settings["read_only"] is True
    assert "/tmp" in settings["tmpfs"]


def test_the_environment_in_its_order():
    found = environment(
        DockerOptions(Path("/x"), environment={"A": "ours", "B": "ours"}),
        deployment(env_vars={"B": "deployed"}, env_process="run it"),
    )
    assert found == {
        "A": "ours", "B": "deployed", "fprocess": "run it", "OPENFAAS_NAME": "fn", "OPENFAAS_NAMESPACE": "openfaas-fn",
    }  # fmt: skip
    wins = environment(OPTIONS, deployment(env_vars={"fprocess": "mine"}, env_process="run it"))
    assert wins["fprocess"] == "mine"


def test_a_revision_is_content_and_generation():
    assert revision(deployment()) == revision(deployment())
    assert revision(deployment()) != revision(deployment(generation=2))
    assert revision(deployment()) != revision(deployment(env_vars={"A": "1"}))
    name = container_name(OPTIONS, deployment(), 3)
    assert name.startswith("jangada-openfaas-fn-fn-")
    assert name.endswith("-3")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a", ("a", "latest")),
        ("a/b:1", ("a/b", "1")),
        ("host:5000/a/b", ("host:5000/a/b", "latest")),
        ("host:5000/a/b:1", ("host:5000/a/b", "1")),
        ("a@sha256:ff", ("a@sha256:ff", None)),
    ],
)
def test_images_are_split_into_name_and_tag(image, expected):
    assert split_image(image) == expected


def test_lines_out_of_pieces():
    assert list(split_lines(iter([b"a", b"b\nc", b"\n", b"d"]))) == [b"ab", b"c", b"d"]


def test_usage_between_two_readings():
    def reading(second, used):
        return {
            "read": f"2026-01-01T00:00:0{second}.123456789Z",
            "cpu_stats": {"cpu_usage": {"total_usage": used}},
            "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}},
        }

    assert cpu_millicores(reading(1, 0), reading(3, 1_000_000_000)) == pytest.approx(500)
    assert cpu_millicores(reading(1, 5), reading(1, 6)) == 0
    assert memory_bytes(reading(1, 0)) == 700
    assert memory_bytes({}) == 0
