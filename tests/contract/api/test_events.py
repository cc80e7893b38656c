"""API conventions §5: server-sent events."""

import json
import threading
import time

import pytest

from functions.router.events import EventSource


def read(text):
    """The events of a stream: (id, type, data)."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":") and ": " in line)
        if "event" in fields:
            found.append((int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])))
    return found


def follow(api, job, query="", **headers):
    return api.get(f"/v1/jobs/{job['id']}/events{query}", Accept="text/event-stream", **headers)


def lived(api):
    job = api.submit()
    lease = api.claim()
    execution = api.execution()
    execution.emit(lease, [("job.progress", {"progress": 0.4, "message": "page 2/5"})])
    execution.emit(lease, [("job.log", {"stream": "stdout", "text": "olá\nmundo"})])
    execution.emit(lease, [("job.output", {"index": 0, "chunk": {"page": 1}})])
    api.finish(lease, {"text": "done"})
    return job


def test_a_jobs_life_is_told_and_the_stream_ends_with_the_final_event(api):
    answer = follow(api, lived(api))
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.text.startswith("retry: 3000\n\n")
    events = read(answer.text)
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    types = [kind for _, kind, _ in events]
    assert types[0] == "job.queued"
    assert types[-4:] == ["job.progress", "job.log", "job.output", "job.succeeded"]
    told = {kind: data for _, kind, data in events}
    assert told["job.progress"]["progress"] == 0.4
    assert told["job.log"]["text"] == "olá\nmundo"
    assert told["job.output"]["chunk"] == {"page": 1}
    assert told["job.succeeded"]["status"] == "succeeded"


@pytest.mark.parametrize("by_header", [True, False])
def test_a_stream_goes_on_after_the_last_event_seen(api, by_header):
    job = lived(api)
    everything = read(follow(api, job).text)
    seen = everything[2][0]
    if by_header:
        rest = read(follow(api, job, Last_Event_ID=str(seen)).text)
    else:
        rest = read(follow(api, job, f"?after={seen}").text)
    assert rest == everything[3:]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "0" * 17 + "9" * 4400])
def test_a_last_event_id_that_is_no_number_is_422(api, after):
    assert follow(api, api.submit(), f"?after={after}").status_code == 422


def test_lost_history_is_a_gap_then_a_snapshot_then_the_rest(api):
    job = lived(api)
    api.services.queue.drop("echo", [job["id"]])
    events = read(follow(api, job, "?after=50").text)
    assert [kind for _, kind, _ in events] == ["error", "job.snapshot", "job.succeeded"]
    assert events[0][2]["code"] == "gap"
    assert events[1][2]["id"] == job["id"]
    assert events[1][2]["output"] == {"text": "done"}


def test_a_final_job_without_history_still_ends_its_stream(api):
    job = api.submit()
    api.run_one()
    api.services.queue.drop("echo", [job["id"]])
    assert read(follow(api, job).text)[-1][1] == "job.succeeded"


def test_silence_is_filled_with_comments(api):
    job = api.submit()
    record = api.services.jobs.get(job["id"], "acme")
    lines = EventSource(api.services.jobs, record, after=0, base="", keep_alive_s=0.2).lines()
    assert next(lines) == b"retry: 3000\n\n"
    assert b"event: job.queued" in next(lines)
    began = time.monotonic()
    assert next(lines) == b": keep-alive\n\n"
    assert 0.1 < time.monotonic() - began < 1
    api.run_one()
    assert b"job.succeeded" in b"".join(lines)


def test_events_come_as_they_happen(api):
    job = api.submit()
    came = []

    def watch():
        answer = follow(api, job)
        came.extend((time.monotonic(), chunk) for chunk in answer.response)

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.2)
    lease = api.claim()
    api.execution().emit(lease, [("job.progress", {"progress": 0.5})])
    told_at = time.monotonic()
    api.finish(lease)
    watcher.join(10)
    progress_at = next(at for at, chunk in came if b"job.progress" in chunk)
    assert progress_at - told_at < 0.5
    assert b"job.succeeded" in came[-1][1]


def test_a_place_is_given_back_when_the_caller_goes_away(make):
    api = make(threads=17)
    job = api.submit()
    for _ in range(3):
        answer = api.http.open(f"/v1/jobs/{job['id']}/events", headers=api.as_(), buffered=False)
        assert answer.status_code == 200
        answer.close()
