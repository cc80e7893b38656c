"""The examples of docs/deployments.md and of the README are wishes that the platform takes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from functions.deployments.wishes import NewDeployment, blank, wished
from jangada.clock import utc_now
from jangada.deployments import rules
from jangada.deployments.deployment import Deployment, Mode

ROOT = Path(__file__).resolve().parents[3]


def made_from(page: str) -> Deployment:
    """The deployment that the page's first YAML asks for."""
    found = re.search(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    wish = NewDeployment.model_validate(yaml.safe_load(found.group(1)))
    made = wished(wish, blank(wish, wish.tenant, utc_now()))
    # Whoever names no tenant wishes for its own.
    rules.check(made if made.tenant_id else replace(made, tenant_id="mine"))
    return made


def test_the_example_is_a_wish_that_can_be_made():
    made = made_from("docs/deployments.md")
    assert (made.name, made.scaling.maximum, made.warm[0].replicas) == ("acme-ocr", 8, 2)


@pytest.mark.parametrize("page", ["README.md", "README.pt-BR.md"])
def test_the_readme_s_is_ones_own_by_default_and_on_demand(page):
    made = made_from(page)
    assert (made.name, made.tenant_id, made.is_default) == ("my-ocr", None, True)
    assert (made.mode, made.scaling.minimum, made.scaling.target_s) == (Mode.ON_DEMAND, 0, 10)
