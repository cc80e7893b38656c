"""Lists: limit and cursor."""

from __future__ import annotations

import pytest

from jangada.http.paging import decode_cursor, encode_cursor


def test_a_page_names_the_next_one_with_the_same_query(client):
    answer = client.get("/v1/list?limit=3&status=queued")
    assert answer.json["data"] == [3, None]
    assert answer.json["has_more"] is True
    cursor = answer.json["next_cursor"]
    assert answer.headers["Link"] == f'<http://localhost/v1/list?limit=3&status=queued&cursor={cursor}>; rel="next"'
    assert client.get(f"/v1/list?cursor={cursor}").json["data"] == [20, "job_7"]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=201", "limit=x", "limit=1.5", "limit=", "limit=٣"])
def test_a_limit_out_of_bounds_is_422(client, query):
    answer = client.get(f"/v1/list?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/query/limit"


@pytest.mark.parametrize("cursor", ["x", "%%", "MTpkZ*", "Mjp4", "MTo", "//8", "é"])
def test_a_cursor_that_we_did_not_make_is_422(client, cursor):
    answer = client.get("/v1/list", query_string={"cursor": cursor})
    assert answer.status_code == 422


def test_a_cursor_is_opaque_and_comes_back():
    assert decode_cursor(encode_cursor("job_01J")) == "job_01J"
    assert "job" not in encode_cursor("job_01J")
