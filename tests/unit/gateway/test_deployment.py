"""What a deploy body means, and what a function's status says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jangada.gateway.deployment import FunctionDeployment, secret_name
from jangada.gateway.errors import BadRequestError

# What faas-cli 0.18 sends for a function with everything.
WHOLE = {
    "service": "hello",
    "image": "me/hello:1",
    "namespace": "dev",
    "envProcess": "python index.py",
    "envVars": {"A": "b"},
    "constraints": ["a=b"],
    "secrets": ["s1"],
    "labels": {"x": "y"},
    "annotations": {"p": "q"},
    "limits": {"memory": "128Mi", "cpu": "500m"},
    "requests": {"memory": "64Mi"},
    "readOnlyRootFilesystem": True,
}


def test_what_was_deployed_is_echoed_to_the_letter():
    deployment = FunctionDeployment.from_json(WHOLE | {"network": "func", "registryAuth": "x"})
    assert deployment.to_json() == WHOLE
    status = deployment.to_status(replicas=2, available=1, invocations=7)
    assert status == {
        **{name: value for name, value in WHOLE.items() if name != "service"},
        "name": "hello",
        "labels": {"x": "y", "faas_function": "hello"},
        "replicas": 2,
        "availableReplicas": 1,
        "invocationCount": 7,
    }


def test_what_is_empty_is_left_out_but_labels_and_annotations_are_always_objects():
    body = {"service": "f", "image": "i", "labels": None, "annotations": None, "envVars": {}, "limits": None}
    status = FunctionDeployment.from_json(body).to_status(replicas=0, available=0, invocations=0)
    assert status == {
        "name": "f",
        "image": "i",
        "namespace": "openfaas-fn",
        "labels": {"faas_function": "f"},
        "annotations": {},
    }


def test_the_creation_is_told_in_whole_seconds_as_go_reads_it():
    deployment = FunctionDeployment("f", "i", created_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    assert deployment.to_status(replicas=1, available=1, invocations=0)["createdAt"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"service": None}, "service"),
        ({"service": "Hello"}, "service"),
        ({"service": "a" * 64}, "service"),
        ({"service": "../x"}, "service"),
        ({"service": 3}, "service"),
        ({"image": ""}, "image"),
        ({"image": "a b"}, "image"),
        ({"namespace": "a/b"}, "namespace not valid"),
        ({"namespace": "x" * 64}, "namespace not valid"),
        ({"envVars": {"A": 1}}, "envVars"),
        ({"envVars": {"A=B": "1"}}, "envVars"),
        ({"envVars": {"A": "nul\0"}}, "envVars"),
        ({"envVars": ["A"]}, "envVars"),
        ({"secrets": ["../../etc/passwd"]}, "secret name"),
        ({"secrets": "s1"}, "secrets"),
        ({"labels": {"x": None}}, "labels"),
        ({"limits": {"memory": 128}}, "limits"),
        ({"readOnlyRootFilesystem": "yes"}, "readOnlyRootFilesystem"),
        ({"annotations": {"jangada.io/routes": "a b"}}, "jangada.io/routes"),
        ({"annotations": {"jangada.io/routes": "a/*"}}, "jangada.io/routes"),
        ({"annotations": {"jangada.io/routes": "*/jobs"}}, "jangada.io/routes"),
    ],
)
def test_what_is_not_acceptable_is_named(change, said):
    with pytest.raises(BadRequestError, match=said):
        FunctionDeployment.from_json(WHOLE | change)


def test_a_name_may_have_63_characters():
    assert FunctionDeployment.from_json(WHOLE | {"service": "a" * 63}).service == "a" * 63


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(BadRequestError):
        FunctionDeployment.from_json(body)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a..b", "-a", "A", "a\n", "a" * 254, ".hidden"])
def test_a_secret_cannot_be_called_like_a_path(name):
    with pytest.raises(BadRequestError):
        secret_name(name)
