"""
Everything is broken at moments that a seed decides, while clients submit; then the counting.

CHAOS_SEED repeats a run, CHAOS_SECONDS (of faults, for all four stages together)
makes it longer; a failure prints the seed and what was broken when.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.chaos.checker import judge
from tests.chaos.clock import find_compiler
from tests.chaos.driver import drive
from tests.chaos.killer import Killer
from tests.chaos.plan import Kind, make_plan
from tests.chaos.rig import ALGORITHM, LEASE_S, EmbeddedRig, OwnRig, Rig, can_mount, small_disk
from tests.live_platform import live_platform

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 24)
STAGES = 4
PAUSE_S = (0.4, 1.8)
LONG = (0.3, 1.5 * LEASE_S)
"""How long a process is paused: also for longer than its lease."""
BRIEF = (0.2, 2.5)
AT_ONCE = (0.0, 0.0)

EXECUTORS = (
    Kind("kill", "executor", 2),
    Kind("term", "executor"),
    Kind("pause", "executor", 2, LONG),
    Kind("kill", "child", 2),
    Kind("term", "child"),
    Kind("pause", "child", 1, BRIEF),
)
# Long enough apart that what was killed is back in between, also on a busy machine: else nothing is accepted at all.
FRONT = tuple(
    Kind(action, victim, weight, lasts_s, group="front", rest_s=4.0)
    for victim, share in (("function", 1.0), ("gateway", 0.6))
    for action, weight, lasts_s in (
        ("kill", share, (0.0, 0.0)),
        ("term", share / 2, (0.0, 0.0)),
        ("pause", share, BRIEF),
    )
)
STORES = tuple(
    Kind(action, victim, weight, lasts_s, group="store", rest_s=0.5)
    for victim in ("redis", "mongo")
    for action, weight, lasts_s in (("kill", 1.5, AT_ONCE), ("term", 0.5, AT_ONCE), ("pause", 1.0, BRIEF))
)
WIRES = (
    *(
        Kind(action, victim, 1.0, BRIEF, group=f"link {victim}", rest_s=0.3)
        for victim in ("redis", "mongo")
        for action in ("cut", "slow", "stall")
    ),
    Kind("fill", "disk", 1.5, (0.5, 2.5), group="disk", rest_s=1.0),
    Kind("jump", "clock", 2.0),
)
# A master is down for longer than it takes to be replaced; the next falls when the replicas have caught up.
REPLICATED = (
    Kind("kill", "master", 3, (2.5, 4.0), group="redis", rest_s=6.0),
    Kind("pause", "master", 2, (2.5, 4.0), group="redis", rest_s=8.0),
    Kind("term", "master", 1, group="redis", rest_s=6.0),
    Kind("kill", "replica", 1, group="redis", rest_s=5.0),
)
SENTINELS = (
    Kind("kill", "sentinel", 1, (0.0, 2.0), group="sentinel", rest_s=2.0),
    Kind("pause", "sentinel", 1, BRIEF, group="sentinel", rest_s=2.0),
)


@pytest.fixture
def stage(tmp_path: Path) -> Callable[[Callable[[contextlib.ExitStack], Rig], tuple[Kind, ...], bool], None]:
    def play(make: Callable[[contextlib.ExitStack], Rig], kinds: tuple[Kind, ...], may_repeat: bool) -> None:
        seconds = SECONDS / STAGES
        plan = make_plan(SEED, seconds, kinds, PAUSE_S)
        ledger = tmp_path / "ledger"
        ledger.touch()
        with contextlib.ExitStack() as stack:
            rig = make(stack)
            killer = Killer(rig, plan)
            killer.start()
            try:
                try:
                    accepted = drive(rig, ledger, SEED, seconds)
                finally:
                    killer.stop()
                count = judge(rig, accepted, ledger, may_repeat=may_repeat)
            except BaseException:
                print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:g}", *killer.story, rig.logs(), sep="\n")
                raise
        found = {"seed": SEED, "seconds": seconds, **asdict(count), "faults": dict(sorted(killer.hits.items()))}
        print(*killer.story, json.dumps(found), sep="\n")
        if report := os.environ.get("CHAOS_REPORT"):
            name = os.environ["PYTEST_CURRENT_TEST"].partition("::")[2].partition(" ")[0]
            with open(report, "a") as file:
                file.write(json.dumps({"stage": name, **found}) + "\n")
        assert killer.hits.total() >= 2, f"too little was broken to prove anything: {killer.story}"

    return play


def test_the_embedded_platform_loses_nothing(stage, tmp_path):
    def make(stack: contextlib.ExitStack) -> Rig:
        return EmbeddedRig(
            stack.enter_context(live_platform(tmp_path / "home", [ALGORITHM], JANGADA_LEASE_S=str(LEASE_S)))
        )

    stage(make, (*EXECUTORS, *FRONT, *STORES), False)


def test_bad_wires_a_full_disk_and_jumping_clocks_lose_nothing(stage, tmp_path):
    kinds = WIRES
    if not can_mount():
        kinds = tuple(kind for kind in kinds if kind.action != "fill")
    if find_compiler() is None:
        kinds = tuple(kind for kind in kinds if kind.action != "jump")

    def make(stack: contextlib.ExitStack) -> Rig:
        disk = stack.enter_context(small_disk(tmp_path / "disk")) if can_mount() else tmp_path / "disk"
        return OwnRig(tmp_path, stack, "standalone", disk=disk, full=True)

    stage(make, (*kinds, *kinds, *EXECUTORS), False)


def test_failovers_by_sentinel_lose_nothing(stage, tmp_path):
    def make(stack: contextlib.ExitStack) -> Rig:
        return OwnRig(tmp_path, stack, "sentinel", disk=tmp_path / "servers", full=False)

    stage(make, (*REPLICATED, *REPLICATED, *SENTINELS, *EXECUTORS, *FRONT), True)


def test_failovers_in_a_cluster_lose_nothing(stage, tmp_path):
    def make(stack: contextlib.ExitStack) -> Rig:
        return OwnRig(tmp_path, stack, "cluster", disk=tmp_path / "servers", full=False)

    stage(make, (*REPLICATED, *REPLICATED, *EXECUTORS, *FRONT), True)
