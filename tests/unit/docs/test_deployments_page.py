"""The example of docs/deployments.md is one that the platform takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from functions.deployments.wishes import NewDeployment, blank, wished
from jangada.clock import utc_now
from jangada.deployments import rules

PAGE = Path(__file__).resolve().parents[3] / "docs" / "deployments.md"


def test_the_example_is_a_wish_that_can_be_made():
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    wish = NewDeployment.model_validate(yaml.safe_load(found.group(1)))
    made = wished(wish, blank(wish, wish.tenant, utc_now()))
    rules.check(made)
    assert (made.name, made.scaling.maximum, made.warm[0].replicas) == ("acme-ocr", 8, 2)
