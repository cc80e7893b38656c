import base64

import pytest

from jangada.client.webhooks import WebhookError, verify

# The vector in the API conventions, section 6.
SECRET = "whsec_" + base64.b64encode(b"jangada-docs-example-key-0001234").decode()
BODY = b'{"type":"job.succeeded","timestamp":"2026-01-02T03:04:05Z","data":{"id":"job_01"}}'
SIGNATURE = "v1,mZKsX/4dCbH6lLe280fnEx16WUQIDQdY6cRzl9Mi9/E="
HEADERS = {"Webhook-Id": "msg_01", "Webhook-Timestamp": "1767323045", "Webhook-Signature": SIGNATURE}
NOW_S = 1767323045.0


def test_the_published_vector_is_verified():
    assert verify(HEADERS, BODY, SECRET, now_s=NOW_S)["data"] == {"id": "job_01"}


def test_one_right_signature_among_several_is_enough():
    headers = HEADERS | {"Webhook-Signature": f"v1,AAAA v1a,zzzz {SIGNATURE}"}
    assert verify(headers, BODY, SECRET, now_s=NOW_S)["type"] == "job.succeeded"


@pytest.mark.parametrize("age_s", [-301, 301])
def test_an_old_or_future_call_is_refused(age_s):
    with pytest.raises(WebhookError, match="too far"):
        verify(HEADERS, BODY, SECRET, now_s=NOW_S + age_s)


@pytest.mark.parametrize("header", list(HEADERS))
def test_a_missing_header_is_refused(header):
    with pytest.raises(WebhookError, match=header.lower()):
        verify({name: value for name, value in HEADERS.items() if name != header}, BODY, SECRET, now_s=NOW_S)


@pytest.mark.parametrize(
    ("headers", "body", "secret"),
    [
        (HEADERS, BODY + b"\n", SECRET),
        (HEADERS | {"Webhook-Id": "msg_02"}, BODY, SECRET),
        (HEADERS | {"Webhook-Timestamp": "1767323046"}, BODY, SECRET),
        (HEADERS | {"Webhook-Timestamp": "now"}, BODY, SECRET),
        (HEADERS | {"Webhook-Signature": SIGNATURE.replace("v1,", "v2,")}, BODY, SECRET),
        (HEADERS, BODY, "whsec_" + base64.b64encode(b"another").decode()),
        (HEADERS, BODY, "whsec_not base64"),
    ],
)
def test_anything_changed_is_refused(headers, body, secret):
    with pytest.raises(WebhookError):
        verify(headers, body, secret, now_s=NOW_S)
