"""Which version a job goes to while a canary runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jangada.deployments.canary import lane_for
from jangada.deployments.deployment import Canary, Deployment, Track

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WISH = Deployment("ocr", "doc-ocr", "dep.ocr", NOW, NOW, algorithm_version="1.0.0")
KEYS = [f"customer-{number}" for number in range(4000)]


def with_share(share: float) -> Deployment:
    return replace(WISH, canary=Canary("2.0.0", share))


def in_canary(share: float) -> set[str]:
    return {key for key in KEYS if lane_for(with_share(share), key).track is Track.CANARY}


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_its_share_of_the_keys_goes_to_it(share):
    assert abs(len(in_canary(share)) / len(KEYS) - share) < 0.03


def test_all_and_none():
    assert in_canary(1.0) == set(KEYS)
    assert in_canary(0.0) == set()
    assert lane_for(WISH, "x").track is Track.STABLE


def test_a_key_stays_where_it_is_and_a_bigger_share_lets_none_go():
    assert in_canary(0.2) == in_canary(0.2)
    assert in_canary(0.2) < in_canary(0.4)


def test_the_canary_has_a_queue_and_a_version_of_its_own():
    lane = lane_for(with_share(1.0), "x")
    assert (lane.queue, lane.algorithm_version, lane.name) == ("dep.ocr.canary", "2.0.0", "ocr.canary")
