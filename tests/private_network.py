"""Machines of a test as network namespaces on one bridge, which this machine is on too. Takes root."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

from tests.requires import requires


def requires_namespaces() -> None:
    """Root, and the programs that make network namespaces and cut them off."""
    requires(sys.platform == "linux" and os.geteuid() == 0, "network namespaces take root", "netns")
    for name in ("ip", "nft"):
        requires(shutil.which(name), f"no {name} on PATH", name)
    probe = f"jgp{secrets.token_hex(3)}"
    may = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
    requires(may, "this machine allows no network namespaces", "netns")
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


@dataclass(frozen=True)
class Machine:
    """One of them."""

    name: str
    link: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """Begins the command of what is to run there."""
        return ["ip", "netns", "exec", self.name]

    def do(self, *words: str) -> None:
        """Run a command there."""
        _do(*self.prefix, *words)

    def pids(self) -> list[int]:
        """What runs there."""
        said = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        return [int(word) for word in said.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send it to all that runs there, also to what is started meanwhile."""
        sent: set[int] = set()
        while new := set(self.pids()) - sent:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            sent |= new

    def cut(self) -> None:
        """Pull its cable. Nobody is told: what was sent is simply lost."""
        _do("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        """Put it back."""
        _do("ip", "link", "set", self.link, "up")

    def only_outbound_to(self, address: str, port: int) -> None:
        """A firewall as at home: it may call that one port, and nobody may call it."""
        rules = [
            "table inet home {",
            "chain incoming { type filter hook input priority 0; policy drop;",
            'iif "lo" accept; ct state established,related accept; }',
            "chain outgoing { type filter hook output priority 0; policy drop;",
            f'oif "lo" accept; ip daddr {address} tcp dport {port} accept; }}',
            "}",
        ]
        done = subprocess.run(
            [*self.prefix, "nft", "-f", "-"], input="\n".join(rules), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def reaches(self, address: str, port: int) -> bool:
        """Whether a connection can be made from there."""
        code = f"import socket; socket.create_connection(({address!r}, {port}), 1).close()"
        command = [*self.prefix, sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class PrivateNetwork:
    """A bridge; `address` is this machine on it."""

    def __init__(self) -> None:
        word = secrets.token_hex(3)
        self._bridge = f"jgb{word}"
        self._word = word
        self._subnet = f"10.{random.randrange(200, 250)}.{random.randrange(1, 250)}"
        self.address = f"{self._subnet}.1"
        self.machines: list[Machine] = []
        _do("ip", "link", "add", self._bridge, "type", "bridge")
        _do("ip", "address", "add", f"{self.address}/24", "dev", self._bridge)
        _do("ip", "link", "set", self._bridge, "up")

    def add(self) -> Machine:
        """One more machine on it."""
        number = len(self.machines) + 1
        name, link = f"jgn{self._word}{number}", f"jgv{self._word}{number}"
        made = Machine(name, link, f"{self._subnet}.{10 + number}")
        _do("ip", "netns", "add", name)
        self.machines.append(made)
        _do("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _do("ip", "link", "set", link, "master", self._bridge, "up")
        made.do("ip", "address", "add", f"{made.address}/24", "dev", "eth0")
        made.do("ip", "link", "set", "eth0", "up")
        made.do("ip", "link", "set", "lo", "up")
        return made

    def close(self) -> None:
        """Kill what runs on the machines, and remove all of it."""
        for machine in self.machines:
            machine.signal(signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", machine.name], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", machine.link], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)
