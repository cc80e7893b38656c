"""``scripts/infra.sh``: an environment from plan to smoke test."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.infra.servers import Difference, Servers
from scripts.infra.terraform import Event, Terraform, TerraformError

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "terraform" / "environments"
FAILED, USAGE, DRIFT = 1, 2, 3
_BACKUP_S = 3600.0
ROOT_CERTIFICATE = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"


class RefusalError(Exception):
    """Said to a person in one line; nothing has been touched."""


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 failed, 2 usage, 3 drift found."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:
        try:
            environment = Environment(options, Path(folder))
            code: int = getattr(environment, options.command)()
        except RefusalError as error:
            print(f"infra: {error}", file=sys.stderr)
            return USAGE
        except (TerraformError, OSError) as error:
            print(f"infra: {error}", file=sys.stderr)
            return FAILED
    if code == 0 and options.command in {"up", "destroy"}:
        print(f"done in {time.monotonic() - started:.0f} s")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/infra.sh", description="Looks after the servers of an environment.")
    parser.add_argument(
        "command",
        choices=("up", "plan", "drift", "status", "key", "unlock", "destroy"),
        help="up: bring it to what is written; plan: say what up would do; drift: ask the servers whether they are as "
        "they were left (exit code 3 when not); status; key: print the first admin key; unlock: end "
        "the lock that a killed apply has left on the state; destroy: take it off them",
    )
    parser.add_argument("environment", help="a folder in terraform/environments, or a path of one")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--plan-only", action="store_true", help="the same as plan")
    parser.add_argument("--hosts", default="", help="ask only these for drift: a,b")
    parser.add_argument(
        "--var-file", type=Path, action="append", default=[], help="variables; *.auto.tfvars are read anyway"
    )
    parser.add_argument("--state", type=Path, help="a local state file, for labs")
    parser.add_argument("--no-backup", action="store_true", help="up: no backup before another release")
    parser.add_argument("--wipe-data", action="store_true", help="destroy: the data too")
    return parser


class Environment:
    """One environment and what is asked of it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._plan = folder / "plan"
        source = Path(options.environment)
        source = source if source.is_dir() else ENVIRONMENTS / options.environment
        if not (source / "main.tf").is_file():
            known = ", ".join(sorted(one.parent.name for one in ENVIRONMENTS.glob("*/main.tf")))
            raise RefusalError(f"no environment {options.environment!r}; there are {known}")
        for file in options.var_file:
            if not file.is_file():
                raise RefusalError(f"--var-file {file}: no such file")
        self._name = source.name
        self._terraform = Terraform(source, var_files=options.var_file, state=options.state)

    def up(self) -> int:
        """Plan, look at the servers, apply, try the result. A second run finds nothing to do."""
        self._begin()
        has_changes = self._terraform.plan(self._plan)
        planned = self._terraform.show(self._plan)
        # Servers that are rented have no address before they are made: those of before are looked at, if there are any.
        known = _planned_outputs(planned)
        known = known if known.get("machines") is not None else _prior_outputs(planned)
        found = self._drift(self._servers(known), planned) if known.get("machines") else []
        if found:
            _tell(found)
            has_changes = self._terraform.plan(self._plan, replace=[one.address for one in found])
            planned = self._terraform.show(self._plan)
        if not has_changes:
            print(f"{self._name}: nothing to do")
            return 0
        _describe(planned)
        if self._options.plan_only:
            return 0
        self._ask(f"Apply this to {self._name}?")
        # Not the plan's prior state: Terraform has put the new values of outputs there already.
        self._back_up(self._terraform.outputs(), _planned_outputs(planned))
        self._terraform.apply(self._plan, Progress().told)
        outputs = self._terraform.outputs()
        self._smoke(self._servers(outputs), outputs)
        print(outputs.get("next_steps", "").strip())
        return 0

    def plan(self) -> int:
        """What `up` would do."""
        self._options.plan_only = True
        return self.up()

    def drift(self) -> int:
        """Ask every server about every role."""
        self._begin()
        outputs = self._outputs()
        found = self._servers(outputs).drift(self._chosen(outputs["applied"]))
        if not found:
            print(f"{self._name}: every server is as it was left")
            return 0
        _tell(found)
        print("scripts/infra.sh up repairs exactly these")
        return DRIFT

    def status(self) -> int:
        """Servers, roles, release, and whether the public address answers."""
        self._begin()
        outputs = self._outputs()
        servers = self._servers(outputs, must_reach=False)
        lost = servers.unreachable(outputs["machines"])
        asked = {role: [host for host in hosts if host not in lost] for role, hosts in outputs["applied"].items()}
        differing = {(one.host, one.role) for one in servers.drift(asked)}
        for host in sorted(outputs["machines"]):
            roles = [role for role, hosts in outputs["applied"].items() if host in hosts]
            words = [f"{role}{' (differs)' if (host, role) in differing else ''}" for role in roles]
            print(f"{host:20} {lost.get(host) or ', '.join(words)}")
        print(f"release {outputs['release']} at {outputs['gateway_url']}")
        if lost or differing:
            return FAILED
        self._smoke(servers, outputs)
        return 0

    def key(self) -> int:
        """The first admin key, which the server with the gateway has kept."""
        self._begin()
        outputs = self._outputs()
        servers = self._servers(outputs)
        for host in outputs["hosts"]["gateway"]:
            done = servers.run(host, "cat /etc/jangada/secrets/first-admin-key")
            if done.returncode == 0 and done.stdout.strip():
                print(done.stdout.strip())
                return 0
        raise OSError("no server has the first admin key: it was made before, or deleted there once it was noted")

    def unlock(self) -> int:
        """End the lock that a killed apply has left; says whose it is, and asks."""
        self._begin()
        lock = self._terraform.lock()
        if lock is None:
            print(f"{self._name}: nobody holds the lock")
            return 0
        print(f"{lock}; id {lock.id}")
        self._ask("Two applies at once ruin the state. Is that one surely dead?")
        self._terraform.unlock(lock)
        print(f"{self._name}: unlocked")
        return 0

    def destroy(self) -> int:
        """Take everything off the servers but the data, and say which could not be reached."""
        self._begin()
        outputs = self._outputs()
        servers = self._servers(outputs, must_reach=False)
        lost = servers.unreachable(outputs["machines"])
        for host, why in lost.items():
            print(f"{host}: {why}; nothing is taken off it", file=sys.stderr)
        what = "everything, and ALL DATA," if self._options.wipe_data else "everything but the data"
        if not self._options.yes:
            self._typed(
                f"This takes {what} off {', '.join(sorted(outputs['machines']))}. Type {self._name}: ", self._name
            )
        if self._options.wipe_data:
            # What destroy runs on the servers is in the state already: it is told first.
            self._terraform.plan(self._plan, variables={"wipe_data": "true"})
            self._terraform.apply(self._plan, Progress().told)
        if self._terraform.plan(self._plan, destroy=True):
            self._terraform.apply(self._plan, Progress().told)
        if lost:
            raise OSError(f"left as they are: {', '.join(sorted(lost))}")
        return 0

    def _begin(self) -> None:
        self._terraform.check_version()
        self._terraform.init()

    def _outputs(self) -> dict[str, Any]:
        outputs = self._terraform.outputs()
        if "applied" not in outputs:
            raise RefusalError(f"{self._name} has not been brought up yet")
        return outputs

    def _servers(self, outputs: Mapping[str, Any], *, must_reach: bool = True) -> Servers:
        servers = Servers(outputs["ssh_config"], outputs["known_hosts"], self._folder)
        lost = servers.unreachable(self._only(outputs["machines"])) if must_reach else {}
        if lost:
            raise RefusalError(
                "; ".join(f"{host} ({outputs['machines'][host]['address']}): {why}" for host, why in lost.items())
            )
        for host, machine in outputs["machines"].items():
            if not machine["checked"]:
                print(f"{host}: without host_key nobody knows whether it is the right server", file=sys.stderr)
        return servers

    def _drift(self, servers: Servers, planned: Mapping[str, Any]) -> list[Difference]:
        """Of what was applied and would be left as it is: the rest is applied anyway."""
        applied = _prior_outputs(planned).get("applied") or {}
        changing = {
            one["address"] for one in planned.get("resource_changes", []) if one["change"]["actions"] != ["no-op"]
        }
        steady = {
            role: [host for host in hosts if Difference(host, role, ()).address not in changing]
            for role, hosts in self._chosen(applied).items()
        }
        return servers.drift(steady)

    def _back_up(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """What there is before another release goes out. Nothing where there is no backup to be written."""
        hosts = (before.get("hosts") or {}).get("backup") or []
        if not hosts or before.get("release") == after.get("release") or self._options.no_backup:
            return
        print(f"{hosts[0]}: writes a backup before {after.get('release')}")
        done = self._servers(before).run(hosts[0], "systemctl start jangada-backup.service", _BACKUP_S)
        if done.returncode != 0:
            raise OSError(
                f"{hosts[0]}: the backup failed; journalctl -u jangada-backup there, --no-backup goes without"
            )

    def _chosen(self, applied: Mapping[str, Any]) -> dict[str, list[str]]:
        return {role: self._only(hosts) for role, hosts in applied.items()}

    def _only(self, hosts: Any) -> list[str]:
        wanted = {word for word in self._options.hosts.split(",") if word}
        return sorted(host for host in hosts if not wanted or host in wanted)

    def _ask(self, question: str) -> None:
        if self._options.yes:
            return
        self._typed(f"{question} Type yes: ", "yes")

    def _typed(self, question: str, word: str) -> None:
        if not sys.stdin.isatty():
            raise RefusalError("nobody to ask here; --yes goes on without")
        if input(question).strip() != word:
            raise RefusalError("not done")

    def _smoke(self, servers: Servers, outputs: Mapping[str, Any]) -> None:
        environ = dict(os.environ) | {"OPENFAAS_URL": outputs["gateway_url"]}
        for host in outputs["hosts"]["edge"]:
            found = servers.run(host, f"cat {ROOT_CERTIFICATE}")
            if found.returncode == 0:
                certificate = self._folder / "root.crt"
                certificate.write_text(found.stdout)
                environ["CURL_CA_BUNDLE"] = str(certificate)
        if not outputs["hosts"]["edge"]:
            return
        done = subprocess.run(
            [ROOT / "scripts" / "ci" / "smoke.sh"], env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(f"{outputs['gateway_url']} does not answer as it should: {done.stderr.strip()}")
        print(f"{outputs['gateway_url']} answers")


class Progress:
    """Prints what a person wants to see of an apply: which server is at what, and what it changed."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def told(self, event: Event) -> None:
        """One of Terraform's events."""
        kind, hook = event.get("type"), event.get("hook") or {}
        if kind == "provision_progress":
            text = hook.get("output", "").strip()
            if _of_a_server(text):
                self._say(text)
        elif kind == "apply_errored":
            self._say(f"failed: {hook.get('resource', {}).get('addr', '')}")

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:6.1f} s  {text}", flush=True)


def _of_a_server(text: str) -> bool:
    """Whether apply.sh said it; the rest is Terraform's own talk about SSH."""
    if text.startswith(("jangada:", "to do:")):
        return True
    return text.count(": ") > 1 and not text.startswith(("Connecting", "Host:", "User:"))


def _planned_outputs(planned: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get("value") for name, one in planned["planned_values"]["outputs"].items()}


def _prior_outputs(planned: Mapping[str, Any]) -> dict[str, Any]:
    prior = (planned.get("prior_state") or {}).get("values", {}).get("outputs", {})
    return {name: one.get("value") for name, one in prior.items()}


def _tell(found: list[Difference]) -> None:
    for one in found:
        print(f"{one.host}: {one.role} differs: {'; '.join(one.said)}")


def _describe(planned: Mapping[str, Any]) -> None:
    """Server and role of everything that the plan does."""
    for change in planned.get("resource_changes", []):
        actions, address = change["change"]["actions"], change["address"]
        if (
            actions == ["no-op"]
            or not address.startswith("module.platform.module.")
            or ".terraform_data.apply[" not in address
        ):
            continue
        words = {("create",): "new", ("delete",): "goes", ("update",): "changes"}
        print(f"  {change.get('index', ''):20} {address.split('.')[3]:10} {words.get(tuple(actions), 'again')}")
    summary = [tuple(one["change"]["actions"]) for one in planned.get("resource_changes", [])]
    print(f"  {sum(one != ('no-op',) for one in summary)} steps")


if __name__ == "__main__":
    sys.exit(main())
