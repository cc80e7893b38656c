from jangada.client.records import Event
from jangada.client.sse import parse

STREAM = 'retry: 3000\n\nid: 12\nevent: job.progress\ndata: {"message":"página 2/5"}\n\n: keep-alive\n\nid: 13\nevent: job.succeeded\ndata: {}\n\n'.encode()  # noqa: E501
EVENTS = [Event(12, "job.progress", {"message": "página 2/5"}), None, Event(13, "job.succeeded", {})]


def test_events_and_comments_come_in_order():
    assert list(parse([STREAM])) == EVENTS


def test_any_cut_of_the_bytes_gives_the_same_events():
    for size in (1, 2, 3, 7):
        assert list(parse(STREAM[i : i + size] for i in range(0, len(STREAM), size))) == EVENTS


def test_carriage_returns_are_line_ends_too():
    assert list(parse([STREAM.replace(b"\n", b"\r\n")])) == EVENTS


def test_an_unfinished_last_event_is_dropped():
    assert list(parse([b"id: 1\nevent: job.running\ndata: {}\n"])) == []


def test_several_data_lines_are_one_value():
    assert list(parse([b'data: {"a":\ndata: 1}\n\n'])) == [Event(0, "message", {"a": 1})]


def test_data_that_is_not_an_object_is_kept_as_it_is():
    assert [event.data for event in parse([b"data: [1]\n\ndata: hello\n\n"])] == [{"value": [1]}, {"text": "hello"}]
