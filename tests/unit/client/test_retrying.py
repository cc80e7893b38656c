import random
from datetime import UTC, datetime

import pytest

from jangada.client.retrying import delay_s, parse_retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_delays_double_with_jitter_up_to_a_bound():
    chance = random.Random(1)
    for attempt, most_s in ((1, 0.2), (2, 0.4), (5, 3.2), (40, 20.0)):
        delays = [delay_s(attempt, None, chance) for _ in range(50)]
        assert all(most_s / 2 <= delay <= most_s for delay in delays)
        assert len(set(delays)) > 1


def test_a_server_is_never_asked_again_before_it_said():
    assert all(delay_s(1, 7.0, random.Random(seed)) >= 7.0 for seed in range(50))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, expected):
    assert parse_retry_after(text, NOW) == expected
