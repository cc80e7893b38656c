"""A few of the trials that `python -m tests.chaos.trials` counts by the hundred; what they take is not judged here."""

from __future__ import annotations

import pytest

from tests.chaos.trials import run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


@pytest.mark.parametrize("kind", ["outage", "failover-sentinel", "failover-cluster"])
def test_nothing_is_lost_or_doubled_when_the_queue_goes_away_under_load(kind):
    counts = run(kind, 1, 1)
    assert (counts["lost"], counts["doubled"]) == (0, 0), counts
    assert counts["jobs"] >= 10


def test_a_deploy_costs_no_attempt():
    counts = run("hand-back", 2, 1)
    assert (counts["trials"], counts["unexpected"]) == (2, 0), counts
    assert counts["again_s"]["max"] < 5.0, "not by the end of a lease"


def test_a_job_that_kills_its_process_is_tried_three_times():
    counts = run("poison", 1, 1)
    assert counts["runs_each"] == [3], counts
    assert counts["dead_letters"] == 1
