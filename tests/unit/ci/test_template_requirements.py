"""The template pins what functions import of ours, at the versions everything is tested with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
CLIENT_ONLY = {"requests", "rich", "click"}
"""What commands and the client need, and no function."""


def pins(path: Path) -> dict[str, str]:
    return dict(line.split("==") for line in path.read_text().split() if "==" in line)


def test_the_template_has_what_the_extra_for_functions_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = (*project["dependencies"], *extras["platform"], *extras["functions"])
    wanted = {re.split(r"[\[<>=; ]", text)[0] for text in asked}
    template = pins(ROOT / "template" / "python3-jangada" / "requirements.txt")
    assert set(template) == wanted - CLIENT_ONLY - {"jangada"}
    tested = pins(ROOT / "requirements" / "functions.txt")
    assert template == {name: tested[name] for name in template}
