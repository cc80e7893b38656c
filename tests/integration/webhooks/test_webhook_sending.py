"""Deliveries from the queue to a receiver on this machine, and what the receiver may do to us."""

import contextlib
import http.server
import io
import itertools
import json
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jangada.ids import new_id
from jangada.jobs.job import Job, JobStatus, Webhook
from jangada.jobs.orders import entry
from jangada.jobs.queue import Lease, LeaseAction
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.store import Outcome
from jangada.jobs.store_memory import MemoryJobStore
from jangada.webhooks.delivery import DeliveryState, delivery_id
from jangada.webhooks.dispatcher import WebhookDispatcher
from jangada.webhooks.guard import OutboundError, OutboundGuard, guarded_get
from jangada.webhooks.notifier import WebhookNotifier
from jangada.webhooks.secrets import rotate
from jangada.webhooks.sender import WebhookSender
from jangada.webhooks.service import WebhookService
from jangada.webhooks.signing import verify
from jangada.webhooks.store_memory import MemoryWebhookStore
from jangada.webhooks.sweep import WebhookSweep


class Receiver:
    """A local HTTP server; `answers` maps a path to a function of the handler."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.release = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.calls.append(
                    (time.monotonic(), self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                answer = receiver.answers.get(self.path, 200)
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def url(self, path="/hook", host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def wait_for(self, count, path=None, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = [call for call in self.calls if path is None or call[1] == path]
            if len(found) >= count:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{len(self.calls)} calls, expected {count} on {path}: {[call[1] for call in self.calls]}")


class World:
    """Everything between a job's end and the receiver, in memory."""

    def __init__(self, **sending):
        self.queue, self.jobs, self.store = MemoryJobQueue(), MemoryJobStore(), MemoryWebhookStore()
        self.guard = OutboundGuard(allowed_hosts=["127.0.0.1", "hooks.test"], resolve=lambda host, port: ["127.0.0.1"])
        timeout_s = sending.pop("timeout_s", 5.0)
        self.sender = WebhookSender(self.jobs, self.store, self.guard, timeout_s=timeout_s)
        self.dispatcher = WebhookDispatcher(self.queue, self.sender, idle_s=0.2, **sending)
        self.notify = WebhookNotifier(self.queue)
        self.sweep = WebhookSweep(self.queue, self.jobs, self.store)
        self.service = WebhookService(self.queue, self.store)
        self.dispatcher.start()

    def job(self, url, *, status=JobStatus.SUCCEEDED, events=("completed",), format="standard", output=None, **more):
        job = Job(
            id=new_id("job"),
            tenant_id=more.pop("tenant", "acme"),
            algorithm="echo",
            algorithm_version="1.0.0",
            deployment="echo",
            queue="echo",
            input={},
            created_at=datetime.now(UTC),
            webhook=Webhook(url, events, format),
            **more,
        )
        self.jobs.insert_many([job])
        if status.is_final:
            now = datetime.now(UTC)
            self.jobs.write_outcomes(
                [Outcome(job.id, job.tenant_id, 1, status, 1, output=output, completed_at=now, webhook_due=True)]
            )
        return job

    def lease(self, job):
        made = entry(job)
        return Lease("echo", job.id, 0, 1, job.tenant_id, made.body, LeaseAction.RUN, 0, 0)

    def completed(self, url, **more):
        job = self.job(url, **more)
        self.notify("completed", self.lease(job), more.get("status", JobStatus.SUCCEEDED))
        return job

    def delivery(self, job, state, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.store.get(delivery_id(job.id, "completed"))
            if found is not None and found.state is state:
                return found
            time.sleep(0.01)
        raise AssertionError(f"delivery is {found}")


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def world():
    made = []

    def make(**sending):
        made.append(World(**sending))
        return made[-1]

    yield make
    for one in made:
        one.dispatcher.stop()


def test_completed_job_is_told_with_a_valid_signature(receiver, world):
    here = world()
    job = here.completed(receiver.url(), output={"answer": 42})
    ((_, _, headers, body),) = receiver.wait_for(1)
    told = json.loads(body)
    assert told["type"] == "job.succeeded"
    assert told["data"]["id"] == job.id
    assert told["data"]["output"] == {"answer": 42}
    assert headers["webhook-id"] == delivery_id(job.id, "completed")
    secret = here.service.secrets("acme").current
    sent_at = int(headers["webhook-timestamp"])
    assert verify(secret, headers["webhook-id"], sent_at, body, headers["webhook-signature"], now=time.time())
    assert here.delivery(job, DeliveryState.DELIVERED).attempts[0].status == 200


def test_rotation_sends_two_signatures_that_both_verify(receiver, world):
    here = world()
    before = here.service.secrets("acme").current
    rotate(here.store, "acme", datetime.now(UTC))
    here.completed(receiver.url())
    ((_, _, headers, body),) = receiver.wait_for(1)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (before, here.service.secrets("acme").current):
        args = headers["webhook-id"], int(headers["webhook-timestamp"]), body, headers["webhook-signature"]
        assert verify(secret, *args, now=time.time())


def test_body_over_20_kb_is_thin(receiver, world):
    job = world().completed(receiver.url(), output="x" * 20_001)
    ((_, _, _, body),) = receiver.wait_for(1)
    told = json.loads(body)
    assert len(body) < 1000
    assert told["data"]["id"] == job.id
    assert told["data"]["urls"]["self"] == f"/v1/jobs/{job.id}"
    assert "output" not in told["data"]


def test_cloudevents_are_binary_mode(receiver, world):
    job = world().completed(receiver.url(), format="cloudevents", output=1)
    ((_, _, headers, body),) = receiver.wait_for(1)
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-type"] == "io.jangada.job.succeeded"
    assert headers["ce-source"] == "/v1/deployments/echo"
    assert headers["ce-subject"] == job.id
    assert headers["ce-time"].endswith("Z")
    assert headers["ce-id"] == headers["webhook-id"]
    assert json.loads(body)["output"] == 1


def test_openfaas_call_id_and_traceparent_travel_along(receiver, world):
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    world().completed(receiver.url(), call_id="call-1", traceparent=trace)
    ((_, _, headers, _),) = receiver.wait_for(1)
    assert headers["traceparent"] == trace
    assert headers["x-call-id"] == "call-1"
    assert headers["x-function-status"] == "200"
    assert float(headers["x-duration-seconds"]) >= 0


def test_only_events_that_were_asked_for_are_sent_and_completed_always(receiver, world):
    here = world()
    plain = here.job(receiver.url("/plain"), status=JobStatus.QUEUED)
    chatty = here.job(receiver.url("/chatty"), status=JobStatus.QUEUED, events=("started", "completed"))
    for job in (plain, chatty):
        for _ in range(2):
            here.notify("started", here.lease(job), None)
    ((_, _, _, body),) = receiver.wait_for(1)
    told = json.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["status"]) == ("job.running", chatty.id, "running")
    time.sleep(0.2)
    assert len(receiver.calls) == 1


