"""`/system` on the wire: what faas-cli relies on, trap by trap [contract §1, §8]."""

from __future__ import annotations

import base64
import json
import re
import socket
import time

import pytest

from jangada.gateway.basic_auth import Credentials
from jangada.gateway.provider import Replica
from tests.fixed_provider import FixedProvider, function
from tests.integration.gateway.upstream import Upstream, running_gateway
from tests.servers import until

AUTH = ("Authorization", "Basic " + base64.b64encode(b"admin:pass:word").decode())
HELLO = {"service": "hello", "image": "me/hello:1"}


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def front(upstream):
    replicas = [Replica(name, upstream.address) for name in ("echo", "hello")]
    with running_gateway(FixedProvider([function()], replicas), credentials=Credentials("admin", "pass:word")) as made:
        yield made


def ask(front, method, path, body=None, headers=(AUTH,)):
    """Status and body: JSON where it is, text otherwise."""
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    response, answer = front.request(method, path, raw, headers)
    if response.getheader("Content-Type", "").startswith("application/json"):
        return response.status, json.loads(answer)
    return response.status, answer.decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"admin:wrong").decode(),
        "Basic " + base64.b64encode("ádmin:pass:word".encode()).decode(),
        "Digest " + AUTH[1][6:],
    ],
)
def test_without_the_right_credentials_it_is_401_in_the_exact_form(front, header):
    response, body = front.request("GET", "/system/functions", headers=[("Authorization", header)] if header else [])
    assert response.status == 401
    assert response.getheader("WWW-Authenticate") == 'Basic realm="Restricted"'
    assert body == b"invalid credentials"
    assert response.getheader("Content-Type").startswith("text/plain")


@pytest.mark.parametrize("path", ["/healthz", "/", "/function/echo"])
def test_some_paths_are_never_guarded(front, path):
    assert front.request("GET", path)[0].status == 200


def test_the_interface_is_guarded_and_leads_to_what_there_is(front):
    assert front.request("GET", "/ui/")[0].status == 401
    response, _ = front.request("GET", "/ui/", headers=[AUTH])
    assert (response.status, response.getheader("Location")) == (307, "/")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/system/nothing", (404, "404 page not found\n")),
        ("GET", "/system/function/a%20b", (404, "404 page not found\n")),
        ("GET", "/function/a%2Fb", (404, "404 page not found\n")),
        ("PATCH", "/system/functions", (405, "")),
        ("HEAD", "/system/functions", (405, "")),
        ("GET", "/system/scale-function/x", (405, "")),
        ("TRACE", "/function/echo", (405, "")),
    ],
)
def test_the_router_answers_in_its_own_words_before_any_credential(front, method, path, expected):
    assert ask(front, method, path, headers=()) == expected


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("//system/functions", "/system/functions"),
        ("/system//functions?namespace=dev", "/system/functions?namespace=dev"),
        ("/system/x/../functions", "/system/functions"),
        ("/system/function/..", "/system"),
    ],
)
def test_a_path_that_is_not_clean_is_301(front, path, clean):
    response, _ = front.request("GET", path, headers=[AUTH])
    assert (response.status, response.getheader("Location")) == (301, clean)


def test_a_function_from_deploy_to_remove(front):
    assert ask(front, "PUT", "/system/functions", HELLO)[0] == 404
    assert ask(front, "POST", "/system/functions", HELLO) == (202, "")
    status, found = ask(front, "GET", "/system/function/hello?namespace=openfaas-fn")
    assert (status, found["name"], found["image"], found["replicas"]) == (200, "hello", "me/hello:1", 1)
    assert "usage" not in found
    assert ask(front, "GET", "/system/function/hello?usage=1")[1]["usage"] == {"cpu": 12.5, "totalMemoryBytes": 1024.0}
    assert ask(front, "PUT", "/system/functions", HELLO | {"image": "me/hello:2"}) == (202, "")
    assert [one["name"] for one in ask(front, "GET", "/system/functions")[1]] == ["echo", "hello"]
    assert ask(front, "DELETE", "/system/functions", {"functionName": "hello"}) == (202, "")
    assert ask(front, "DELETE", "/system/functions", {"functionName": "hello"})[0] == 404
    assert ask(front, "GET", "/system/function/hello") == (404, "")
    assert ask(front, "POST", "/function/hello")[0] == 404
    assert front.provider.removed == [("hello", "openfaas-fn")]


