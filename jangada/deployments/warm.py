"""Warm windows: how many replicas the clock alone asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from jangada.deployments.deployment import WarmWindow


def warm_minimum(windows: Iterable[WarmWindow], now: datetime) -> int:
    """The most replicas that any window open at *now* asks for; 0 when none is open."""
    return max((one.replicas for one in windows if is_open(one, now)), default=0)


def is_open(window: WarmWindow, now: datetime) -> bool:
    """Whether the latest instant that the cron expression names is no longer ago than the window lasts."""
    local = now.astimezone(ZoneInfo(window.timezone))
    # From a second later: an instant that has just come counts too, and walking back excludes where it begins.
    try:
        latest = next(CronSim(window.cron, local + timedelta(seconds=1), reverse=True))
    except StopIteration:
        return False
    return now - latest < timedelta(seconds=window.duration_s)


def cron_problem(window: WarmWindow) -> tuple[str, str] | None:
    """What is wrong with a window: the name of its field, and what was expected; None when it can be used."""
    try:
        zone = ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "timezone", f"expected a time zone such as America/Sao_Paulo, found {window.timezone!r}"
    try:
        CronSim(window.cron, datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        return "cron", f"expected five fields such as `0 8 * * 1-5`, found {window.cron!r} ({error})"
    return None
