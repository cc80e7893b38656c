"""A platform behind `requests`' own seam (an adapter): no socket, and every request is kept."""

import io
import json

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from jangada.client import Client

JOB_ID = "job_01JD0000000000000000000000"
FILE_ID = "file_01JD0000000000000000000000"


def job(status="queued", **fields):
    return {"id": JOB_ID, "object": "job", "algorithm": "doc-ocr", "status": status, "attempt": 1, **fields}


class Answer:
    def __init__(self, status=200, body=None, headers=None, *, chunks=None):
        self.status = status
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if chunks is not None:
            self.content = b"".join(chunks)


class FakePlatform(BaseAdapter):
    """Answers from a list, in order; an exception in the list is raised as a broken connection would."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)
        self.requests = []
        self.bodies = []
        self.timeouts = []

    def send(self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
        self.requests.append(request)
        self.timeouts.append(timeout)
        body = request.body
        self.bodies.append(body if body is None or isinstance(body, bytes) else b"".join(body))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.url = request.url
        response.request = request
        response.raw = HTTPResponse(
            body=io.BytesIO(answer.content), headers=answer.headers, status=answer.status, preload_content=False
        )
        return response

    def close(self):
        pass

    def json_body(self, index=-1):
        return json.loads(self.bodies[index])


class HandTurnedClock:
    def __init__(self):
        self.now = 1000.0
        self.sleeps = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


def client_of(platform, **options):
    """A client of *platform* whose sleeping only turns a clock by hand; returns both."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", platform)
    client = Client("http://platform.test", "jgd_key", session=session, **options)
    clock = HandTurnedClock()
    client._transport.sleep = clock.sleep
    client._transport.monotonic = clock
    return client, clock


def problem(status, code, **fields):
    headers = {"Content-Type": "application/problem+json", "X-Request-Id": "req_1"}
    headers |= fields.pop("headers", {})
    return Answer(status, {"title": "No", "status": status, "code": code, "detail": "told why", **fields}, headers)


def event_stream(*events, closed=True):
    text = "retry: 3000\n\n"
    for number, kind, data in events:
        text += f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
    return Answer(200, (text + ("" if closed else ": cut")).encode(), {"Content-Type": "text/event-stream"})