def test_invocations_are_counted_whatever_their_code_is(front):
    ask(front, "POST", "/system/functions", HELLO)
    for _ in range(3):
        ask(front, "POST", "/function/hello", b"x", headers=())
    assert ask(front, "GET", "/system/function/hello.openfaas-fn")[1]["invocationCount"] == 3
    counted = {one["name"]: one.get("invocationCount", 0) for one in ask(front, "GET", "/system/functions")[1]}
    assert counted == {"echo": 0, "hello": 3}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/system/functions", b"{", 400, "not JSON"),
        ("POST", "/system/functions", b"[]", 400, "JSON object"),
        ("POST", "/system/functions", HELLO | {"secrets": ["s1"]}, 400, "unable to find secret: s1"),
        ("POST", "/system/functions", HELLO | {"namespace": "none"}, 400, "namespace not valid"),
        ("POST", "/system/functions", HELLO | {"annotations": {"jangada.io/routes": "jobs"}}, 400, "belongs to"),
        ("POST", "/system/functions", HELLO | {"image": "me/nowhere"}, 400, "no image me/nowhere"),
        ("POST", "/system/functions", b"x" * (4 * 1024 * 1024 + 1), 400, "bytes"),
        ("POST", "/system/functions", b'{"service": "\xff"}', 400, "not JSON"),
        ("POST", "/system/functions", b"[" * 100_000, 400, "not JSON"),
        ("POST", "/system/secrets", b'{"name": "x", "value": "\\ud800"}', 400, "not JSON"),
        ("DELETE", "/system/functions", {}, 400, "functionName"),
        ("GET", "/system/functions?namespace=none", None, 400, "namespace not valid"),
        ("POST", "/system/scale-function/echo", {"replicas": -1}, 400, "Error unmarshalling request body"),
        ("POST", "/system/scale-function/echo", {"replicas": 1.5}, 400, "Error unmarshalling request body"),
        ("POST", "/system/scale-function/none", {"replicas": 1}, 404, "none"),
        ("POST", "/system/secrets", {"name": "../x", "value": "y"}, 400, "secret name"),
        ("POST", "/system/secrets", {"name": "x", "rawValue": "!"}, 400, "base64"),
        ("PUT", "/system/secrets", {"name": "none", "value": "y"}, 404, "none"),
        ("DELETE", "/system/secrets", {"name": "none"}, 404, "none"),
        ("GET", "/system/namespace/none", None, 404, "none"),
        ("POST", "/system/namespace/", {"name": "dev"}, 400, 'openfaas: "1"'),
        ("PUT", "/system/namespace/openfaas-fn", {"name": "other"}, 400, "other"),
        ("DELETE", "/system/namespace/openfaas-fn", None, 400, "default"),
        ("GET", "/system/logs?name=none", None, 404, "none"),
        ("GET", "/system/logs", None, 422, "name"),
        ("GET", "/system/logs?name=echo&tail=x", None, 422, "tail"),
        ("GET", "/system/logs?name=echo&since=yesterday", None, 422, "since"),
        ("GET", "/system/telemetry", None, 404, "404 page not found"),
        ("POST", "/system/alert", {"alerts": 3}, 400, "alerts"),
    ],
)
def test_errors_are_plain_text_that_names_what_is_wrong(front, method, path, body, status, said):
    front.provider.refuses.add("me/nowhere")
    response, answer = front.request(
        method, path, body if isinstance(body, bytes | None) else json.dumps(body).encode(), [AUTH]
    )
    assert (response.status, said in answer.decode()) == (status, True), answer
    assert response.getheader("Content-Type").startswith("text/plain")
    assert answer.endswith(b"\n")


def test_zero_is_a_number_of_replicas_and_a_request_wakes_the_function(front):
    assert ask(front, "POST", "/system/scale-function/echo", {"serviceName": "echo", "replicas": 0}) == (202, "")
    found = ask(front, "GET", "/system/function/echo")[1]
    assert "replicas" not in found
    assert "availableReplicas" not in found
    assert ask(front, "POST", "/function/echo", b"x", headers=())[0] == 200
    assert ask(front, "GET", "/system/function/echo")[1]["replicas"] == 1


