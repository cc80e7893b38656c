"""The servers themselves, over ssh: can they be reached, are they who they say, are they still as they were left."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROLES = (
    "node",
    "gpu",
    "secrets",
    "tls",
    "redis",
    "mongodb",
    "openfaas",
    "faasd",
    "executor",
    "observability",
    "edge",
    "backup",
)
_DIFFERS = 3
_SSH_FAILED = 255
_T = TypeVar("_T")


@dataclass(frozen=True)
class Difference:
    """A role on a server that is not as the last apply left it."""

    host: str
    role: str
    said: tuple[str, ...]

    @property
    def address(self) -> str:
        """What Terraform calls it."""
        return f'module.platform.module.{self.role}.module.apply.terraform_data.apply["{self.host}"]'


class Servers:
    """Those of an environment, reached as Terraform reaches them; *folder* keeps what ssh reads."""

    def __init__(self, ssh_config: str, known_hosts: str, folder: Path) -> None:
        self._config = folder / "ssh_config"
        self._config.write_text(ssh_config)
        known = folder / "known_hosts"
        known.write_text(known_hosts)
        self._ssh = ["ssh", "-F", str(self._config), "-o", f"UserKnownHostsFile={known}"]

    def line(self, host: str, command: str) -> list[str]:
        """What to start here for *command* to run as root on *host*, with its own input and output."""
        return [*self._ssh, host, command if self._is_root(host) else f"sudo -n sh -c {shlex.quote(command)}"]

    def run(self, host: str, command: str, within_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """*command* as root on *host*; its code is 255 when ssh itself failed."""
        line = self.line(host, command)
        try:
            return subprocess.run(
                line, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within_s
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(line, _SSH_FAILED, "", f"no end within {within_s:g} s")

    def unreachable(self, hosts: Iterable[str]) -> dict[str, str]:
        """Host → what is wrong and what to do, of those that nothing can be done on."""

        def ask(host: str) -> str:
            done = self.run(host, "true", 30.0)
            return "" if done.returncode == 0 else _why(done.stderr)

        return {host: why for host, why in _each(hosts, ask).items() if why}

    def drift(self, applied: Mapping[str, Iterable[str]]) -> list[Difference]:
        """What differs; *applied* is role → hosts. A server that cannot be asked raises `OSError`."""
        roles = {host: [role for role in ROLES if host in applied.get(role, ())] for host in _hosts(applied)}

        def ask(host: str) -> list[Difference]:
            return [found for role in roles[host] if (found := self._check(host, role)) is not None]

        return [one for found in _each(roles, ask).values() for one in found]

    def _check(self, host: str, role: str) -> Difference | None:
        script = f"/var/lib/jangada/roles/{role}/apply.sh"
        done = self.run(host, f"if [ -f {script} ]; then bash {script} --check; else exit {_DIFFERS}; fi")
        if done.returncode == 0:
            return None
        if done.returncode == _SSH_FAILED:
            raise OSError(f"{host}: {_why(done.stderr)}")
        said = [line.partition("differs: ")[2] for line in done.stdout.splitlines() if "differs: " in line]
        return Difference(host, role, tuple(said or done.stderr.strip().splitlines()[-1:] or ["its files are gone"]))

    def _is_root(self, host: str) -> bool:
        lines = self._config.read_text().splitlines()
        at = lines.index(f"Host {host}")
        return next(line.split()[1] for line in lines[at:] if line.strip().startswith("User ")) == "root"


def _hosts(applied: Mapping[str, Iterable[str]]) -> list[str]:
    return sorted({host for hosts in applied.values() for host in hosts})


def _each(hosts: Iterable[str], ask: Callable[[str], _T]) -> dict[str, _T]:
    names = list(hosts)
    with ThreadPoolExecutor(max_workers=10) as pool:
        return dict(zip(names, pool.map(ask, names), strict=True))


def _why(said: str) -> str:
    if "Host key verification failed" in said or "HOST IDENTIFICATION HAS CHANGED" in said:
        return "it has another host key than hosts says; look on its own console before you change host_key"
    if "Permission denied" in said:
        return "it does not take the key; is ssh_key_file right, and in its authorized_keys?"
    if "sudo" in said:
        return "its user may not use sudo without a password"
    last = said.strip().splitlines()
    return f"it cannot be reached ({last[-1] if last else 'no reason told'})"
