"""What the agent tells Prometheus."""

from __future__ import annotations

import requests

from jangada.node.metrics import NodeMetrics


def test_a_start_is_counted_by_phase_and_as_a_whole():
    metrics = NodeMetrics()
    metrics.ready("d", {"claim": 0.004, "process": 0.9})
    server = metrics.serve("127.0.0.1:0", list, "n1")
    try:
        text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=5).text
    finally:
        server.stop()
    assert 'jangada_replica_start_seconds_bucket{node="n1",deployment="d",phase="claim",le="0.005"} 1' in text
    assert 'jangada_replica_start_seconds_sum{node="n1",deployment="d",phase="all"} 0.904' in text