def test_replicas_are_bounded_by_the_functions_own_maximum_and_by_nothing_else(front):
    ask(front, "POST", "/system/functions", HELLO | {"labels": {"com.openfaas.scale.max": "3"}})
    for name, asked, given in (("hello", 9, 3), ("echo", 9, 9)):
        assert ask(front, "POST", f"/system/scale-function/{name}", {"replicas": asked})[0] == 202
        assert ask(front, "GET", f"/system/function/{name}")[1]["replicas"] == given


def test_a_new_function_starts_at_its_minimum(front):
    ask(front, "POST", "/system/functions", HELLO | {"labels": {"com.openfaas.scale.min": "2"}})
    assert ask(front, "GET", "/system/function/hello")[1]["replicas"] == 2


def test_a_secret_from_its_creation_to_its_end(front):
    raw = base64.b64encode(b"line\n").decode()
    secret = {"name": "s1", "namespace": "openfaas-fn", "value": "line", "rawValue": raw}
    assert ask(front, "POST", "/system/secrets", secret) == (201, "")
    assert ask(front, "POST", "/system/secrets", secret)[0] == 409
    assert ask(front, "GET", "/system/secrets") == (200, [{"name": "s1", "namespace": "openfaas-fn"}])
    assert ask(front, "POST", "/system/functions", HELLO | {"secrets": ["s1"]})[0] == 202
    assert ask(front, "PUT", "/system/secrets", {"name": "s1", "value": "new"}) == (202, "")
    # Not 204: faas-cli takes that for an error.
    assert ask(front, "DELETE", "/system/secrets", {"name": "s1"}) == (202, "")
    assert ask(front, "GET", "/system/secrets?namespace=openfaas-fn") == (200, [])


def test_a_secrets_bytes_are_those_of_the_raw_value(front):
    secret = {"name": "s1", "value": "trimmed", "rawValue": base64.b64encode(b"\x00raw\n").decode()}
    ask(front, "POST", "/system/secrets", secret)
    state = front.gateway._state
    assert state._secrets["openfaas-fn", "s1"] == b"\x00raw\n"


def test_a_namespace_and_what_is_in_it(front):
    dev = {"name": "dev", "labels": {"openfaas": "1"}, "annotations": {"openfaas": "1"}}
    assert ask(front, "POST", "/system/namespace/", dev) == (201, "")
    assert ask(front, "POST", "/system/namespace/", dev)[0] == 409
    assert ask(front, "GET", "/system/namespaces") == (200, ["dev", "openfaas-fn"])
    assert ask(front, "PUT", "/system/namespace/dev", dev | {"labels": {"openfaas": "1", "a": "b"}}) == (202, "")
    assert ask(front, "GET", "/system/namespace/dev")[1]["labels"] == {"openfaas": "1", "a": "b"}
    assert ask(front, "POST", "/system/functions", HELLO | {"namespace": "dev"})[0] == 202
    assert ask(front, "GET", "/system/functions?namespace=dev")[1][0]["namespace"] == "dev"
    assert [one["name"] for one in ask(front, "GET", "/system/functions")[1]] == ["echo"]
    assert ask(front, "POST", "/function/hello.dev", b"x", headers=())[0] == 200
    assert ask(front, "POST", "/function/hello", b"x", headers=())[0] == 404
    ask(front, "POST", "/system/secrets", {"name": "s1", "namespace": "dev", "value": "x"})
    assert ask(front, "DELETE", "/system/secrets?namespace=dev", {"name": "s1"})[0] == 202
    assert ask(front, "DELETE", "/system/namespace/dev", dev) == (202, "")
    assert ask(front, "DELETE", "/system/namespace/dev", dev)[0] == 404
    assert ("hello", "dev") in front.provider.removed


def test_info_has_both_versions(front):
    status, info = ask(front, "GET", "/system/info")
    assert status == 200
    assert info["provider"]["provider"] == "jangada-fixed"
    assert info["version"]["release"] == info["provider"]["version"]["release"] == "9.9.9"
    assert info["arch"]


def test_an_alert_is_a_step_up_and_its_end_straight_down(front):
    def alert(status):
        return {"alerts": [{"status": status, "labels": {"function_name": "echo.openfaas-fn"}}]}

    assert ask(front, "POST", "/system/alert", alert("firing")) == (200, "")
    assert ask(front, "GET", "/system/function/echo")[1]["replicas"] == 2
    assert ask(front, "POST", "/system/alert", alert("resolved")) == (200, "")
    assert ask(front, "GET", "/system/function/echo")[1]["replicas"] == 1
    unknown = {"alerts": [{"status": "firing", "labels": {"function_name": "none"}}, {"status": "firing"}]}
    status, body = ask(front, "POST", "/system/alert", unknown)
    assert status == 500
    assert body.splitlines()[0].startswith("[0] ")
    assert len(body.splitlines()) == 2


