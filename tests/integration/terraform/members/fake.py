#!/usr/bin/env python3
"""
Plays a server's Docker Engine (called `engine`) and MongoDB's shell (called `mongosh`).

The replica set is /shared/set.json, which all servers share, with a record of what happened. It knows what the role
asks for, refuses what MongoDB would refuse, and notes when a majority is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ME = os.environ["ADDRESS"]
SHARED = Path("/shared/set.json")
SCRIPT = re.compile(
    r'const uri = "mongodb://(?:(?P<user>[^:@/]+):(?P<password>[^@]+)@)?(?P<at>[\d.]+):\d+/admin\?(?P<options>[^"]*)"'
)


class RefusedError(Exception):
    """MongoDB says no: code and words."""


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    with SHARED.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(SHARED.read_text()) if SHARED.exists() else {}
        for name, empty in (("members", {}), ("users", {}), ("config", None), ("primary", None), ("happened", [])):
            state.setdefault(name, empty)
        yield state
        SHARED.write_text(json.dumps(state, indent=1))


def up(state: dict[str, Any], address: str) -> bool:
    member = state["members"].get(address, {})
    return member.get("up", False) and not member.get("cut_off", False)


def in_set(state: dict[str, Any]) -> list[str]:
    return [one["host"].partition(":")[0] for one in (state["config"] or {"members": []})["members"]]


def elect(state: dict[str, Any], but: str = "") -> None:
    """Some healthy member becomes primary, when a majority is there."""
    members = in_set(state)
    healthy = [one for one in members if up(state, one)]
    if not members:
        return
    if len(healthy) * 2 <= len(members):
        state["happened"].append("majority lost")
        state["primary"] = None
    elif state["primary"] not in healthy or state["primary"] == but:
        state["primary"] = next((one for one in healthy if one != but), None)


# --- docker
def engine(arguments: list[str]) -> int:
    match arguments:
        case ["image", "inspect", *_, image]:
            print(f"sha256:{image}")
        case ["container", "inspect", "-f", wanted, _]:
            with shared() as state:
                member = state["members"].get(ME, {})
            if "label" not in member:
                return 1
            running = "true" if member.get("up") else "false"
            print(f"{member['label']} {running}" if "Labels" in wanted else running)
        case ["stop", *_]:
            with shared() as state:
                state["members"][ME]["up"] = False
                state["happened"].append(f"stop {ME}" + (" as primary" if state["primary"] == ME else ""))
                elect(state)
                pid = state["members"][ME].pop("pid", 0)
            if pid:
                os.kill(pid, signal.SIGKILL)
        case ["rm", *_]:
            with shared() as state:
                state["members"][ME].pop("label", None)
        case ["run", *options]:
            return run(options)
    return 0


def run(options: list[str]) -> int:
    label = next(one.partition("=")[2] for one in options if one.startswith("io.jangada.digest="))
    # Something that takes connections, as mongod would.
    listen = "import socket,time; s=socket.create_server(('0.0.0.0',27017)); time.sleep(1e9)"
    process = subprocess.Popen(
        [sys.executable, "-c", listen], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    with shared() as state:
        member = state["members"].setdefault(ME, {})
        member |= {"up": True, "label": label, "pid": process.pid, "command": options[options.index("mongod") :]}
        state["happened"].append(f"start {ME}")
        elect(state)
    return 0


# --- mongosh
def shell(script: str) -> None:
    uri = SCRIPT.search(script)
    command = re.search(r"^const command = EJSON\.parse\(JSON\.stringify\((.*)\)\);$", script, re.MULTILINE)
    if uri is None or command is None:
        raise SystemExit(f"not a script that this knows: {script}")
    if "tls=true" not in uri["options"] or "directConnection=true" not in uri["options"]:
        raise SystemExit("every connection is to one member, with TLS")
    with shared() as state:
        try:
            answer = Member(state, uri["at"], uri["user"], uri["password"]).answer(json.loads(command[1]))
        except RefusedError as error:
            answer = {"ok": 0, "code": error.args[0], "errmsg": error.args[1]}
    print(json.dumps(answer))


class Member:
    """One mongod, as whoever asks sees it."""

    def __init__(self, state: dict[str, Any], at: str, user: str | None, password: str | None) -> None:
        self.state = state
        self.local = at == "127.0.0.1"
        self.address = ME if self.local else at
        if not state["members"].get(self.address, {}).get("up"):
            raise RefusedError(0, f"connect ECONNREFUSED {at}")
        # A member that is in no set yet has no users but its own.
        self.users = (
            state["users"] if self.address in in_set(state) else state["members"][self.address].setdefault("users", {})
        )
        if user is not None and self.users.get(user) != password:
            raise RefusedError(18, "Authentication failed.")
        self.trusted = user is not None or (self.local and not self.users)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name not in {"hello", "connectionStatus"} and not self.trusted:
            raise RefusedError(13, f"Command {name} requires authentication")
        return {"ok": 1, **getattr(self, name)(command)}

    def _only_primary(self) -> None:
        if self.state["primary"] != self.address:
            raise RefusedError(10107, "not primary")

    def hello(self, _: Any) -> dict[str, Any]:
        if self.address not in in_set(self.state):
            return {"isWritablePrimary": False, "secondary": False}
        primary = self.state["primary"]
        said = {"setName": "jangada", "isWritablePrimary": primary == self.address}
        said["secondary"] = primary != self.address and up(self.state, self.address)
        return said | ({"primary": f"{primary}:27017"} if primary else {})

    def connectionStatus(self, _: Any) -> dict[str, Any]:  # noqa: N802 - MongoDB's names
        return {}

    def replSetInitiate(self, command: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.state["config"] is not None:
            raise RefusedError(23, "already initialized")
        self.state["users"] = self.users
        self.state["config"] = command["replSetInitiate"] | {"version": 1, "term": 1}
        self.state["primary"] = self.address
        self.state["happened"].append(f"initiate {self.address}")
        return {}

    def replSetGetConfig(self, _: Any) -> dict[str, Any]:  # noqa: N802
        return {"config": self.state["config"]}

    def replSetGetStatus(self, _: Any) -> dict[str, Any]:  # noqa: N802
        def word(address: str) -> str:
            if not up(self.state, address):
                return "(not reachable/healthy)"
            return "PRIMARY" if address == self.state["primary"] else "SECONDARY"

        return {"members": [{"name": f"{one}:27017", "stateStr": word(one)} for one in in_set(self.state)]}

    def replSetReconfig(self, command: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._only_primary()
        wanted = command["replSetReconfig"]
        before, after = set(in_set(self.state)), {one["host"].partition(":")[0] for one in wanted["members"]}
        if wanted["version"] != self.state["config"]["version"] + 1 or len(before ^ after) != 1:
            raise RefusedError(103, "one voting member at a time, and the next version")
        if any(self.state["members"].get(one, {}).get("users") for one in after - before):
            raise RefusedError(94, "it has data of its own")
        self.state["config"] = wanted
        self.state["happened"] += [f"join {one}" for one in after - before] + [f"leave {one}" for one in before - after]
        return {}

    def replSetStepDown(self, _: Any) -> dict[str, Any]:  # noqa: N802
        self._only_primary()
        self.state["happened"].append(f"step down {self.address}")
        elect(self.state, but=self.address)
        raise RefusedError(0, "connection closed")

    def createUser(self, command: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.state["config"] is not None:
            self._only_primary()
        self.users[command["createUser"]] = command["pwd"]
        self.state["happened"].append(f"user {command['createUser']}")
        return {}

    def usersInfo(self, _: Any) -> dict[str, Any]:  # noqa: N802
        return {"users": [{"user": name} for name in self.users]}

    def dropUser(self, command: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._only_primary()
        del self.users[command["dropUser"]]
        self.state["happened"].append(f"no user {command['dropUser']}")
        return {}

    def rotateCertificates(self, _: Any) -> dict[str, Any]:  # noqa: N802
        self.state["happened"].append(f"certificate {self.address}")
        return {}


if __name__ == "__main__":
    if Path(sys.argv[0]).name == "engine":
        sys.exit(engine(sys.argv[1:]))
    shell(Path(sys.argv[-1]).read_text())
