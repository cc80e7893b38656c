"""Prometheus' own tool reads the configuration, tries the alerts, and parses every query of the board."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.requires import requires_program

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"


@pytest.fixture(scope="module")
def promtool() -> str:
    return requires_program("promtool")


def said(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def test_the_configuration_and_the_rules_are_valid(promtool: str) -> None:
    code, text = said(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    assert code == 0, text
    code, text = said(promtool, "check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "rules.yml")
    assert code == 0, text


def test_the_alerts_fire_when_they_must_and_only_then(promtool: str) -> None:
    code, text = said(promtool, "test", "rules", PROMETHEUS / "tests.yml")
    assert code == 0, text


def test_every_query_of_the_board_is_promql(promtool: str, tmp_path: Path) -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "jangada.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"board:query:{number}", "expr": text.replace("$__rate_interval", "5m").replace("$queue", ".*")}
        for number, text in enumerate(asked)
    ]
    file = tmp_path / "board.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    code, text = said(promtool, "check", "rules", "--lint=none", file)
    assert code == 0, text
    assert f"{len(asked)} rules found" in text