def test_logs_are_a_json_object_per_line(front):
    front.provider.lines = ["one", "two\r", "três"]
    response, body = front.request("GET", "/system/logs?name=echo&tail=2&follow=false", headers=[AUTH])
    assert response.getheader("Content-Type") == "application/x-ndjson"
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["text"] for line in lines] == ["two\r", "três"]
    assert lines[0] | {"text": ""} == {
        "name": "echo",
        "namespace": "openfaas-fn",
        "instance": "one",
        "timestamp": "2026-01-02T00:00:00Z",
        "text": "",
    }


def test_followed_logs_come_at_once_and_end_with_their_function(front):
    front.provider.lines = ["one"]
    client = front.connect()
    client.sendall(
        f"GET /system/logs?name=echo&follow=1 HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH[1]}\r\n\r\n".encode()
    )
    got = b""
    while b'"one"' not in got:
        got += client.recv(4096)
    begun = time.monotonic()
    ask(front, "DELETE", "/system/functions", {"functionName": "echo"})
    while data := client.recv(4096):
        got += data
        if got.endswith(b"0\r\n\r\n"):
            break
    assert time.monotonic() - begun < 5
    client.close()


def test_a_gateway_that_stops_does_not_wait_for_who_follows_logs(upstream):
    with running_gateway(FixedProvider([function()], [])) as front:
        client = front.connect()
        client.sendall(b"GET /system/logs?name=echo&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(100)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    client.close()


def test_metrics_have_a_port_of_their_own_and_openfaas_names(upstream):
    import http.client

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        provider = FixedProvider([function()], [Replica("echo", upstream.address)])
        with running_gateway(provider, metrics=listening) as front:
            ask(front, "POST", "/function/echo", b"x", headers=())
            ask(front, "POST", "/function/none", b"x", headers=())
            account = front.gateway.accounting.of("echo.openfaas-fn")
            until(lambda: account.in_flight == 0)
            assert front.request("GET", "/metrics")[0].status == 404

            def read(path):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path)
                with connection.getresponse() as response:
                    body = response.read().decode()
                connection.close()
                return response.status, body

            ask(front, "GET", "/system/function/echo")
            ask(front, "DELETE", "/system/namespace/none")
            assert read("/healthz") == (200, "OK")
            assert read("/nothing")[0] == 404
            status, page = read("/metrics")
    assert status == 200
    lines = page.splitlines()
    assert 'gateway_function_invocation_total{code="200",function_name="echo.openfaas-fn"} 1' in lines
    assert 'gateway_function_invocation_started{function_name="echo.openfaas-fn"} 1' in lines
    assert 'gateway_functions_seconds_bucket{code="200",function_name="echo.openfaas-fn",le="+Inf"} 1' in lines
    assert 'gateway_functions_seconds_count{code="200",function_name="echo.openfaas-fn"} 1' in lines
    assert 'gateway_service_count{function_name="echo.openfaas-fn"} 1' in lines
    assert "none" not in page
    assert 'provider_http_requests_total{code="200",method="GET",path="/system/function/{name}"} 1' in lines
    assert 'provider_http_requests_total{code="404",method="DELETE",path="/system/namespace/{name}"} 1' in lines
    # All that the contract lists, with its type and its labels [contract §3].
    for name, kind, labels in (
        ("gateway_function_invocation_total", "counter", {"function_name", "code"}),
        ("gateway_function_invocation_started", "counter", {"function_name"}),
        ("gateway_functions_seconds", "histogram", {"function_name", "code"}),
        ("gateway_service_count", "gauge", {"function_name"}),
        ("provider_http_requests_total", "counter", {"code", "method", "path"}),
        ("provider_http_request_duration_seconds", "histogram", {"code", "method", "path"}),
    ):
        assert f"# TYPE {name} {kind}" in lines
        sample = name + ("_count{" if kind == "histogram" else "{")
        rows = [line for line in lines if line.startswith(sample)]
        assert rows, name
        assert all(set(re.findall(r'(\w+)="', row)) == labels for row in rows), rows
