"""How many replicas: labels and load in, a number out."""

from __future__ import annotations

import pytest

from jangada.gateway.scaling import Load, ScaleMemory, ScalePolicy, after_alert, decide, read_duration, read_policy


def labels(**values: str) -> dict[str, str]:
    return {f"com.openfaas.scale.{name.replace('_', '-')}": value for name, value in values.items()}


def run(policy, loads, replicas=1, memory=None):
    """The replicas after each second of *loads*."""
    memory = memory or ScaleMemory()
    seen = []
    for second, load in enumerate(loads):
        replicas, memory = decide(policy, replicas, load, memory, float(second))
        seen.append(replicas)
    return seen


def test_without_labels_it_is_the_community_editions():
    assert read_policy({}) == ScalePolicy(minimum=1, maximum=5, factor=10, kind="alert")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (labels(min="2", max="8"), {"minimum": 2, "maximum": 8, "has_maximum": True}),
        (labels(min="abc", max="-1"), {"minimum": 1, "maximum": 5, "has_maximum": False}),
        (labels(min="0"), {"minimum": 1}),
        (labels(min="1001", max="99999"), {"minimum": 1, "maximum": 5}),
        (labels(min="9"), {"minimum": 9, "maximum": 9}),
        (labels(min="4", max="2"), {"minimum": 4, "maximum": 4}),
        (labels(factor="101"), {"factor": 10}),
        (labels(factor="0"), {"factor": 10}),
        (labels(factor="100"), {"factor": 100}),
        (labels(type="capacity"), {"kind": "capacity", "target": 50.0}),
        (labels(target="7"), {"kind": "rps", "target": 7.0}),
        (labels(target="nan", type="cpu"), {"kind": "cpu", "target": 50.0}),
        (labels(target_proportion="0.5", type="rps"), {"proportion": 0.5}),
        (labels(target_proportion="7", type="rps"), {"proportion": 0.9}),
        (labels(zero="true", zero_duration="90"), {"to_zero": True, "zero_after_s": 90.0}),
        (labels(zero="maybe", zero_duration="soon"), {"to_zero": False, "zero_after_s": 900.0}),
        (labels(min="٣"), {"minimum": 1}),
    ],
)
def test_labels_are_texts_and_a_wrong_one_is_as_if_absent(given, expected):
    policy = read_policy(given)
    assert {name: getattr(policy, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("30", 30.0),
        ("", None),
        ("m", None),
        ("5x", None),
        ("-5s", None),
        ("1..5s", None),
        ("٣s", None),
    ],
)
def test_durations_are_gos_or_seconds(text, seconds):
    assert read_duration(text) == seconds


def test_the_alert_needs_five_seconds_above_five_per_second():
    policy = read_policy(labels(max="20"))
    busy = [Load(ok_per_s=6.0)] * 30
    seen = run(policy, busy)
    # A step is 10 % of 20: after 5 s the first, then one every 10 s.
    assert seen[:5] == [1] * 5
    assert seen[5] == 3
    assert seen[14] == 3
    assert seen[15] == 5
    assert run(policy, [Load(ok_per_s=5.0)] * 30) == [1] * 30


def test_a_short_dip_starts_the_five_seconds_anew():
    policy = read_policy({})
    loads = [Load(ok_per_s=6.0)] * 4 + [Load(ok_per_s=1.0)] + [Load(ok_per_s=6.0)] * 5
    assert run(policy, loads) == [1] * 10


def test_the_alert_stops_at_the_maximum_and_falls_straight_to_the_minimum():
    policy = read_policy(labels(min="2", max="3", factor="100"))
    seen = run(policy, [Load(ok_per_s=9.0)] * 20 + [Load()], replicas=2)
    assert seen[19] == 3
    assert seen[20] == 2


def test_who_was_scaled_by_hand_and_has_no_load_stays():
    assert run(read_policy({}), [Load()] * 40, replicas=4) == [4] * 40


def test_a_function_without_replicas_stays_at_none():
    for given in (labels(), labels(type="rps", min="3")):
        assert run(read_policy(given), [Load(rps=99.0, ok_per_s=99.0)] * 10, replicas=0) == [0] * 10


def test_equal_bounds_switch_scaling_off():
    policy = read_policy(labels(min="2", max="2"))
    assert run(policy, [Load(ok_per_s=99.0)] * 20, replicas=2) == [2] * 20
    assert after_alert(policy, 2, firing=True) == 2


@pytest.mark.parametrize(
    ("kind", "load", "expected"),
    [
        ("rps", Load(rps=100.0), 3),
        ("rps", Load(rps=45.0), 1),
        ("rps", Load(rps=46.0), 2),
        ("capacity", Load(in_flight=91), 3),
        ("cpu", Load(cpu_millicores=136.0), 4),
        ("rps", Load(rps=100_000.0), 6),
        ("rps", Load(), 1),
    ],
)
def test_the_target_formula_within_the_bounds(kind, load, expected):
    policy = read_policy(labels(type=kind, target="50", max="6"))
    assert run(policy, [load]) == [expected]


def test_down_only_after_half_a_minute_that_needed_no_more():
    policy = read_policy(labels(type="capacity", target="10", target_proportion="1", max="9"))
    seen = run(policy, [Load(in_flight=40)] + [Load(in_flight=10)] * 40)
    assert seen[0] == 4
    assert seen[28] == 4
    assert seen[31] == 1


def test_to_zero_after_the_idle_time_unless_something_is_in_flight():
    policy = read_policy(labels(zero="true", zero_duration="5m", min="2"))
    assert run(policy, [Load(idle_s=299.0)], replicas=2) == [2]
    assert run(policy, [Load(idle_s=300.0)], replicas=2) == [0]
    assert run(policy, [Load(idle_s=300.0, in_flight=1)], replicas=2) == [2]
    assert run(read_policy(labels(zero_duration="5m")), [Load(idle_s=9e9)]) == [1]


def test_an_alert_takes_nothing_away_from_who_asked_for_more_by_hand():
    assert after_alert(read_policy({}), 9, firing=True) == 9
    assert after_alert(read_policy({}), 9, firing=False) == 1
    assert after_alert(read_policy({}), 0, firing=True) == 0
