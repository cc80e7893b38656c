"""A role's apply.sh in a container of its own, with programs on PATH that only say what they were asked."""

from __future__ import annotations

import base64
import hashlib
import shlex
import subprocess
import uuid
from collections.abc import Mapping

from tests.docker_engine import ROOT, base_image, docker

FILES = ROOT / "terraform" / "files"
FAKES = "/fakes"
# Every call of a fake is a line of /fakes/log; what it does is told by the test.
HEAD = '#!/bin/bash\necho "$(basename "$0") $*" >>/fakes/log\n'
UNITS = """
case "$1" in
  is-enabled) test -e "/fakes/enabled-${!#}" ;;
  is-active) test -e "/fakes/active-${!#}" ;;
  enable) touch "/fakes/enabled-${!#}" ;;
  start | restart) touch "/fakes/active-${!#}" ;;
  disable) rm -f "/fakes/enabled-${!#}" "/fakes/active-${!#}" ;;
  cat) test -e "/fakes/unit-$2" ;;
esac
"""


class Box:
    """Where roles are tried; `close` removes it."""

    def __init__(self, *options: str) -> None:
        self.name = f"jangada-role-{uuid.uuid4().hex[:8]}"
        docker(
            "run",
            "--detach",
            "--rm",
            "--name",
            self.name,
            "--hostname",
            "g1",
            *options,
            base_image(),
            "sleep",
            "infinity",
        )
        self.reset()

    def reset(self) -> None:
        """Nothing of any role is left, and no fake but systemctl."""
        units = "/etc/systemd/system/{jangada-*,*.d}"
        self.run(f"rm -rf {FAKES} /var/lib/jangada /etc/jangada {units} /run/jangada-*")
        self.fake("systemctl", UNITS)

    def close(self) -> None:
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], capture_output=True, timeout=60)

    def run(self, command: str, *, expect: int = 0, text: str = "") -> str:
        """What *command* says there, both streams."""
        path = f"PATH={FAKES}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        line = ["docker", "exec", "--interactive", "--env", path, self.name, "bash", "-c", command]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=100)
        assert done.returncode == expect, f"{command[:300]}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        self.run(_writing(path, text, mode))

    def write_bytes(self, path: str, content: bytes) -> None:
        quoted, coded = shlex.quote(path), base64.b64encode(content).decode()
        self.run(f"mkdir -p $(dirname {quoted}) && base64 -d <<<'{coded}' >{quoted}")

    def fake(self, name: str, script: str) -> None:
        """A program called *name*, which runs *script* after it was noted that it was called."""
        self.write(f"{FAKES}/{name}", HEAD + script, "0755")

    def no_fake(self, name: str) -> None:
        self.run(f"rm -f {FAKES}/{name}")

    def calls(self) -> list[str]:
        """What was called since this was asked the last time."""
        return self.run(f"cat {FAKES}/log 2>/dev/null; rm -f {FAKES}/log").splitlines()

    def upload(self, role: str, config: Mapping[str, str], files: Mapping[str, str] | None = None) -> None:
        """As modules/apply does."""
        there = {"lib.sh": (FILES / "lib.sh").read_text(), "apply.sh": (FILES / f"{role}.sh").read_text()}
        there |= dict(files or {})
        there["config.env"] = "".join(f"{name}={shlex.quote(value)}\n" for name, value in config.items())
        folder = f"/var/lib/jangada/roles/{role}"
        sums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in there.items())
        written = [_writing(f"{folder}/{name}", text) for name, text in (there | {".sums": sums}).items()]
        self.run("\n".join([f"rm -rf {folder}", *written]))

    def apply(self, role: str, *arguments: str, expect: int = 0) -> str:
        return self.run(f"bash /var/lib/jangada/roles/{role}/apply.sh {' '.join(arguments)}", expect=expect)


def _writing(path: str, text: str, mode: str = "0644") -> str:
    quoted, coded = shlex.quote(path), base64.b64encode(text.encode()).decode()
    return f"mkdir -p $(dirname {quoted}) && base64 -d <<<'{coded}' >{quoted} && chmod {mode} {quoted}"