def test_output_is_told_at_most_once_per_half_second(receiver, world):
    here = world()
    job = here.job(receiver.url(), status=JobStatus.QUEUED, events=("output", "completed"))
    for _ in range(50):
        here.notify("output", here.lease(job), None)
    receiver.wait_for(1)
    time.sleep(0.2)
    assert len(receiver.calls) == 1


def test_failure_is_retried_with_the_same_id_and_a_new_signature(receiver, world, monkeypatch):
    monkeypatch.setattr("jangada.webhooks.delivery.RETRY_DELAYS_S", (0, 1.2, 1.2))
    statuses = itertools.chain([500], itertools.repeat(204))

    def answer(handler):
        handler.send_response(next(statuses))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answers["/hook"] = answer
    here = world()
    job = here.completed(receiver.url())
    first, second = receiver.wait_for(2)
    assert first[2]["webhook-id"] == second[2]["webhook-id"]
    assert first[2]["webhook-timestamp"] != second[2]["webhook-timestamp"]
    assert first[2]["webhook-signature"] != second[2]["webhook-signature"]
    assert second[0] - first[0] > 1.0
    assert [one.status for one in here.delivery(job, DeliveryState.DELIVERED).attempts] == [500, 204]


def test_retry_after_of_429_is_honoured(receiver, world):
    def answer(handler):
        handler.send_response(429)
        handler.send_header("Retry-After", "100")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answers["/hook"] = answer
    here = world()
    job = here.completed(receiver.url())
    receiver.wait_for(1)
    delivery = here.delivery(job, DeliveryState.PENDING)
    assert (delivery.next_at - delivery.attempts[0].at).total_seconds() == 100


def test_redirect_is_a_failure_that_is_named_and_not_followed(receiver, world):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", receiver.url("/elsewhere"))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answers["/hook"] = answer
    here = world()
    job = here.completed(receiver.url())
    receiver.wait_for(1)
    delivery = here.delivery(job, DeliveryState.PENDING)
    assert delivery.attempts[0].status == 302
    assert "redirect" in delivery.attempts[0].error
    assert "/elsewhere" not in [call[1] for call in receiver.calls]


def test_410_disables_the_endpoint_until_a_redelivery(receiver, world):
    receiver.answers["/hook"] = 410
    here = world()
    first = here.completed(receiver.url())
    assert here.delivery(first, DeliveryState.FAILED).attempts[0].status == 410
    second = here.completed(receiver.url())
    assert "410" in here.delivery(second, DeliveryState.FAILED).attempts[0].error
    assert len(receiver.calls) == 1
    other_tenant = here.completed(receiver.url(), tenant="globex")
    here.delivery(other_tenant, DeliveryState.FAILED)
    assert len(receiver.calls) == 2
    receiver.answers["/hook"] = 200
    here.service.redeliver(delivery_id(second.id, "completed"), "acme")
    assert here.delivery(second, DeliveryState.DELIVERED).attempts[-1].status == 200


