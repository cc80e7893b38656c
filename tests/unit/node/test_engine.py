"""What an executor writes when it is ready, and what the start took."""

from __future__ import annotations

import json

import pytest

from jangada.node.engine import Report, read_report, start_phases

SAID = {
    "executor_id": "exe_1",
    "slots": 2,
    "began": 10.5,
    "registering": 11.5,
    "child_phases_s": {"environment": 0.3, "import": 0.2, "setup": 0.4},
}


def test_a_report_is_read_once_it_is_there(tmp_path):
    file = tmp_path / "ready"
    assert read_report(file) is None
    file.write_text(f"17\n{json.dumps(SAID)}\n")
    assert read_report(file) == Report("exe_1", 2, 10.5, 11.5, SAID["child_phases_s"])


@pytest.mark.parametrize("rest", ["", "no json", "[]", '{"slots": "many"}'])
def test_an_executor_that_says_less_is_ready_all_the_same(tmp_path, rest):
    file = tmp_path / "ready"
    file.write_text(f"17\n{rest}\n")
    assert read_report(file) == Report()


def test_the_phases_of_a_start_add_up_to_all_of_it():
    report = Report("exe_1", 2, 10.5, 11.5, SAID["child_phases_s"])
    phases = start_phases(10.0, report, 11.6)
    assert phases == {"process": 0.5, "environment": 0.4, "setup": 0.6, "register": 0.1}
    assert sum(phases.values()) == pytest.approx(1.6)


def test_without_a_report_all_of_it_is_the_process():
    assert start_phases(10.0, Report(), 11.6) == {"process": 1.6}
