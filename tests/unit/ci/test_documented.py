"""docs/ci.md against the workflows: the example works as it stands, and no secret or variable is missing."""

import re

import pytest
import yaml

from tests.unit.ci.workflow_files import GITHUB, ROOT, expressions, read, workflows

TEXT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"<!-- example -->\n```yaml\n(.*?)```", TEXT, re.DOTALL).group(1)
KINDS = {str: "string", bool: "boolean", int: "number", float: "number"}


def called():
    return yaml.safe_load(EXAMPLE)["jobs"].items()


def test_the_example_is_short():
    assert len(EXAMPLE.splitlines()) <= 15


@pytest.mark.parametrize(("name", "job"), list(called()), ids=[name for name, _ in called()])
def test_the_example_calls_what_is_declared(name, job):
    owner_and_file = job["uses"].partition("@")[0]
    assert owner_and_file.startswith("jangada/jangada/.github/workflows/")
    target = read(ROOT / owner_and_file.removeprefix("jangada/jangada/"))
    inputs, secrets = target.call["inputs"], target.call["secrets"]
    assert set(job["with"]) <= set(inputs)
    assert {each for each, about in inputs.items() if about.get("required")} <= set(job["with"])
    for each, value in job["with"].items():
        assert inputs[each]["type"] == KINDS[type(value)]
    assert set(job.get("secrets", {})) <= set(secrets)
    assert {each for each, about in secrets.items() if about.get("required")} <= set(job.get("secrets", {}))


def test_the_example_grants_what_the_called_jobs_ask_for():
    whole = yaml.safe_load(EXAMPLE)
    for _, job in called():
        target = read(GITHUB / "workflows" / job["uses"].partition("@")[0].rpartition("/")[2])
        for inner in target.jobs.values():
            for scope, level in inner["permissions"].items():
                assert whole["permissions"].get(scope) in {level, "write"}


def test_the_example_reads_outputs_that_are_declared():
    jobs = dict(called())
    for other, output in re.findall(r"needs\.(\w+)\.outputs\.(\w+)", EXAMPLE):
        target = GITHUB / "workflows" / jobs[other]["uses"].partition("@")[0].rpartition("/")[2]
        assert output in read(target).call["outputs"]


def test_every_secret_and_variable_is_documented():
    """Names of inputs of a called workflow are lower-case; those of a repository or an environment upper-case."""
    used = {
        match
        for document in workflows()
        for text in expressions(document.data)
        for match in re.findall(r"\b(?:secrets|vars)\.([A-Z]\w+)", text)
    }
    table = TEXT.partition("## Secrets and variables")[2].partition("\n## ")[0]
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in table] == []
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+|REGISTRY)`", table.partition("`GITHUB_TOKEN`")[0]))
    assert named <= used | {"TERRAFORM_ENVIRONMENT"}, "documented and not used"


def test_every_workflow_is_named():
    missing = [document.path.name for document in workflows() if document.path.name not in TEXT]
    assert missing == []
