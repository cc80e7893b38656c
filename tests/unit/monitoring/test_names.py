"""The board and the alert rules ask for metrics and labels that our code really shows, and the docs name them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jangada.algorithms.store_memory import MemoryAlgorithmStore
from jangada.executor.metrics import ExecutorMetrics
from jangada.executor.metrics_page import ASYNCHRONOUS, MetricsPage
from jangada.gateway import metrics as gateway
from jangada.gateway.asynchronous_call import QUEUE
from jangada.jobs.queue_memory import MemoryJobQueue
from tests.unit.monitoring.promql import groupings, selectors

ROOT = Path(__file__).resolve().parents[3]
BOARD = json.loads((ROOT / "deploy/grafana/dashboards/jangada.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule["alert"] for rule in RULES if "alert" in rule]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""


def page() -> MetricsPage:
    queue, algorithms = MemoryJobQueue(), MemoryAlgorithmStore()
    return MetricsPage(
        ExecutorMetrics(),
        None,  # type: ignore[arg-type]  (asked only when the page is read)
        queue,
        algorithms,
        algorithm="ocr",
        queue_name="ocr",
        deployment="ocr",
        model=None,
        folder=Path(),
    )


def shown() -> dict[str, set[str]]:
    """Metric name, as a query says it → its labels."""
    found: dict[str, set[str]] = {"up": set(SCRAPED), "ALERTS": {"alertname", "alertstate", "queue"}}
    for family in page().families:
        own = set(family.labels) | ({"queue"} if family.name.startswith("jangada_queue_") else {"algorithm", "queue"})
        if family.kind == "histogram":
            for suffix in ("_bucket", "_sum", "_count"):
                found[family.name + suffix] = own | SCRAPED | {"le"}
        else:
            found[family.name] = own | SCRAPED
    for name, kind in re.findall(r"# TYPE (\w+) (\w+)", Path(gateway.__file__).read_text()):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + suffix] = {"function_name", "code", "le"} | SCRAPED
    for rule in RULES:
        if "record" in rule:
            found[rule["record"]] = groupings(rule["expr"])
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for note in BOARD["annotations"]["list"]:
        yield note["name"], note["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_for_is_shown_with_these_labels(where: str, expression: str) -> None:
    known = shown()
    asked = selectors(expression)
    assert asked, where
    for name, labels in asked.items():
        assert name in known, f"{where} asks for {name}, which nothing shows"
        assert labels <= known[name], f"{where} selects {name} by {labels - known[name]}, which it does not have"
    every = set().union(*(known[name] for name in asked))
    assert groupings(expression) <= every, f"{where} groups by {groupings(expression) - every}"


def test_the_queue_of_asynchronous_calls_is_told_under_the_gateways_name_for_it() -> None:
    assert ASYNCHRONOUS == QUEUE


def test_the_comparison_sees_a_name_and_a_label_that_there_is_not() -> None:
    asked = selectors('sum by (queue) (rate(nope_total{why="x"}[5m])) > 2 and on (queue) other == 1')
    assert asked == {"nope_total": {"why"}, "other": set()}


def test_the_boards_variable_asks_for_what_is_shown() -> None:
    (variable,) = BOARD["templating"]["list"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
    assert label in shown()[name]


def test_every_metric_of_ours_is_in_the_docs() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    assert [family.name for family in page().families if f"`{family.name}`" not in text] == []


def test_every_alert_is_tried_and_explained() -> None:
    tried = (ROOT / "deploy/prometheus/tests.yml").read_text()
    text = (ROOT / "docs/monitoring.md").read_text()
    assert [alert for alert in ALERTS if f"alertname: {alert}\n" not in tried] == []
    assert [alert for alert in ALERTS if f"`{alert}`" not in text] == []


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [cell for panel in BOARD["panels"] for cell in _cells(panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_board_reads_the_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    asked = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert asked == {source["uid"]}


def _cells(at: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for x in range(at["x"], at["x"] + at["w"]):
        for y in range(at["y"], at["y"] + at["h"]):
            yield x, y
