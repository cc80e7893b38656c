from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jangada.executor.messages import (
    Canceled,
    Decoder,
    Done,
    Failed,
    Hello,
    Log,
    Message,
    Progress,
    Run,
    SetupFailed,
    Stop,
    encode,
    encode_done,
    encode_run,
)

MESSAGES: list[Message] = [
    Run(1, "job_1", 2, "/jobs/1", {"file_1": ["/jobs/1/in-000", None]}, {"deep": [1, "ü"]}),
    Stop(),
    Hello(1, {"type": "object"}, {}, {"setup": 0.5}),
    SetupFailed("no weights"),
    Progress(1, 0.5, None),
    Log(1, "a line"),
    Done(1, {"run_s": 0.1}, [["out-001-a", "a", "text/plain"]], None, {"x": None}),
    Failed(1, {}, "oom", "too much", True, 2.5),
    Canceled(1, {}),
]


@given(cuts=st.lists(st.integers(1, 60), max_size=30))
def test_messages_survive_any_cutting_of_the_stream(cuts: list[int]) -> None:
    stream = b"".join(map(encode, MESSAGES))
    decoder, received = Decoder(), []
    for cut in [*cuts, len(stream)]:
        received += list(decoder.feed(stream[:cut]))
        stream = stream[cut:]
    assert received == MESSAGES


def test_raw_json_is_spliced_in() -> None:
    frames = encode_run(Run(1, "job_1", 1, "/w", None, None), b'{"a":1}') + encode_done(1, {}, [], b'{"b":[2]}')
    assert list(Decoder().feed(frames)) == [Run(1, "job_1", 1, "/w", None, {"a": 1}), Done(1, {}, [], None, {"b": [2]})]


@pytest.mark.parametrize("body", [b"not json", b'["Unknown",1]', b'["Stop",1]', b"5", b"[]"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — any of json's own, too
        list(Decoder().feed(len(body).to_bytes(4, "big") + body))


def test_half_a_character_does_not_break_the_channel() -> None:
    (message,) = Decoder().feed(encode(Log(1, "a\ud800b")))
    text: Any = message.text
    assert text == "a?b"
