"""A lane without replicas is heard, each time, and only while it is listened to."""

from __future__ import annotations

import queue as queues
from types import SimpleNamespace

from jangada.node.bells import Bells


class Bell:
    """A queue's bell whose rings the test gives; a ring of None ends a wait without one."""

    def __init__(self):
        self.rings = queues.SimpleQueue()
        self.waits = queues.SimpleQueue()
        self.passed_on = queues.SimpleQueue()

    def wait_for_bell(self, queue, timeout_s):
        self.waits.put(queue)
        return self.rings.get(timeout=30)

    def ring(self, queue):
        self.passed_on.put(queue)


def listening():
    bell, heard = Bell(), queues.SimpleQueue()
    bells = Bells(bell, lambda lane, at: heard.put(lane))
    bells.listen({"a": "dep.a"})
    assert bell.waits.get(timeout=30) == "dep.a"
    return SimpleNamespace(bell=bell, heard=heard, bells=bells)


def test_every_ring_is_told_without_being_asked_to_listen_again():
    one = listening()
    for _ in range(2):
        one.bell.rings.put(True)
        assert one.heard.get(timeout=30) == "a"
        one.bell.waits.get(timeout=30)
    one.bells.stop()
    one.bell.rings.put(False)


def test_a_ring_after_the_lane_is_served_is_passed_on():
    one = listening()
    one.bells.listen({})
    one.bell.rings.put(True)
    assert one.bell.passed_on.get(timeout=30) == "dep.a"
    assert one.heard.empty()


def test_a_lane_that_is_idle_again_is_listened_to_again():
    one = listening()
    one.bells.listen({})
    one.bells.listen({"a": "dep.a"})
    one.bell.rings.put(True)
    assert one.heard.get(timeout=30) == "a"
    one.bells.stop()
    one.bell.rings.put(False)
