"""What can be said about terraform/ without a server: formatted, valid, and refusing what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from scripts.infra.terraform import Terraform, TerraformError
from scripts.terraform_graph import PICTURE, edges, graph
from tests.docker_engine import ROOT
from tests.requires import requires_program

TERRAFORM = ROOT / "terraform"
# A cloud's need its provider: test_hetzner.py.
ENVIRONMENTS = sorted(
    file.parent for file in TERRAFORM.glob("environments/*/main.tf") if "required_providers" not in file.read_text()
)
TESTED = sorted({file.parent.parent for file in TERRAFORM.rglob("tests/*.tftest.hcl")})
HOST = {"address": "192.0.2.1", "roles": ["gateway", "redis", "mongo", "cpu", "edge"]}
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
BACKED_UP = {"hosts": {"one": HOST | {"roles": [*HOST["roles"], "backup"]}}}
RIGHT = {
    "hosts": {"one": HOST}, "domain": "jangada.example.org", "admin_cidrs": ["192.0.2.0/24"],
    "ssh_key_file": "/dev/null",
}  # fmt: skip


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What Terraform keeps of a folder goes to one that is thrown away."""
    requires_program("terraform")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return clean | {"TF_DATA_DIR": str(tmp_path / "data"), "CHECKPOINT_DISABLE": "1"}


def terraform(folder: Path, environ: dict[str, str], *arguments: str) -> str:
    command = ["terraform", f"-chdir={folder}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planned(tmp_path: Path, environ: dict[str, str], values: dict[str, object]) -> tuple[Terraform, Path]:
    """Every value is tried in the environment `dedicated`; its state is in *tmp_path*."""
    file = tmp_path / "values.tfvars.json"
    file.write_text(json.dumps(values))
    found = Terraform(
        TERRAFORM / "environments" / "dedicated", var_files=[file], state=tmp_path / "state", environ=environ
    )
    found.init()
    found.plan(tmp_path / "plan")
    return found, tmp_path / "plan"


def test_everything_is_formatted(environ):
    terraform(TERRAFORM, environ, "fmt", "-check", "-recursive", "-diff")


@pytest.mark.parametrize("folder", ENVIRONMENTS, ids=lambda folder: folder.name)
def test_environments_need_no_provider_from_outside_and_are_valid(folder, environ):
    terraform(folder, environ, "init", "-backend=false", "-input=false")
    assert not (Path(environ["TF_DATA_DIR"]) / "providers").exists()
    terraform(folder, environ, "validate")


@pytest.mark.parametrize("folder", [one for one in TESTED if "hetzner" not in one.name], ids=lambda one: one.name)
def test_modules_keep_their_own_promises(folder, environ):
    terraform(folder, environ, "init", "-backend=false", "-input=false")
    terraform(folder, environ, "test", "-no-color")


def test_the_examples_can_be_planned(environ, tmp_path):
    for example in (file for folder in ENVIRONMENTS for file in folder.glob("*.tfvars.example")):
        file = tmp_path / "example.tfvars"
        shutil.copy(example, file)
        text = re.sub(r'ssh_key_file *= *".*"', 'ssh_key_file = "/dev/null"', file.read_text())
        file.write_text(text)
        made = Terraform(example.parent, var_files=[file], state=tmp_path / "state", environ=environ)
        made.init()
        assert made.plan(tmp_path / "plan")
        outputs = made.show(tmp_path / "plan")["planned_values"]["outputs"]
        assert outputs["gateway_url"]["value"].startswith("https://")


def test_order_and_rendering_of_one_server(environ, tmp_path):
    made, plan = planned(tmp_path, environ, RIGHT | {"executors": {"ocr": {"algorithm": "doc-ocr", "memory": "2g"}}})
    shown = made.show(plan)
    addresses = {change["address"] for change in shown["resource_changes"]}
    for role in ("node", "secrets", "redis", "mongodb", "openfaas", "executor", "edge"):
        assert f'module.platform.module.{role}.module.apply.terraform_data.apply["one"]' in addresses
    assert shown["planned_values"]["outputs"]["release"]["value"] == (ROOT / "VERSION").read_text().strip()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"hosts": {"a": HOST, "b": HOST | {"roles": ["cpu"]}}}, "shared: 192.0.2.1 by a, b"),
        ({"hosts": {"a": HOST, "b": {"address": "192.0.2.2", "roles": ["mongo"]}}}, "hosts: 2 have the role mongo"),
        ({"hosts": {"a": HOST | {"roles": [*HOST["roles"], "fpga"]}}}, "unknown roles: a has fpga"),
        ({"executors": {"e": {"algorithm": "text-embed", "kind": "gpu"}}}, "e needs a server with the role gpu"),
        ({"admin_cidrs": ["10.0.0.0/33"]}, "admin_cidrs: no network: 10.0.0.0/33"),
        ({"tls": "none"}, "tls is acme, files or internal"),
        ({"openfaas": {"engine": "external"}}, "engine external none"),
        ({"openfaas": {"engine": "faasd"}}, "openfaas.accept_eula"),
        ({"openfaas": {"engine": "faasd", "accept_eula": True}}, "openfaas.sha256 has the checksums"),
        ({"openfaas": {"engine": "nomad"}}, "openfaas.engine is jangada, faasd or external"),
        ({"observability": {"host": "nowhere"}}, "observability.host: nowhere is none of hosts (one)"),
        ({"observability": {"host": "one", "retention_days": 0}}, "observability.retention_days is a whole number"),
        ({"hosts": {"a": HOST | {"roles": [*HOST["roles"], "gpu"], "gpus": -1}}}, "hosts: gpus is how many"),
        (
            {"install_gpu_driver": True, "gpu": {"driver_packages": ["a b"]}},
            "gpu.driver_packages are names of packages",
        ),
        ({"backup": {"public_key": AGE}}, "one server with the role backup writes them"),
        ({"hosts": {"a": HOST | {"roles": [*HOST["roles"], "backup"]}}}, "it needs backup.public_key"),
        (BACKED_UP | {"backup": {"public_key": "AGE-SECRET-KEY-1QQ"}}, "backup.public_key is what age-keygen calls"),
        (BACKED_UP | {"backup": {"public_key": AGE, "keep": 0}}, "backup.keep is a whole number, 1 or more"),
    ],
)
def test_wrong_input_is_refused_by_name(environ, tmp_path, wrong, words):
    with pytest.raises(TerraformError) as refused:
        planned(tmp_path, environ, RIGHT | wrong)
    assert words in str(refused.value)


