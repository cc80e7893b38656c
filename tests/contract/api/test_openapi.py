"""The OpenAPI document says what the routes do, and `router` serves it."""

import re

import pytest
from jsonschema import Draft202012Validator

from functions.router.handler import OPENAPI
from jangada.errors import ConfigurationError
from jangada.http.openapi import generate
from scripts.openapi import FILES, ROOT, document, is_valid


@pytest.fixture(scope="module")
def made():
    return document()


def test_committed_documents_are_what_the_code_makes(made):
    import json

    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    for file in FILES:
        assert file.read_text(encoding="utf-8") == text, f"{file.relative_to(ROOT)}: run python scripts/openapi.py"


def test_it_is_valid_openapi(made):
    assert made["openapi"].startswith("3.1")
    assert is_valid(made)


def test_router_serves_it_without_a_credential(api):
    answer = api.http.get("/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.data == OPENAPI.read_bytes()


def test_every_function_is_in_it(made):
    functions = {operation["x-function"] for path in made["paths"].values() for operation in path.values()}
    assert functions == {"auth", "deployments", "files", "nodes", "router"}


def test_a_route_that_describes_nothing_is_named(api):
    api.app.add_url_rule("/v1/secret-door", "door", lambda: "")
    with pytest.raises(ConfigurationError, match="secret-door"):
        generate({"router": api.app}, version="0.0.0")


def check(made, path, method, answer):
    """The answer has a documented status and matches its schema."""
    described = made["paths"][path][method]["responses"][str(answer.status_code)]
    media_type = answer.mimetype
    schema = described["content"][media_type]["schema"]
    Draft202012Validator({**schema, "components": made["components"]}).validate(answer.json)


def test_answers_match_their_schemas(api, made):
    job = api.submit(webhook={"url": "https://app.example.com/"}, metadata={"a": 1})
    path = "/v1/jobs/{job_id}"
    own = f"/v1/jobs/{job['id']}"
    echo = {"algorithm": "echo", "input": {"text": "x"}}
    check(made, "/v1/jobs", "post", api.post("/v1/jobs", echo))
    check(made, "/v1/jobs", "post", api.post("/v1/jobs", echo | {"input": {}}))
    check(made, "/v1/jobs", "post", api.post("/v1/jobs", {"algorithm": "nope"}))
    check(made, "/v1/jobs/batch", "post", api.post("/v1/jobs/batch", [echo, {}]))
    check(made, path, "get", api.get(own))
    check(made, f"{path}/retry", "post", api.post(f"{own}/retry"))
    lease = api.claim()
    check(made, f"{path}/cancel", "post", api.post(f"{own}/cancel"))
    api.finish(lease, {"text": "x"})
    check(made, path, "get", api.get(own))
    check(made, "/v1/jobs", "get", api.get("/v1/jobs"))
    check(made, f"{path}/logs", "get", api.get(f"{own}/logs"))
    check(made, f"{path}/feedback", "post", api.post(f"{own}/feedback", {"correct": True}))
    check(made, f"{path}/cancel", "post", api.post(f"{own}/cancel"))
    check(made, f"{path}/retry", "post", api.post(f"{own}/retry"))
    check(made, "/v1/webhooks/secret", "get", api.get("/v1/webhooks/secret"))
    check(made, "/v1/webhooks/deliveries", "get", api.get("/v1/webhooks/deliveries"))
    check(made, "/v1/webhooks/deliveries/{delivery_id}", "get", api.get("/v1/webhooks/deliveries/msg_0"))


def test_ids_of_operations_are_unique(made):
    ids = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)
