"""Servers for Terraform: containers with systemd, sshd and a Docker Engine of their own, on a network of their own."""

from __future__ import annotations

import hashlib
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tests.docker_engine import docker
from tests.servers import until

HERE = Path(__file__).parent
# Another recipe is another image: what is there was made by this one.
RECIPE = sorted(file for file in HERE.iterdir() if file.suffix != ".py" and file.is_file())
IMAGE = f"jangada-lab/node:{hashlib.sha256(b''.join(file.read_bytes() for file in RECIPE)).hexdigest()[:12]}"
# --privileged is refused where the machine itself lacks CAP_SYS_RESOURCE; this is as good there.
OPEN = (
    "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined",
    "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
    "--device-cgroup-rule", "a *:* rwm", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro",
)  # fmt: skip
UNIFIED = ("--privileged", "--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw")


@dataclass
class Lab:
    """Servers n1, n2, …; `close` leaves nothing behind but the image."""

    folder: Path
    name: str = field(default_factory=lambda: f"jglab{uuid.uuid4().hex[:8]}")
    _subnet: str = ""
    _servers: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Make the image, the network and an SSH key."""
        made = subprocess.run([HERE / "node_image.sh", IMAGE], capture_output=True, text=True, timeout=900)
        assert made.returncode == 0, made.stdout + made.stderr
        # The first of these networks that nobody has.
        for number in range(60, 120):
            subnet = f"172.31.{number}"
            command = ["docker", "network", "create", "--subnet", f"{subnet}.0/24", self.name]
            if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
                self._subnet = subnet
                break
        assert self._subnet, "no free network"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)

    @property
    def key(self) -> Path:
        return self.folder / "id"

    @property
    def admin_cidr(self) -> str:
        """Where this machine comes from, seen by the servers."""
        return f"{self._subnet}.1/32"

    def address(self, server: str) -> str:
        return f"{self._subnet}.{10 + int(server[1:])}"

    def start(self, server: str) -> None:
        """Start one; returns when it takes SSH."""
        unified = Path("/sys/fs/cgroup/cgroup.controllers").is_file()
        docker(
            "run", "--detach", "--name", self._container(server), "--hostname", server, "--network", self.name,
            "--ip", self.address(server), *(UNIFIED if unified else OPEN),
            "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",
            "--volume", f"{self._container(server)}-docker:/var/lib/docker",
            "--volume", f"{self._container(server)}-containerd:/var/lib/containerd", IMAGE,
        )  # fmt: skip
        self._servers.append(server)
        until(lambda: self._is_up(server), 60, 0.3)
        public = self.key.with_suffix(".pub").read_text()
        for home in ("/root", "/home/admin"):
            self.run(server, f"mkdir -p {home}/.ssh && cat >{home}/.ssh/authorized_keys", text=public)
        self.run(server, "chown -R admin:admin /home/admin/.ssh")

    def host_key(self, server: str) -> str:
        return " ".join(self.run(server, "cat /etc/ssh/ssh_host_ecdsa_key.pub").split()[:2])

    def run(self, server: str, command: str, *, text: str = "", expect: int = 0) -> str:
        """What *command* says on *server*, run there as root without SSH."""
        line = ["docker", "exec", "--interactive", self._container(server), "sh", "-c", command]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=300)
        assert done.returncode == expect, f"{server}: {command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr if expect else done.stdout

    def load(self, server: str, *images: str) -> None:
        """Bring *images* of this machine's Engine to that of *server*, which has no registry to ask."""
        self.run(server, "systemctl start docker")
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            line = ["docker", "exec", "--interactive", self._container(server), "docker", "load", "--quiet"]
            done = subprocess.run(line, stdin=saving.stdout, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert saving.returncode == 0, images

    @property
    def identity(self) -> Path:
        """The private key that opens backups: here, and on no server."""
        return self.folder / "identity.txt"

    def make_identity(self) -> str:
        """Its public key."""
        subprocess.run(["age-keygen", "-o", self.identity], check=True, capture_output=True)
        made = subprocess.run(["age-keygen", "-y", self.identity], check=True, capture_output=True, text=True)
        return made.stdout.strip()

    def pause(self, server: str) -> None:
        """Connected, and silent. What its Engine runs is in cgroups of this machine, and is paused by itself."""
        self.run(server, "docker ps --quiet | xargs -r docker pause")
        docker("pause", self._container(server))

    def unpause(self, server: str) -> None:
        """Where it was."""
        docker("unpause", self._container(server))
        self.run(server, "docker ps --quiet --filter status=paused | xargs -r docker unpause")

    def kill(self, server: str) -> None:
        """As when its power is cut."""
        docker("kill", self._container(server))

    def start_again(self, server: str) -> None:
        """After `kill`: it boots, with what its disk has."""
        docker("start", self._container(server))
        until(lambda: self._is_up(server), 60, 0.3)

    def close(self) -> None:
        for server in self._servers:
            name = self._container(server)
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, timeout=120)
            volumes = [f"{name}-docker", f"{name}-containerd"]
            subprocess.run(["docker", "volume", "rm", "--force", *volumes], capture_output=True, timeout=120)
        subprocess.run(["docker", "network", "rm", self.name], capture_output=True, timeout=60)

    def _container(self, server: str) -> str:
        return f"{self.name}-{server}"

    def _is_up(self, server: str) -> bool:
        command = ["docker", "exec", self._container(server), "systemctl", "is-active", "--quiet", "ssh"]
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
