"""Where Prometheus finds the parts of this platform that have metrics, in the form of its file-based discovery."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from jangada.local.home import write_private

NODE_METRICS = "node-metrics"
"""Under what name the port of the node's metrics is remembered."""


def metrics_port_name(algorithm: str) -> str:
    """Under what name the port of an executor's metrics is remembered."""
    return f"executor-{algorithm}-metrics"


def write_targets(file: Path, ports: Mapping[str, int], algorithms: Iterable[str]) -> None:
    """Write *file*: the gateway, the node's agent, and the executor of each of *algorithms*."""
    groups = {
        "jangada-gateway": [f"127.0.0.1:{ports['gateway-metrics']}"],
        "jangada-node": [f"127.0.0.1:{ports[NODE_METRICS]}"],
        "jangada-executors": [f"127.0.0.1:{ports[metrics_port_name(name)]}" for name in algorithms],
    }
    told = [{"labels": {"job": job}, "targets": targets} for job, targets in groups.items() if targets]
    write_private(file, json.dumps(told, indent=2) + "\n")
