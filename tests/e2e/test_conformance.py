"""What any client of OpenFaaS may expect of a gateway and its provider, on both of ours. Order does not matter."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.conformance import AUTH, IMAGE, ground, receiver
from tests.servers import until

pytestmark = pytest.mark.timeout(300)
SCALE = "com.openfaas.scale."


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def there(request, tmp_path_factory, redis_url, mongo_url):
    settings = {"JANGADA_REDIS_URL": redis_url, "JANGADA_MONGO_URL": mongo_url}
    with ground(request.param, tmp_path_factory.mktemp(f"conf-{request.param}"), settings) as made:
        yield made


def test_a_function_is_told_as_it_was_deployed(there):
    facts = {
        "labels": {"team": "a.b", SCALE + "min": "1"},
        "annotations": {"topic": "x,y", "note": 'with "quotes"'},
        "envVars": {"EMPTY": "", "SIGNS": "a=b c"},
        "limits": {"memory": "256Mi"},
        "requests": {"memory": "32Mi", "cpu": "50m"},
        "constraints": ["node.role == worker"],
    }
    there.deploy("told", **facts)
    found = there.describe("told")
    assert (found["name"], found["image"], found["replicas"], found["availableReplicas"]) == ("told", IMAGE, 1, 1)
    for name, value in facts.items():
        assert found[name].items() >= value.items() if isinstance(value, dict) else found[name] == value, name
    assert [row["name"] for row in there.system("GET", "functions").json() if row["name"] == "told"] == ["told"]
    assert found["createdAt"].endswith("Z")
    environ = there.invoke("told").json()["environ"]
    assert (environ["EMPTY"], environ["SIGNS"], environ["OPENFAAS_NAME"]) == ("", "a=b c", "told")
    there.deploy("told", "PUT", envVars={"SIGNS": "new"})
    until(lambda: there.invoke("told").json()["environ"].get("SIGNS") == "new", within_s=60)
    assert there.describe("told")["createdAt"] == found["createdAt"]
    there.remove("told")
    until(lambda: there.system("GET", "function/told").status_code == 404)
    assert there.invoke("told").status_code == 404
    assert there.system("DELETE", "functions", {"functionName": "told"}).status_code == 404
    assert there.system("PUT", "functions", {"service": "told", "image": IMAGE}).status_code == 404


def test_an_invocation_passes_through_both_ways(there):
    there.deploy("passes")
    answer = there.invoke("passes/a/b?x=1&x=2&y=%20z", data=b"the body", headers={"X-Own": "1", "Cookie": "a=b"})
    found = answer.json()
    assert (found["method"], found["path"], found["body"]) == ("POST", "/a/b", "the body")
    assert found["query"]["y"] == " z"
    assert (found["headers"]["x-own"], found["headers"]["cookie"]) == ("1", "a=b")
    assert found["headers"]["x-call-id"] == answer.headers["X-Call-Id"]
    assert int(answer.headers["X-Start-Time"]) <= time.time_ns()
    assert there.invoke("passes", headers={"X-Call-Id": "mine"}).json()["headers"]["x-call-id"] == "mine"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert there.invoke("passes", method).json()["method"] == method
    for status in (201, 400, 404, 418, 500, 503):
        answer = there.invoke(f"passes/status/{status}")
        assert (answer.status_code, answer.text) == (status, "as asked")
    answer = there.invoke("passes/redirect", "GET")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://example.com/there")
    assert there.invoke("passes.openfaas-fn").json()["method"] == "POST"
    before = there.describe("passes")["invocationCount"]
    there.invoke("passes")
    until(lambda: there.describe("passes")["invocationCount"] > before)


def test_control_asks_for_a_password_and_invocation_does_not(there):
    for path in ("functions", "secrets", "info", "namespaces"):
        answer = requests.get(f"{there.url}/system/{path}", timeout=10)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="Restricted"')
        wrong = requests.get(f"{there.url}/system/{path}", auth=(AUTH[0], "x"), timeout=10)
        assert wrong.status_code == 401
    assert requests.get(f"{there.url}/healthz", timeout=10).status_code == 200


def test_secrets_are_made_read_changed_and_forgotten(there):
    raw = b"bytes\x01 and a line end\n"
    assert there.system("POST", "secrets", {"name": "s-one", "value": "one"}).status_code in {200, 201, 202}
    body = {"name": "s-two", "rawValue": base64.b64encode(raw).decode()}
    assert there.system("POST", "secrets", body).status_code in {200, 201, 202}
    listed = there.system("GET", "secrets").json()
    assert {"name": "s-one", "namespace": "openfaas-fn"} in listed
    assert all("value" not in row for row in listed)
    there.deploy("keeps-secrets", secrets=["s-one", "s-two"])
    assert there.invoke("keeps-secrets").json()["secrets"] == {"s-one": "one", "s-two": raw.decode()}
    assert there.system("PUT", "secrets", {"name": "s-one", "value": "changed"}).status_code in {200, 202}
    until(
        lambda: there.invoke("keeps-secrets").json()["secrets"] == {"s-one": "changed", "s-two": raw.decode()},
        within_s=60,
    )
    refused = there.system("POST", "functions", {"service": "no-secret", "image": IMAGE, "secrets": ["s-none"]})
    assert (refused.status_code, refused.text.strip()) == (400, "unable to find secret: s-none")
    there.remove("keeps-secrets")
    for name in ("s-one", "s-two"):
        assert there.system("DELETE", "secrets", {"name": name}).status_code in {200, 202}
    assert there.system("GET", "secrets").json() == []
    assert there.system("DELETE", "secrets", {"name": "s-one"}).status_code == 404


def test_a_changed_secret_replaces_replicas_and_fails_no_request(there):
    there.system("POST", "secrets", {"name": "s-turn", "value": "before"})
    there.deploy("turns", secrets=["s-turn"])
    first = there.running("turns")
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            statuses[there.invoke("turns/size").status_code] += 1

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(call)
        there.system("PUT", "secrets", {"name": "s-turn", "value": "after"})
        try:
            until(lambda: there.running("turns") and not there.running("turns") & first, within_s=90, every_s=0.2)
        finally:
            stop.set()
    assert there.invoke("turns").json()["secrets"] == {"s-turn": "after"}
    assert set(statuses) == {200}
    there.remove("turns")


def test_logs_are_lines_of_json_with_name_and_instance(there):
    there.deploy("speaks")
    there.invoke("speaks/say", data=b"a line of my own")

    def lines(**query: str) -> list[dict[str, str]]:
        answer = there.system("GET", "logs", name="speaks", **query)
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.text.splitlines()]

    until(lambda: [one for one in lines() if "a line of my own" in one["text"]], within_s=30, every_s=0.2)
    found = next(one for one in lines() if "a line of my own" in one["text"])
    assert (found["name"], found["namespace"]) == ("speaks", "openfaas-fn")
    assert found["instance"]
    assert len(lines(tail="1")) == 1
    assert lines(since="2999-01-01T00:00:00Z") == []
    assert there.system("GET", "logs", name="nobody").status_code == 404


def test_a_function_of_another_namespace_is_another_one(there):
    made = there.system("POST", "namespace/", {"name": "elsewhere", "labels": {"openfaas": "1"}, "annotations": {}})
    assert made.status_code in {200, 201, 202}
    assert set(there.system("GET", "namespaces").json()) >= {"openfaas-fn", "elsewhere"}
    there.deploy("twin", envVars={"WHERE": "here"})
    there.deploy("twin", namespace="elsewhere", envVars={"WHERE": "there"})
    assert there.invoke("twin").json()["environ"]["WHERE"] == "here"
    assert there.invoke("twin.elsewhere").json()["environ"]["WHERE"] == "there"
    assert [row["name"] for row in there.system("GET", "functions", namespace="elsewhere").json()] == ["twin"]
    body = {"functionName": "twin", "namespace": "elsewhere"}
    assert there.system("DELETE", "functions", body).status_code in {200, 202}
    gone = there.system("DELETE", "namespace/elsewhere", {"name": "elsewhere", "labels": {"openfaas": "1"}})
    assert gone.status_code in {200, 202}
    assert "elsewhere" not in there.system("GET", "namespaces").json()
    assert there.invoke("twin").json()["environ"]["WHERE"] == "here"
    there.remove("twin")


def test_a_new_function_has_its_least_number_of_replicas(there):
    there.deploy("starts-with-two", labels={SCALE + "min": "2", SCALE + "max": "4"})
    until(lambda: there.available("starts-with-two") == 2, within_s=60)
    there.scale("starts-with-two", 3)
    until(lambda: there.available("starts-with-two") == 3, within_s=60)
    assert len({there.invoke("starts-with-two").json()["who"] for _ in range(60)}) >= 2
    there.scale("starts-with-two", 1)
    until(lambda: there.available("starts-with-two") == 1, within_s=60)
    there.remove("starts-with-two")


def test_load_scales_up_and_its_end_scales_down(there):
    """By the alert rule, which is the default, and by a target; a function with equal bounds stays as it is."""
    labels = {
        "by-alert": {SCALE + "min": "1", SCALE + "max": "2"},
        "by-target": {SCALE + "min": "1", SCALE + "max": "3", SCALE + "type": "rps", SCALE + "target": "5"},
        "fixed": {SCALE + "min": "1", SCALE + "max": "1"},
    }
    for name, wanted in labels.items():
        there.deploy(name, labels=wanted)
    most: Counter[str] = Counter()
    stop = threading.Event()

    def call(name: str) -> None:
        session = requests.Session()
        while not stop.is_set():
            assert session.post(f"{there.url}/function/{name}/size", timeout=60).status_code == 200
            time.sleep(0.03)
        session.close()

    def is_up() -> bool:
        for name in labels:
            most[name] = max(most[name], there.replicas(name))
        return most["by-alert"] == 2 and most["by-target"] == 3 and there.available("by-target") == 3

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(call, name) for name in labels]
        try:
            until(is_up, within_s=90, every_s=0.5)
        finally:
            stop.set()
        for one in calls:
            one.result()
    until(lambda: there.replicas("by-alert") == 1, within_s=60, every_s=0.5)
    until(lambda: there.replicas("by-target") == 1, within_s=120, every_s=0.5)
    assert most["fixed"] == 1
    for name in labels:
        there.remove(name)


def test_an_alert_from_elsewhere_moves_replicas_in_steps(there):
    there.deploy("alerted", labels={SCALE + "max": "4", SCALE + "factor": "50"})

    def alert(status: str) -> None:
        body = {"alerts": [{"status": status, "labels": {"function_name": "alerted.openfaas-fn"}}]}
        assert there.system("POST", "alert", body).status_code == 200

    alert("firing")
    assert there.replicas("alerted") == 3
    alert("firing")
    assert there.replicas("alerted") == 4
    alert("resolved")
    assert there.replicas("alerted") == 1
    there.remove("alerted")


def test_at_zero_an_invocation_waits_and_is_answered(there):
    there.deploy("sleeps")
    there.scale("sleeps", 0)
    until(lambda: not there.running("sleeps") and there.available("sleeps") == 0, within_s=60)
    assert there.replicas("sleeps") == 0
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: there.invoke("sleeps", data=str(number)), range(8)))
    print(f"{there.provider}: from zero to eight answers in {time.monotonic() - begun:.2f} s")
    assert [(answer.status_code, answer.json()["body"]) for answer in answers] == [(200, str(n)) for n in range(8)]
    assert there.replicas("sleeps") == 1
    there.remove("sleeps")


def test_idle_it_goes_to_zero_where_its_label_allows_that(there):
    there.deploy("dozes", labels={SCALE + "zero": "true", SCALE + "zero-duration": "2s"})
    there.deploy("stays", labels={SCALE + "zero-duration": "2s"})
    until(lambda: there.replicas("dozes") == 0, within_s=60, every_s=0.2)
    assert there.invoke("dozes").status_code == 200
    assert there.replicas("stays") == 1
    there.remove("dozes")
    there.remove("stays")


def test_later_calls_are_answered_once_with_bodies_of_any_size(there):
    there.deploy("later")
    with receiver() as (address, received):
        large = b"x" * 3_000_000
        answer = requests.post(
            f"{there.url}/async-function/later/size",
            data=large,
            headers={"X-Callback-Url": address, "X-Call-Id": "own-id"},
            timeout=60,
        )
        assert (answer.status_code, answer.content, answer.headers["X-Call-Id"]) == (202, b"", "own-id")
        until(lambda: received, within_s=60)
        headers, body = received[0]
        assert json.loads(body) == {"size": len(large)}
        assert (headers["x-function-status"], headers["x-call-id"]) == ("200", "own-id")
        assert headers["x-function-name"] == "later"
        assert float(headers["x-duration-seconds"]) >= 0
    assert requests.post(f"{there.url}/async-function/nobody", timeout=10).status_code == 404
    assert requests.get(f"{there.url}/async-function/later", timeout=10).status_code in {404, 405}


def test_a_canceled_call_has_no_callback(there):
    there.deploy("later")
    with receiver() as (address, received):
        headers = {"X-Callback-Url": address}
        url = f"{there.url}/async-function/later"
        slow = requests.post(f"{url}?sleep=3", headers=headers, timeout=10).headers["Location"]
        until(lambda: requests.get(f"{there.url}{slow}/status", timeout=10).json()["status"] == "running", within_s=30)
        canceled = requests.delete(f"{there.url}{slow}", timeout=10).json()
        assert canceled["status"] == "canceled"
        quick = requests.post(url, headers=headers, timeout=10)
        until(lambda: received, within_s=30)
        time.sleep(3.5)
        assert [found["x-call-id"] for found, _ in received] == [quick.headers["X-Call-Id"]]
        assert requests.get(f"{there.url}{slow}/status", timeout=10).json()["callback"]["attempts"] == 0


def test_killed_under_load_it_is_back_with_the_same_replicas_and_every_later_call_has_one_answer(there):
    there.deploy("survives", labels={SCALE + "min": "2", SCALE + "max": "2"})
    until(lambda: there.available("survives") == 2, within_s=60)
    before = there.running("survives")
    accepted: list[str] = []
    stop = threading.Event()

    with receiver() as (address, received):

        def call() -> None:
            while not stop.is_set():
                try:
                    there.invoke("survives/size", data=b"x")
                    answer = requests.post(
                        f"{there.url}/async-function/survives/size?sleep=0.05",
                        data=b"x" * 1000,
                        headers={"X-Callback-Url": address},
                        timeout=30,
                    )
                except requests.RequestException:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 202:
                    accepted.append(answer.headers["X-Call-Id"])

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(call)
            time.sleep(2)
            there.kill()
            assert there.running("survives") == before
            begun = time.monotonic()
            there.start()
            until(lambda: there.invoke("survives").status_code == 200, within_s=30)
            print(f"{there.provider}: back after {time.monotonic() - begun:.2f} s")
            seen = len(accepted)
            until(lambda: len(accepted) > seen + 10, within_s=60)
            stop.set()
        assert there.running("survives") == before
        # What the killed gateway was making comes again when its leases end, 15 s after.
        until(lambda: {headers["x-call-id"] for headers, _ in received} >= set(accepted), within_s=90, every_s=0.5)
        print(f"{there.provider}: {len(accepted)} accepted, {len(received)} callbacks")
        assert {headers["x-function-status"] for headers, _ in received} == {"200"}
    there.remove("survives")


def test_info_names_the_provider(there):
    found = there.system("GET", "info").json()
    assert there.provider in found["provider"]["orchestration"]
    assert found["version"]["release"]
    assert found["arch"]