def test_the_firewall_opens_data_to_containers_of_the_server_and_metrics_to_the_watcher_alone(environ, tmp_path):
    template = TERRAFORM / "files" / "firewall.nft.tftpl"
    openings = {
        "6379": ["10.0.0.1"],
        "27017": ["fd00::1"],
        "443": ["0.0.0.0/0"],
        "9100": ["10.0.0.9"],
        "9200": ["10.0.0.9"],
    }
    values = json.dumps({"ssh_port": 22, "admins": ["192.0.2.0/24"], "openings": openings})
    (tmp_path / "main.tf").write_text(f'output "rules" {{\n  value = templatefile("{template}", {values})\n}}\n')
    made = Terraform(tmp_path, state=tmp_path / "state", environ=environ)
    made.init()
    made.plan(tmp_path / "plan")
    rules = made.show(tmp_path / "plan")["planned_values"]["outputs"]["rules"]["value"]
    opened = {
        port: [line.strip() for line in rules.splitlines() if f"dport {port} accept" in line] for port in openings
    }
    assert opened["9100"] == ["ip saddr 10.0.0.9 tcp dport 9100 accept"]
    assert opened["9200"] == ["ip saddr 10.0.0.9 tcp dport 9200 accept"]
    assert opened["443"] == ["ip saddr 0.0.0.0/0 tcp dport 443 accept"]
    bridges = [f'iifname "{name}" tcp dport 6379 accept' for name in ("docker0", "br-*", "openfaas0")]
    assert opened["6379"] == ["ip saddr 10.0.0.1 tcp dport 6379 accept", *bridges]
    assert opened["27017"][0] == "ip6 saddr fd00::1 tcp dport 27017 accept"
    assert rules.rstrip().splitlines()[-3].strip() == "counter drop"


