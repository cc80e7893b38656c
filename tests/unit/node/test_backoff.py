"""A replica that crashes again and again is started less and less often."""

from __future__ import annotations

from jangada.node.backoff import CALM_S, FIRST_S, MOST_S, WILL_NOT_MEND_S, CrashBackoff


def test_each_crash_doubles_the_wait_up_to_a_most():
    backoff = CrashBackoff()
    waits = [backoff.crashed("a", 0.0, lived_s=1.0) for _ in range(12)]
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == MOST_S


def test_a_lane_waits_by_itself_and_only_so_long():
    backoff = CrashBackoff()
    backoff.crashed("a", 100.0, lived_s=1.0)
    assert not backoff.allows("a", 100.0 + FIRST_S / 2)
    assert backoff.allows("a", 100.0 + FIRST_S)
    assert backoff.allows("b", 100.0)


def test_a_long_life_forgets_the_crashes_before_it():
    backoff = CrashBackoff()
    for _ in range(5):
        backoff.crashed("a", 0.0, lived_s=1.0)
    assert backoff.crashed("a", 0.0, lived_s=CALM_S) == FIRST_S


def test_what_is_set_wrongly_is_not_tried_at_once():
    assert CrashBackoff().crashed("a", 0.0, lived_s=0.1, will_not_mend=True) == WILL_NOT_MEND_S