def test_redelivery_of_a_delivered_one_sends_it_again_with_the_same_id(receiver, world):
    here = world()
    job = here.completed(receiver.url())
    here.delivery(job, DeliveryState.DELIVERED)
    here.service.redeliver(delivery_id(job.id, "completed"), "acme")
    first, second = receiver.wait_for(2)
    assert first[2]["webhook-id"] == second[2]["webhook-id"]


def test_dead_receiver_is_retried_and_shown(world):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    here = world()
    job = here.completed(f"http://127.0.0.1:{port}/")
    delivery = here.delivery(job, DeliveryState.PENDING)
    assert delivery.attempts[0].status is None
    assert delivery.attempts[0].error.startswith("unreachable")


def test_slow_receiver_times_out_and_holds_nobody_else(receiver, world):
    receiver.answers["/slow"] = lambda handler: receiver.release.wait(30)
    here = world(timeout_s=1.0, senders=8)
    slow = [here.completed(receiver.url("/slow", "hooks.test")) for _ in range(40)]
    receiver.wait_for(1, "/slow")
    began = time.monotonic()
    here.completed(receiver.url("/quick"))
    receiver.wait_for(1, "/quick")
    assert time.monotonic() - began < 0.8
    assert here.delivery(slow[0], DeliveryState.PENDING).attempts[0].error.startswith("timeout")


def test_dripping_receiver_is_cut_off_at_the_deadline(receiver):
    def drip(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not receiver.release.wait(0.05):
                handler.wfile.write(b"X-Drip: 1\r\n")
                handler.wfile.flush()
        handler.close_connection = True

    receiver.answers["/hook"] = drip
    guard = OutboundGuard(allowed_hosts=["127.0.0.1"])
    began = time.monotonic()
    with pytest.raises(OutboundError) as caught:
        guard.request("POST", receiver.url(), body=b"{}", timeout_s=0.5)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 1.5


def test_second_answer_of_dns_is_never_asked_for(receiver):
    """DNS rebinding: the name is public when checked; only the checked address is connected to."""
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["198.18.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    guard = OutboundGuard(allow_http=True, resolve=resolve)
    with pytest.raises(OutboundError) as caught:
        guard.request("GET", f"http://rebind.example.com:{receiver.port}/", timeout_s=1)
    assert caught.value.reason == "refused"
    assert asked == ["rebind.example.com"]
    with pytest.raises(OutboundError):
        guard.request("GET", f"http://rebind.example.com:{receiver.port}/", timeout_s=1)
    assert receiver.calls == []


def test_connection_goes_to_the_checked_address_with_the_name_kept(receiver):
    guard = OutboundGuard(allowed_hosts=["hooks.test"], resolve=lambda host, port: ["127.0.0.1"])
    assert guard.request("GET", receiver.url("/named", "hooks.test")).status == 200
    assert receiver.calls[0][2]["host"] == f"hooks.test:{receiver.port}"


def test_address_that_turned_internal_fails_for_good(receiver, world):
    here = world()
    here.guard._allowed = frozenset()
    here.guard._allow_http = True
    job = here.completed(receiver.url(host="turned.example.com"))
    assert here.delivery(job, DeliveryState.FAILED).attempts[0].error.startswith("refused")
    assert receiver.calls == []


def test_guarded_get_is_bounded_in_size(receiver):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/png")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)

    receiver.answers["/file"] = answer
    receiver.answers["/moved"] = 302
    guard = OutboundGuard(allowed_hosts=["127.0.0.1"])
    assert guarded_get(receiver.url("/file"), max_bytes=1000, timeout_s=5, guard=guard) == (b"x" * 1000, "image/png")
    with pytest.raises(OutboundError) as caught:
        guarded_get(receiver.url("/file"), max_bytes=999, timeout_s=5, guard=guard)
    assert caught.value.reason == "too_large"
    with pytest.raises(OutboundError) as caught:
        guarded_get(receiver.url("/moved"), max_bytes=999, timeout_s=5, guard=guard)
    assert caught.value.reason == "unreachable"
    buffer = io.BytesIO()
    guard.download(receiver.url("/file"), buffer, max_bytes=2000, timeout_s=5)
    assert len(buffer.getvalue()) == 1000


def test_completed_is_sent_although_nobody_notified(receiver, world):
    here = world()
    job = here.job(receiver.url())
    assert here.sweep.sweep_once() == 1
    here.delivery(job, DeliveryState.DELIVERED)
    assert here.jobs.webhooks_due(10) == []
    assert here.sweep.sweep_once() == 0


def test_sweep_after_a_notified_delivery_sends_nothing_twice(receiver, world):
    here = world()
    job = here.completed(receiver.url())
    here.delivery(job, DeliveryState.DELIVERED)
    here.sweep.sweep_once()
    time.sleep(0.2)
    assert len(receiver.calls) == 1
    assert here.jobs.webhooks_due(10) == []


def test_delivery_that_the_queue_lost_is_brought_back(receiver, world):
    here = world()
    job = here.job(receiver.url())
    old = here.sweep._completed(job)

    here.store.add([replace(old, next_at=old.created_at - timedelta(seconds=200))])
    assert here.sweep.sweep_once() == 1
    here.delivery(job, DeliveryState.DELIVERED)
