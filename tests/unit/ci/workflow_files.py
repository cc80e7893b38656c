"""The workflows and composite actions of this repository, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
GITHUB = ROOT / ".github"
# Where a reusable workflow has this repository checked out, whoever calls it.
TOOLS = "./.jangada-ci/"
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """One YAML file; `data["on"]` is there although YAML reads that key as true."""

    path: Path
    data: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(GITHUB))

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return self.data["jobs"]

    @property
    def call(self) -> dict[str, Any]:
        """What it declares for those who call it; empty for a workflow that nobody may call."""
        triggers = self.data["on"]
        return (triggers.get("workflow_call") or {}) if isinstance(triggers, dict) else {}

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Every step with the name of its job."""
        if "runs" in self.data:
            return [("", step) for step in self.data["runs"]["steps"]]
        return [(name, step) for name, job in self.jobs.items() for step in job.get("steps", ())]

    def uses(self) -> list[str]:
        """Every `uses:`, of steps and of jobs."""
        of_jobs = [] if "runs" in self.data else [job["uses"] for job in self.jobs.values() if "uses" in job]
        return of_jobs + [step["uses"] for _, step in self.steps() if "uses" in step]


def read(path: Path) -> Document:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in data:
        data["on"] = data.pop(True)
    return Document(path, data)


def workflows() -> list[Document]:
    return [read(path) for path in sorted((GITHUB / "workflows").glob("*.yml"))]


def actions() -> list[Document]:
    return [read(path) for path in sorted((GITHUB / "actions").glob("*/action.yml"))]


def local(uses: str) -> Path | None:
    """The file that a `./` reference means here; None for an action of somebody else."""
    if not uses.startswith("./"):
        return None
    path = ROOT / (uses.removeprefix(TOOLS) if uses.startswith(TOOLS) else uses)
    return path if path.suffix == ".yml" else path / "action.yml"


def strings(value: Any) -> list[str]:
    """Every string in a tree."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


def expressions(value: Any) -> list[str]:
    """Every expression in a tree: what stands in ``${{ }}``, and whole conditions."""
    return [inner for text in strings(value) for inner in EXPRESSION.findall(text)]
