"""The thread that collects."""

from __future__ import annotations

import threading

from jangada.artifacts.collector import Collector
from jangada.errors import StoreUnavailableError


def test_only_whose_turn_it_is_collects():
    calls = []
    assert Collector(lambda: calls.append(1) or 3, is_my_turn=lambda: False).once() == 0
    assert calls == []
    assert Collector(lambda: 3, is_my_turn=lambda: True).once() == 3


def test_a_store_that_is_away_is_tried_again():
    rounds = threading.Semaphore(0)
    calls = []

    def collect() -> int:
        calls.append(1)
        rounds.release()
        raise StoreUnavailableError("away")

    collector = Collector(collect, is_my_turn=lambda: True, every_s=0.001)
    collector.start()
    try:
        assert all(rounds.acquire(timeout=10) for _ in range(3))
    finally:
        collector.stop()
    assert len(calls) >= 3
