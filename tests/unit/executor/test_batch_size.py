"""How many jobs are gathered, and for how long, by what was measured."""

from __future__ import annotations

import pytest

from jangada.algorithms.batching import Batching
from jangada.executor.batch_size import LOOK_AGAIN, BatchSize

ADAPTIVE = Batching(32, 20, is_adaptive=True)


def driven(size: BatchSize, cost_s: dict[int, float], batches: int = 200) -> list[int]:
    """The sizes chosen while a batch of n takes n times *cost_s* of the largest known size up to n."""
    chosen = []
    for _ in range(batches):
        jobs = size.size
        chosen.append(jobs)
        size.ran(jobs, jobs * cost_s[max(each for each in cost_s if each <= jobs)])
    return chosen


def test_what_is_not_adaptive_is_as_it_was_said() -> None:
    size = BatchSize(Batching(8, 5))
    size.ran(8, 100.0)
    size.ran(1, 0.001)
    assert (size.size, size.wait_s) == (8, 0.005)


def test_where_batches_save_nothing_jobs_run_one_by_one_and_nothing_is_waited_for() -> None:
    size = BatchSize(ADAPTIVE)
    chosen = driven(size, {1: 0.010})
    assert chosen.count(1) > 0.95 * len(chosen)
    assert size.wait_s == 0.0


def test_where_each_doubling_saves_the_largest_is_taken() -> None:
    size = BatchSize(ADAPTIVE)
    chosen = driven(size, {1: 0.010, 2: 0.006, 4: 0.004, 8: 0.003, 16: 0.002, 32: 0.001})
    assert chosen[:6] == [1, 2, 4, 8, 16, 32]
    assert set(chosen[6:]) == {32}
    assert size.wait_s == 0.02


def test_a_size_beyond_which_nothing_is_saved_is_the_one() -> None:
    size = BatchSize(ADAPTIVE)
    chosen = driven(size, {1: 0.010, 2: 0.006, 4: 0.004, 8: 0.0039})
    assert chosen[-1] == 4
    assert chosen.count(8) <= 2 + len(chosen) // LOOK_AGAIN


def test_nothing_is_waited_for_longer_than_a_batch_saves() -> None:
    size = BatchSize(Batching(4, 1000, is_adaptive=True))
    driven(size, {1: 0.010, 2: 0.006, 4: 0.004})
    assert size.wait_s == pytest.approx(4 * 0.006)


def test_a_bigger_size_is_tried_again_after_a_while_since_loads_change() -> None:
    size = BatchSize(Batching(4, 0, is_adaptive=True))
    driven(size, {1: 0.010, 2: 0.012})
    chosen = driven(size, {1: 0.010, 2: 0.004, 4: 0.002}, 3 * LOOK_AGAIN)
    assert chosen[-1] == 4


@pytest.mark.parametrize("is_adaptive", [True, False])
def test_what_did_not_fit_is_never_tried_again(is_adaptive: bool) -> None:
    size = BatchSize(Batching(32, 0, is_adaptive))
    size.too_many(20)
    chosen = driven(size, {1: 0.010, 2: 0.006, 4: 0.004, 8: 0.003})
    assert max(chosen) == 10
    size.too_many(1)
    assert size.size == 1


def test_sizes_between_powers_of_two_count_for_the_one_below() -> None:
    size = BatchSize(Batching(12, 0, is_adaptive=True))
    assert driven(size, {1: 0.010, 2: 0.006, 4: 0.004, 8: 0.003, 12: 0.002})[-1] == 12
