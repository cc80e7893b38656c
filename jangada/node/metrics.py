"""What a node's agent counts, for Prometheus."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping

from jangada.executor.metrics_server import MetricsServer
from jangada.executor.metrics_text import Counter, Gauge, Histogram, Labels, Page
from jangada.node.holding import Held

START_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class NodeMetrics:
    """Written by the agent's loop alone."""

    def __init__(self) -> None:
        self.starts = Histogram(
            "jangada_replica_start_seconds",
            "Cold starts of replicas, by phase.",
            START_BOUNDS_S,
            ("deployment", "phase"),
        )
        self.crashes = Counter("jangada_replica_crashes_total", "Replicas that ended by themselves.", ("deployment",))
        self.lost = Counter("jangada_replicas_lost_total", "Replicas given up because others had taken their place.")

    def ready(self, deployment: str, phases_s: Mapping[str, float]) -> None:
        """Count a start: each phase, and ``all`` for the whole."""
        for phase, took in (*phases_s.items(), ("all", sum(phases_s.values()))):
            self.starts.observe(took, deployment, phase)

    def serve(self, listen: str, held: Callable[[], Iterable[Held]], node: str) -> MetricsServer:
        """Answer on *listen* (``[host:]port``) until the server is stopped. Raises `ConfigurationError`."""

        def replicas() -> list[tuple[Labels, float]]:
            counts = Count((one.order.deployment.name, one.status.value) for one in held())
            return [(labels, float(count)) for labels, count in sorted(counts.items())]

        gauge = Gauge("jangada_node_replicas", "Replicas that this node runs.", replicas, ("deployment", "status"))
        server = MetricsServer(Page((self.starts, self.crashes, self.lost, gauge), node=node).text, listen)
        server.start()
        return server