def test_the_picture_says_which_module_waits_for_which(environ):
    drawn = re.findall(r"<title>([a-z-]+)&#45;&gt;([a-z-]+)</title>", PICTURE.read_text())
    assert sorted(drawn) == edges(graph()), "make terraform-graph draws it again"
    assert {("node", "secrets"), ("secrets", "tls"), ("tls", "redis"), ("executor", "edge")} <= set(drawn)


def test_terraform_as_a_child_process(environ, tmp_path):
    (tmp_path / "main.tf").write_text(
        'variable "exit" {\n  type = number\n}\n'
        'variable "secret" {\n  type      = string\n  ephemeral = true\n  default   = ""\n}\n'
        'resource "terraform_data" "one" {\n'
        "  triggers_replace = var.exit\n"
        '  provisioner "local-exec" {\n'
        '    command = "echo n1: redis: ready; test \\"$SECRET\\" = open-sesame && exit ${var.exit}"\n'
        "    environment = { SECRET = var.secret }\n  }\n}\n"
        'output "exit" {\n  value = var.exit\n}\n'
    )
    values = tmp_path / "values.tfvars.json"
    made = Terraform(tmp_path, var_files=[values], state=tmp_path / "state", environ=environ)
    made.check_version()
    made.init()
    assert made.outputs() == {}

    values.write_text(json.dumps({"exit": 1, "secret": "open-sesame"}))
    assert made.plan(tmp_path / "plan")
    with pytest.raises(TerraformError, match="local-exec"):
        made.apply(tmp_path / "plan", lambda event: None)

    values.write_text(json.dumps({"exit": 0, "secret": "open-sesame"}))
    events = []
    assert made.plan(tmp_path / "plan")
    made.apply(tmp_path / "plan", events.append)
    assert {"provision_progress", "apply_complete"} <= {event.get("type") for event in events}
    assert made.outputs() == {"exit": 0}
    assert not made.plan(tmp_path / "plan")
    assert made.plan(tmp_path / "plan", replace=["terraform_data.one"])
    assert made.show(tmp_path / "plan")["resource_changes"][0]["change"]["actions"] == ["delete", "create"]
    assert b"open-sesame" not in (tmp_path / "state").read_bytes() + (tmp_path / "plan").read_bytes()
    assert made.plan(tmp_path / "plan", destroy=True)
    made.apply(tmp_path / "plan", events.append)
    assert not made.plan(tmp_path / "plan", destroy=True)


def test_a_server_that_cannot_be_reached_is_named_before_anything_is_touched(environ, tmp_path):
    requires_program("ssh")
    with socket.socket() as taken:
        # Bound and not listening: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        host = HOST | {"address": "127.0.0.1", "ssh_port": taken.getsockname()[1]}
        file = tmp_path / "values.tfvars.json"
        file.write_text(json.dumps(RIGHT | {"hosts": {"one": host}, "tls": "internal"}))
        command = [ROOT / "scripts" / "infra.sh", "up", "dedicated", "--yes", "--var-file", file]
        done = subprocess.run(
            [*command, "--state", tmp_path / "state"], env=environ, capture_output=True, text=True, timeout=100
        )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "one (127.0.0.1): it cannot be reached" in done.stderr
    assert not (tmp_path / "state").exists()


def test_infra_says_what_it_lacks(environ):
    def infra(*arguments: str) -> str:
        command = [str(ROOT / "scripts" / "infra.sh"), *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stderr

    assert "there are dedicated, hetzner, lab" in infra("up", "nowhere")
    assert "no such file" in infra("up", "lab", "--var-file", "missing.json")
    assert "invalid choice" in infra("fly", "lab")
