"""Which nodes can run a replica, and if none can, why not, in words for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jangada.deployments.deployment import Deployment, GpuNeed, Lane, Resources, Trust
from jangada.deployments.node import Gpu, Node


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a node."""

    cpu_millicores: int
    memory_mib: int
    gpus: tuple[Gpu, ...] = ()

    def holds(self, need: Resources) -> bool:
        """Whether one more replica fits."""
        if need.cpu_millicores > self.cpu_millicores or need.memory_mib > self.memory_mib:
            return False
        return need.gpu is None or len(fitting_gpus(self.gpus, need.gpu)) >= need.gpu.count

    def without(self, need: Resources, gpus: Iterable[str] = ()) -> Room:
        """The room beside a replica that takes *need*, and those *gpus* (UUIDs) for itself."""
        taken = set(gpus)
        left = tuple(gpu for gpu in self.gpus if gpu.uuid not in taken)
        return Room(self.cpu_millicores - need.cpu_millicores, self.memory_mib - need.memory_mib, left)


def whole(node: Node) -> Room:
    """All of a node, before anything runs there."""
    return Room(node.cpu_millicores, node.memory_mib, node.gpus)


def fitting_gpus(gpus: Iterable[Gpu], need: GpuNeed) -> list[Gpu]:
    """Those of *gpus* that are big enough and of a type that will do, smallest first."""
    found = [
        gpu
        for gpu in gpus
        if gpu.memory_mib >= need.min_memory_mib and (not need.type_any_of or _is_of(gpu, need.type_any_of))
    ]
    return sorted(found, key=lambda gpu: (gpu.memory_mib, gpu.uuid))


def why_not(deployment: Deployment, lane: Lane, node: Node) -> list[str]:
    """
    What an empty *node* lacks for a replica of *lane*, each as the end of the sentence "no node …".

    Empty: it can run one, when it has room.
    """
    need = deployment.resources
    lacks = []
    if node.trust is Trust.UNTRUSTED and not deployment.placement.allows_untrusted:
        lacks.append("is trusted")
    for name, value in sorted(deployment.placement.labels.items()):
        if node.labels.get(name) != value:
            lacks.append(f"has the label {name}={value}")
    if node.cpu_millicores < need.cpu_millicores:
        lacks.append(f"offers {_cores(need.cpu_millicores)}")
    if node.memory_mib < need.memory_mib:
        lacks.append(f"offers {_size(need.memory_mib)} of memory")
    if need.gpu is not None and len(fitting_gpus(node.gpus, need.gpu)) < need.gpu.count:
        lacks.append(f"offers {_gpus(need.gpu)}")
    if lack := _lacks_algorithm(lane, node):
        lacks.append(lack)
    return lacks


def nothing_matches(deployment: Deployment, lane: Lane, nodes: Sequence[Node]) -> str | None:
    """
    Why none of the living *nodes* can run *lane*, as one sentence; None when one could if it were empty.

    What no node at all has comes first; otherwise what the node that lacks least lacks.
    """
    if not nodes:
        return "no node is registered: start one with `jangada node run`"
    lacking = [why_not(deployment, lane, node) for node in nodes]
    if not all(lacking):
        return None
    everywhere = [lack for lack in lacking[0] if all(lack in one for one in lacking)]
    if everywhere:
        return "no node " + " and ".join(everywhere)
    fewest = min(lacking, key=len)
    return "no node has all of it at once; the nearest lacks one that " + " and ".join(fewest)


def no_room(deployment: Deployment, rooms: Iterable[Room]) -> str | None:
    """Why no node of those that match has room now; None when one has."""
    if any(room.holds(deployment.resources) for room in rooms):
        return None
    need = deployment.resources
    asked = [_cores(need.cpu_millicores), f"{_size(need.memory_mib)} of memory"]
    if need.gpu is not None:
        asked.append(_gpus(need.gpu))
    return f"every node that matches is full: none has {', '.join(asked)} left"


def _lacks_algorithm(lane: Lane, node: Node) -> str | None:
    if node.algorithms is None:
        return None
    versions = node.algorithms.get(lane.algorithm)
    if versions is None:
        return f"has the algorithm {lane.algorithm}"
    if lane.algorithm_version is not None and lane.algorithm_version not in versions:
        return f"has version {lane.algorithm_version} of {lane.algorithm}"
    return None


def _is_of(gpu: Gpu, types: Iterable[str]) -> bool:
    """A type is met by name, or by part of it: drivers say "NVIDIA A100-SXM4-40GB" where people say A100."""
    name = gpu.type.casefold()
    return any(one.casefold() in name for one in types)


def _cores(millicores: int) -> str:
    cores = millicores / 1000
    return f"{cores:g} core" + ("" if cores == 1 else "s")


def _size(mib: int) -> str:
    return f"{mib / 1024:g} GiB" if mib % 256 == 0 and mib >= 1024 else f"{mib} MiB"


def _gpus(need: GpuNeed) -> str:
    words = "gpu" if need.count == 1 else f"{need.count} gpus"
    if need.type_any_of:
        words += f" of type {' or '.join(need.type_any_of)}"
    return words + (f" ≥ {_size(need.min_memory_mib)}" if need.min_memory_mib else "")
