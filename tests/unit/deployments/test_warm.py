"""Warm windows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jangada.deployments.deployment import WarmWindow
from jangada.deployments.warm import cron_problem, is_open, warm_minimum

OFFICE = WarmWindow("0 8 * * 1-5", 3600.0, 2)
"""Working days, 8 to 9."""


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """In January 2026, whose 5th is a Monday."""
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (at(5, 7, 59, 59), False),
        (at(5, 8), True),
        (at(5, 8, 59, 59), True),
        (at(5, 9), False),
        (at(4, 8, 30), False),
    ],
)
def test_a_window_is_open_from_its_instant_for_its_duration(now, expected):
    assert is_open(OFFICE, now) is expected


def test_the_cron_expression_is_of_the_windows_own_time_zone():
    window = WarmWindow("0 8 * * *", 3600.0, timezone="America/Sao_Paulo")
    assert not is_open(window, at(5, 8))
    assert is_open(window, at(5, 11))


def test_of_windows_that_are_open_together_the_biggest_counts():
    assert warm_minimum([OFFICE, WarmWindow("30 8 * * *", 600.0, 5)], at(5, 8, 35)) == 5
    assert warm_minimum([OFFICE], at(5, 12)) == 0


def test_what_cannot_be_used_is_named():
    assert cron_problem(OFFICE) is None
    assert cron_problem(WarmWindow("nonsense", 1.0))[0] == "cron"
    assert cron_problem(WarmWindow("0 8 * * *", 1.0, timezone="Nowhere/At_All"))[0] == "timezone"
