"""The scaling policy, decision by decision: numbers in, a number and its reason out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jangada.deployments.scaling import Decision, Load, Reason, ScalingMemory, ScalingPolicy, Signal, decide

POLICY = ScalingPolicy(maximum=50, target_s=10, idle_s=60, cooldown_s=20)


def decided(
    load: Load, policy: ScalingPolicy = POLICY, memory: ScalingMemory | None = None, now: float = 0
) -> Decision:
    return decide(policy, load, memory or ScalingMemory(), now)


def after(policy: ScalingPolicy, steps: list[tuple[float, Load]]) -> list[Decision]:
    """What is decided step by step, each load with the replicas that the step before asked for."""
    memory, found = ScalingMemory(), []
    for now, load in steps:
        found.append(decide(policy, load, memory, now))
        memory = found[-1].memory
    return found


def test_nothing_to_do_needs_nothing():
    assert decided(Load()).replicas == 0


def test_the_first_job_starts_one():
    decision = decided(Load(queued=1, arrivals=1))
    assert (decision.replicas, decision.reason) == (1, Reason.FIRST_JOB)


def test_a_crowd_at_zero_starts_as_many_as_its_wait_needs_the_start_counted_in():
    few = decided(Load(queued=100, run_s=1.0, start_s=1.0, arrivals=100)).replicas
    many = decided(Load(queued=100, run_s=1.0, start_s=6.0, arrivals=100)).replicas
    assert few == 10
    assert many == 20


def test_the_run_time_counts_not_the_number_of_jobs():
    short = decided(Load(queued=100, ready=1, run_s=0.05, arrivals=100)).replicas
    long = decided(Load(queued=100, ready=1, run_s=2.0, arrivals=100)).replicas
    assert short == 1
    assert long == 17


def test_no_more_replicas_than_unfinished_jobs():
    assert decided(Load(queued=3, ready=1, running=1, run_s=600.0, arrivals=4)).replicas == 4


def test_slots_count_as_places():
    assert decided(Load(queued=3, ready=1, running=1, run_s=600.0, slots=4, arrivals=4)).replicas == 1


def test_those_that_start_are_counted_in():
    load = Load(queued=100, ready=1, starting=9, run_s=1.0, arrivals=100)
    assert decided(load).replicas == 10
    assert decided(load).reason is Reason.STEADY


def test_a_step_bounds_the_growth():
    policy = replace(POLICY, step=2)
    assert decided(Load(queued=500, ready=1, run_s=1.0), policy).replicas == 3


@pytest.mark.parametrize(("policy", "load", "expected"), [
    (replace(POLICY, maximum=4), Load(queued=1000, ready=2, run_s=10.0), (4, Reason.MAXIMUM)),
    (replace(POLICY, minimum=3), Load(), (3, Reason.MINIMUM)),
    (replace(POLICY, buffer=2), Load(running=1, ready=1, run_s=1.0), (3, Reason.BUFFER)),
])  # fmt: skip
def test_bounds_and_buffer(policy, load, expected):
    decision = decided(load, policy)
    assert (decision.replicas, decision.reason) == expected


def test_old_jobs_ask_for_more_than_new_ones():
    """The same queue, once just arrived, once already waiting for 4 of its 10 s."""
    crowd = Load(queued=60, running=2, ready=2, run_s=1.0, arrivals=62)
    fresh = after(POLICY, [(0, Load(ready=2, arrivals=0)), (4, crowd)])[-1]
    waiting = after(POLICY, [(0, Load(ready=2, arrivals=62, queued=60)), (4, crowd)])[-1]
    assert waiting.replicas > fresh.replicas


def test_down_only_when_the_whole_cooldown_agrees():
    busy, calm = Load(queued=100, ready=10, running=10, run_s=1.0), Load(running=1, ready=10, run_s=1.0)
    decisions = after(POLICY, [(0, busy), (10, calm), (19, calm), (21, calm)])
    assert [one.replicas for one in decisions] == [10, 10, 10, 1]
    assert decisions[-1].reason is Reason.CALM


def crowd_and_after(policy: ScalingPolicy, every_s: float) -> list[Decision]:
    """A hundred jobs at once, worked off by ten within ten seconds; then, if at all, one job each *every_s*."""
    steps = [(0.0, Load(ready=10, run_s=1.0, start_s=6.0))]
    for now in range(1, 21):
        later = int(now / every_s)
        queued = max(0, 100 - 10 * now)
        running = 10 if queued else min(1, later)
        arrivals = 100 + later
        steps.append((float(now), Load(queued, running, ready=10, run_s=1.0, start_s=6.0, arrivals=arrivals)))
    return after(policy, steps)


def test_a_crowd_that_is_worked_off_leaves_nobody_idle_for_the_cooldown():
    policy = replace(POLICY, cooldown_s=None)
    alone = crowd_and_after(policy, every_s=1000.0)
    assert [alone[9].replicas, alone[13].replicas] == [10, 1]  # 12 s would be the cool-down


def test_what_arrives_all_the_time_keeps_its_replicas_through_the_cooldown():
    policy = replace(POLICY, cooldown_s=None)
    among_others = crowd_and_after(policy, every_s=0.25)  # four replicas' work each second
    assert among_others[13].replicas == 6


def test_a_cooldown_that_is_wished_is_kept_whatever_arrives():
    wished = crowd_and_after(replace(POLICY, cooldown_s=12.0), every_s=1000.0)
    assert wished[13].replicas >= 9


def test_the_last_one_goes_after_the_idle_time():
    work, idle = Load(running=1, ready=1, run_s=1.0), Load(ready=1)
    decisions = after(POLICY, [(0, work), (30, idle), (59, idle), (60, idle)])
    assert [one.replicas for one in decisions] == [1, 1, 1, 0]
    assert decisions[-1].reason is Reason.IDLE


def test_a_job_that_came_and_ended_between_two_looks_keeps_it_from_being_idle():
    missed = [(40, Load(ready=1, arrivals=2)), (60, Load(ready=1, arrivals=2)), (99, Load(ready=1, arrivals=2))]
    steps = [(0, Load(running=1, ready=1, arrivals=1)), *missed, (100, Load(ready=1, arrivals=2))]
    assert [one.replicas for one in after(POLICY, steps)] == [1, 1, 1, 1, 0]


def test_a_start_that_nobody_used_is_idle_from_its_beginning():
    decisions = after(POLICY, [(100, Load(ready=1)), (159, Load(ready=1)), (160, Load(ready=1))])
    assert [one.replicas for one in decisions] == [1, 1, 0]


def test_an_idle_time_of_zero_keeps_nothing():
    policy = replace(POLICY, idle_s=0, cooldown_s=0)
    assert after(policy, [(0, Load(running=1, ready=1)), (1, Load(ready=1))])[-1].replicas == 0


def test_the_cooldown_follows_the_start_time_unless_it_is_wished():
    policy = ScalingPolicy()
    assert policy.cooldown(3) == 6
    assert policy.cooldown(600) == 60
    assert replace(policy, cooldown_s=7.0).cooldown(600) == 7


def test_the_forecast_sees_a_rising_crowd_earlier():
    def steps(uses_forecast: bool) -> list[int]:
        policy = replace(POLICY, uses_forecast=uses_forecast)
        memory, arrivals, found = ScalingMemory(), 0, []
        for now in range(0, 60, 5):
            arrivals += now
            load = Load(queued=5, running=2, ready=2, run_s=1.0, start_s=20.0, arrivals=arrivals)
            decision = decide(policy, load, memory, now)
            memory = decision.memory
            found.append(decision.replicas)
        return found

    assert max(steps(uses_forecast=True)) > max(steps(uses_forecast=False))


def test_queue_length_knows_jobs_only():
    policy = replace(POLICY, signal=Signal.QUEUE_LENGTH, target_jobs=5)
    assert decided(Load(queued=20, running=1, ready=1, run_s=0.001), policy).replicas == 5


@given(
    st.builds(
        Load,
        queued=st.integers(0, 10**6),
        running=st.integers(0, 500),
        ready=st.integers(0, 60),
        starting=st.integers(0, 60),
        slots=st.integers(1, 64),
        run_s=st.none() | st.floats(1e-4, 1e5),
        start_s=st.floats(0, 600),
        arrivals=st.integers(0, 10**9),
    ),
    st.integers(0, 5),
    st.integers(5, 50),
    st.booleans(),
)
def test_always_within_the_bounds_and_never_none_while_jobs_wait(load, minimum, maximum, uses_forecast):
    policy = replace(POLICY, minimum=minimum, maximum=maximum, uses_forecast=uses_forecast)
    for decision in after(policy, [(0, load), (1, load), (7, load), (400, load)]):
        assert minimum <= decision.replicas <= maximum
        assert decision.replicas >= (1 if load.unfinished else 0)
        assert len(decision.memory.history) < 100
        assert len(decision.memory.needed) < 100
