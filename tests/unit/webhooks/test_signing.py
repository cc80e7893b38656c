"""Standard Webhooks 1.0.0: the vector of the API conventions, rotation, and what `verify` refuses."""

import base64

import pytest

from jangada.webhooks.signing import key_of, new_secret, sign, signed_headers, verify

KEY = b"jangada-docs-example-key-0001234"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"type":"job.succeeded","timestamp":"2026-01-02T03:04:05Z","data":{"id":"job_01"}}'
SIGNATURE = "v1,mZKsX/4dCbH6lLe280fnEx16WUQIDQdY6cRzl9Mi9/E="
AT = 1767323045


def test_documented_vector_is_reproduced():
    assert sign(key_of(SECRET), "msg_01", AT, BODY) == SIGNATURE


def test_rotation_sends_both_signatures_separated_by_a_space():
    older = new_secret()
    headers = signed_headers([SECRET, older], "msg_01", AT, BODY)
    first, second = headers["webhook-signature"].split(" ")
    assert first == SIGNATURE
    assert verify(older, "msg_01", AT, BODY, headers["webhook-signature"], now=AT)
    assert verify(SECRET, "msg_01", AT, BODY, headers["webhook-signature"], now=AT)
    assert second != first


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "now"),
    [
        (new_secret(), "msg_01", AT, BODY, AT),
        (SECRET, "msg_02", AT, BODY, AT),
        (SECRET, "msg_01", AT + 1, BODY, AT),
        (SECRET, "msg_01", AT, BODY + b"\n", AT),
        (SECRET, "msg_01", AT, BODY, AT + 301),
        (SECRET, "msg_01", AT, BODY, AT - 301),
    ],
    ids=["other secret", "other id", "other timestamp", "other body", "too old", "from the future"],
)
def test_verify_refuses(secret, message_id, timestamp, body, now):
    assert not verify(secret, message_id, timestamp, body, SIGNATURE, now=now)


def test_new_secrets_differ_and_have_32_bytes():
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(key_of(one)) == 32


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "abc", "whsec_" + base64.b64encode(b"x" * 65).decode()])
def test_a_wrong_secret_is_refused(text):
    with pytest.raises(ValueError, match="webhook secret"):
        key_of(text)
