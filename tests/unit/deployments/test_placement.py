"""Which nodes can run a replica, and what people are told when none can."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from jangada.deployments.deployment import Canary, Deployment, GpuNeed, Placement, Resources, Trust
from jangada.deployments.node import Gpu, Node
from jangada.deployments.placement import Room, fitting_gpus, no_room, nothing_matches, whole, why_not

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WISH = Deployment("ocr", "doc-ocr", "dep.ocr", NOW, NOW, resources=Resources(1000, 1024))
NODE = Node("node_1", "one", 4000, 8192, NOW)
A100 = Gpu("GPU-a", "NVIDIA A100-SXM4-40GB", 40960)
T4 = Gpu("GPU-t", "Tesla T4", 15360)


def said(wish: Deployment, *nodes: Node) -> str | None:
    return nothing_matches(wish, wish.stable, nodes)


def test_a_node_that_has_it_all_matches():
    assert why_not(WISH, WISH.stable, NODE) == []
    assert said(WISH, NODE) is None


def test_without_nodes_it_says_how_to_get_one():
    assert said(WISH) == "no node is registered: start one with `jangada node run`"


def test_the_gpu_that_nobody_offers_is_named():
    wish = replace(WISH, resources=Resources(gpu=GpuNeed(min_memory_mib=24 * 1024)))
    assert said(wish, NODE, replace(NODE, gpus=(T4,))) == "no node offers gpu ≥ 24 GiB"
    assert said(wish, NODE, replace(NODE, gpus=(A100,))) is None


def test_types_and_counts_of_gpus_are_named_too():
    wish = replace(WISH, resources=Resources(gpu=GpuNeed(2, 1024, ("H100", "H200"))))
    assert said(wish, replace(NODE, gpus=(A100, T4))) == "no node offers 2 gpus of type H100 or H200 ≥ 1 GiB"


def test_a_type_is_met_by_a_part_of_its_name():
    assert fitting_gpus([T4, A100], GpuNeed(type_any_of=("a100",))) == [A100]
    assert fitting_gpus([A100, T4], GpuNeed()) == [T4, A100]


def test_what_every_node_lacks_is_told_and_nothing_else():
    wish = replace(WISH, placement=Placement({"zone": "a"}), resources=Resources(8000, 1024))
    small, elsewhere = replace(NODE, labels={"zone": "a"}), replace(NODE, cpu_millicores=2000, labels={"zone": "b"})
    assert said(wish, small, elsewhere) == "no node offers 8 cores"


def test_when_each_lacks_something_else_the_nearest_is_told():
    wish = replace(WISH, placement=Placement({"zone": "a"}), resources=Resources(8000, 1024))
    big, small = replace(NODE, cpu_millicores=16000), replace(NODE, labels={"zone": "a"})
    assert said(wish, big, small) == "no node has all of it at once; the nearest lacks one that has the label zone=a"


def test_untrusted_nodes_get_only_what_allows_them():
    untrusted = replace(NODE, trust=Trust.UNTRUSTED)
    assert said(WISH, untrusted) == "no node is trusted"
    assert said(replace(WISH, placement=Placement(allows_untrusted=True)), untrusted) is None


def test_a_version_that_no_node_has_is_named_for_the_lane_that_needs_it():
    node = replace(NODE, algorithms={"doc-ocr": ("1.0.0",)})
    wish = replace(WISH, algorithm_version="1.0.0", canary=Canary("2.0.0", 0.5))
    stable, canary = wish.lanes
    assert nothing_matches(wish, stable, [node]) is None
    assert nothing_matches(wish, canary, [node]) == "no node has version 2.0.0 of doc-ocr"
    assert said(replace(WISH, algorithm="other"), node) == "no node has the algorithm other"


def test_room_shrinks_by_what_runs_there():
    need = Resources(1500, 4096, GpuNeed())
    room = whole(replace(NODE, gpus=(A100, T4)))
    assert room.holds(need)
    once = room.without(need, [T4.uuid])
    assert once == Room(2500, 4096, (A100,))
    assert once.holds(need)
    assert not once.without(need, [A100.uuid]).holds(need)


def test_full_nodes_are_told_apart_from_nodes_that_lack():
    assert no_room(WISH, [Room(500, 8192), Room(4000, 512)]) == (
        "every node that matches is full: none has 1 core, 1 GiB of memory left"
    )
    assert no_room(WISH, [Room(500, 8192), Room(1000, 1024)]) is None
