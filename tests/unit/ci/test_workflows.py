"""What no linter looks at: pins, permissions, limits, and that every reference between the files leads somewhere."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.unit.ci.workflow_files import (
    GITHUB,
    ROOT,
    TOOLS,
    actions,
    expressions,
    local,
    read,
    strings,
    workflows,
)

WORKFLOWS = workflows()
ACTIONS = actions()
BOTH = WORKFLOWS + ACTIONS
PINNED = re.compile(r"^\s*(?:- )?uses: ([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$")
EXPECTED_WORKFLOWS = {
    "ci", "release", "deploy", "rollback", "infra", "security",
    "reusable-python", "reusable-images", "reusable-deploy", "reusable-terraform",
}  # fmt: skip
EXPECTED_ACTIONS = {
    "setup", "setup-terraform", "faas-login", "faas-deploy", "docker-login", "image-build", "version", "smoke",
    "notify",
}  # fmt: skip

each_document = pytest.mark.parametrize("document", BOTH, ids=lambda document: document.name)
each_workflow = pytest.mark.parametrize("document", WORKFLOWS, ids=lambda document: document.name)
each_action = pytest.mark.parametrize("document", ACTIONS, ids=lambda document: document.name)


def test_all_files_that_the_design_names_are_there():
    assert {document.path.stem for document in WORKFLOWS} == EXPECTED_WORKFLOWS
    assert {document.path.parent.name for document in ACTIONS} == EXPECTED_ACTIONS


@each_document
def test_actions_of_others_are_pinned_to_a_commit_and_say_their_version(document):
    lines = [line for line in document.path.read_text().splitlines() if re.match(r"\s*(- )?uses: [^.]", line)]
    assert [line for line in lines if not PINNED.match(line)] == []
    assert len(lines) == len([uses for uses in document.uses() if not uses.startswith("./")])


def test_one_action_has_one_version_everywhere():
    versions: dict[str, set[str]] = {}
    for document in BOTH:
        for uses in document.uses():
            if not uses.startswith("./"):
                name, _, commit = uses.partition("@")
                versions.setdefault(name, set()).add(commit)
    assert {name: commits for name, commits in versions.items() if len(commits) > 1} == {}


@each_workflow
def test_nothing_is_granted_but_by_a_job(document):
    assert document.data["permissions"] == {}
    for name, job in document.jobs.items():
        assert isinstance(job.get("permissions"), dict), f"{name} says no permissions"
        assert set(job["permissions"].values()) <= {"read", "write"}


@each_workflow
def test_every_job_that_runs_has_a_limit(document):
    without = [name for name, job in document.jobs.items() if "uses" not in job and "timeout-minutes" not in job]
    assert without == []


@each_document
def test_no_value_is_pasted_into_a_script(document):
    pasted = [step["run"] for _, step in document.steps() if "${{" in step.get("run", "")]
    assert pasted == []


@each_document
def test_local_references_exist(document):
    missing = [uses for uses in document.uses() if (path := local(uses)) is not None and not path.is_file()]
    assert missing == []


@each_document
def test_scripts_that_are_called_exist_and_can_be_run(document):
    named = {
        match
        for _, step in document.steps()
        for match in re.findall(r"scripts/[\w/]+\.sh", step.get("run", ""))
    }  # fmt: skip
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    assert [name for name in sorted(named) if not (ROOT / name).stat().st_mode & 0o111] == []


@each_workflow
def test_needs_resolve_and_their_outputs_are_declared(document):
    for name, job in document.jobs.items():
        needs = job.get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        assert set(needs) <= set(document.jobs), name
        for other, output in re.findall(r"needs\.([\w-]+)\.outputs\.([\w-]+)", "\n".join(strings(job))):
            assert other in needs, f"{name} reads {other} and does not need it"
            target = document.jobs[other]
            declared = read(local(target["uses"])).call.get("outputs", {}) if "uses" in target else target["outputs"]
            assert output in declared, f"{name} reads {other}.{output}"


@each_document
def test_outputs_of_steps_are_of_steps_that_are_there(document):
    for name, job in [("", document.data)] if "runs" in document.data else document.jobs.items():
        ids = {step["id"] for job_name, step in document.steps() if job_name == name and "id" in step}
        read_ids = set(re.findall(r"steps\.([\w-]+)\.outputs", "\n".join(strings(job))))
        assert read_ids <= ids, name


@each_document
def test_inputs_that_are_read_are_declared(document):
    triggers = document.data.get("on") or {}
    declared = set(document.data.get("inputs") or ())
    for trigger in ("workflow_call", "workflow_dispatch"):
        declared |= set(((triggers.get(trigger) if isinstance(triggers, dict) else None) or {}).get("inputs") or ())
    used = {name for text in expressions(document.data) for name in re.findall(r"\binputs\.([\w-]+)", text)}
    used |= set(re.findall(r"(?<![\w.])inputs\.([\w-]+)", "\n".join(conditions(document))))
    assert used <= declared
    assert not triggers or declared <= used, "an input that nothing reads"


def conditions(document):
    steps = [step.get("if", "") for _, step in document.steps()]
    return [str(each) for each in steps] + [str(job.get("if", "")) for job in document.data.get("jobs", {}).values()]


@each_document
def test_calls_match_what_is_declared(document):
    called = [(step["uses"], step.get("with", {}), {}) for _, step in document.steps() if "uses" in step]
    if "jobs" in document.data:
        called += [
            (job["uses"], job.get("with", {}), job.get("secrets", {}))
            for job in document.jobs.values()
            if "uses" in job
        ]
    for uses, given, secrets in called:
        path = local(uses)
        if path is None:
            continue
        target = read(path)
        interface = target.data if path.name == "action.yml" else target.call
        declared = interface.get("inputs") or {}
        assert set(given) <= set(declared), uses
        required = {name for name, about in declared.items() if about.get("required") and "default" not in about}
        assert required <= set(given), uses
        assert secrets != "inherit", uses
        assert set(secrets) <= set(interface.get("secrets") or {}), uses


@each_workflow
def test_a_caller_grants_what_the_called_jobs_ask_for(document):
    for name, job in document.jobs.items():
        if "uses" not in job:
            continue
        for inner_name, inner in read(local(job["uses"])).jobs.items():
            for scope, level in inner["permissions"].items():
                granted = job["permissions"].get(scope)
                assert granted == "write" or granted == level, f"{name}: {inner_name} needs {scope}: {level}"


@each_action
def test_a_composite_action_is_a_thin_shell(document):
    assert document.data["runs"]["using"] == "composite"
    for _, step in document.steps():
        assert "uses" in step or step["shell"] == "bash"
        assert "timeout-minutes" not in step
        assert step.get("run", "").count("\n") <= 1, "logic belongs into scripts/ci"
    assert not [text for text in expressions(document.data) if "secrets." in text], "it has no secrets context"


@each_workflow
def test_credentials_stay_only_where_something_is_pushed(document):
    keep = []
    for name, step in document.steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            kept = step["with"]["persist-credentials"]
            assert isinstance(kept, bool)
            if kept:
                keep.append((document.path.stem, name))
    assert keep in ([], [("release", "version")])


@each_workflow
def test_a_run_that_changes_something_is_never_canceled(document):
    writes = {"release", "rollback", "reusable-deploy", "reusable-terraform"}
    if document.path.stem in writes:
        assert document.data["concurrency"]["cancel-in-progress"] is False


@each_workflow
def test_a_fork_gets_neither_secrets_nor_our_runners(document):
    assert "pull_request_target" not in document.data["on"]
    if "pull_request" not in document.data["on"]:
        return
    for name, job in document.jobs.items():
        text = "\n".join(strings(job))
        guarded = "github.event_name != 'pull_request'" in str(job.get("if")) or "workflow_dispatch" in str(
            job.get("if")
        )
        assert guarded or ("secrets." not in text and "fromJSON(vars." not in text), name


@each_workflow
def test_a_reusable_workflow_takes_its_scripts_from_its_own_repository(document):
    """`./` is the caller's checkout: another repository has no scripts/ci."""
    if not document.path.stem.startswith("reusable-"):
        return
    for name, step in document.steps():
        assert not step.get("uses", "").startswith("./") or step["uses"].startswith(TOOLS), name
        assert not re.search(r"(?<!\.jangada-ci/)scripts/", step.get("run", "")), name
    for name in {name for name, _ in document.steps()}:
        checkouts = [
            step["with"] for job, step in document.steps() if job == name and "checkout" in step.get("uses", "")
        ]
        own = [each for each in checkouts if each.get("path") == ".jangada-ci"]
        assert own, name
        assert own[0]["repository"] == "${{ job.workflow_repository }}"
        assert own[0]["ref"] == "${{ job.workflow_sha }}"


def test_the_one_required_check_waits_for_every_job_of_ci():
    jobs = read(GITHUB / "workflows" / "ci.yml").jobs
    assert set(jobs["ok"]["needs"]) == set(jobs) - {"ok"}
    assert jobs["ok"]["if"] == "always()"


def test_dependabot_looks_after_every_kind_of_pin():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"github-actions", "pip", "docker", "terraform"}
    for each in updates:
        folders = [ROOT / folder.removeprefix("/") for folder in each["directories"] if "*" not in folder]
        assert [folder for folder in folders if not folder.is_dir()] == []
