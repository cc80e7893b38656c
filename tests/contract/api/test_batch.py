"""`POST /v1/jobs/batch`: each item its own outcome."""

import json

import pytest

ECHO = {"algorithm": "echo", "input": {"text": "olá"}}


def test_each_item_has_its_own_outcome_in_order(api):
    items = [
        ECHO,
        {"algorithm": "nope"},
        {"algorithm": "echo", "input": {"text": 1}},
        "not an object",
        ECHO | {"metadata": {"row": 4}},
        ECHO | {"colour": "red"},
        None,
    ]
    answer = api.post("/v1/jobs/batch", items)
    assert answer.status_code == 200
    data = answer.json["data"]
    assert [item["index"] for item in data] == list(range(7))
    assert [item["status"] for item in data] == [202, 404, 422, 422, 202, 422, 422]
    assert (answer.json["accepted"], answer.json["refused"]) == (2, 5)
    assert data[0]["job"]["urls"]["self"] == f"/v1/jobs/{data[0]['job']['id']}"
    assert data[1]["error"]["code"] == "unknown_algorithm"
    assert data[2]["error"]["errors"][0]["pointer"] == "/input/text"
    assert data[5]["error"]["errors"][0]["pointer"] == "/colour"
    assert data[4]["job"]["metadata"] == {"row": 4}
    assert api.services.queue.stats("echo").jobs == 2
    assert api.get(f"/v1/jobs/{data[0]['job']['id']}").json["input"] == {"text": "olá"}


def test_ndjson_is_read_line_by_line_and_a_broken_line_spoils_no_other(api):
    body = b"\n".join([json.dumps(ECHO).encode(), b"{broken", b"", b"  ", json.dumps(ECHO).encode(), b"[" * 200])
    answer = api.http.post("/v1/jobs/batch", data=body, headers=api.as_(Content_Type="application/x-ndjson"))
    assert [item["status"] for item in answer.json["data"]] == [202, 400, 202, 400]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "application/json", 400),
        (b"[", "application/json", 400),
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"\n\n", "application/x-ndjson", 422),
        (b"[]", "text/plain", 415),
        (b"[1," * 100_000 + b"1" + b"]" * 100_000, "application/json", 400),
        (b"[" + b"1," * 10_000 + b"1]", "application/json", 413),
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(api, body, media_type, status):
    answer = api.http.post("/v1/jobs/batch", data=body, headers=api.as_(Content_Type=media_type))
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"


def test_a_quota_takes_what_fits_and_says_so_of_the_rest(make):
    api = make()
    api.add_tenant("small", max_jobs=3)
    data = api.post("/v1/jobs/batch", [ECHO] * 5, tenant="small").json["data"]
    assert [item["status"] for item in data] == [202, 202, 202, 429, 429]
    assert data[4]["error"]["code"] == "quota_exceeded"


def test_thousands_in_one_call_are_one_grouped_submission(api):
    answer = api.post("/v1/jobs/batch", [ECHO] * 3000)
    assert answer.json["accepted"] == 3000
    ids = [item["job"]["id"] for item in answer.json["data"]]
    assert ids == sorted(ids)
    assert len(set(ids)) == 3000
    assert api.claim().job_id == ids[0]
