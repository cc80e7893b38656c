"""
Deploys the functions of a stack.yml on a gateway, and only what differs from what is there.

Runs inside the gateway's image: it has the reader of stack.yml. Prints one line for each thing that is done, or under
``--check`` would be. Exit codes: 0 nothing to do, 3 something was (to be) done, 1 else.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.stack import load_stack

MARK = "jangada.io/applied"
ADDRESSES = ("redis-url", "mongo-url")
# What the addresses say that servers are to be checked against.
AUTHORITY = "data-ca"
SECRETS = (*ADDRESSES, AUTHORITY)
DONE = 3


class Gateway:
    """Its ``/system``, with the password that lies beside its other secrets."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        user, password = ((folder / f"basic-auth-{word}").read_text().strip() for word in ("user", "password"))
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers. Raises `OSError`, with its words."""
        request = urllib.request.Request(  # noqa: S310 - apply.sh says http://
            f"{self.url}/system/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": self._authorization, "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise OSError(f"{method} {path}: {error.code} {error.read().decode(errors='replace').strip()}") from error
        return json.loads(text) if text.strip() else None


def wanted(options: argparse.Namespace, values: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Name → what is to be deployed, marked with a digest of it, of the secrets' contents and of their version."""
    stack = load_stack(options.stack, {"IMAGE_PREFIX": options.image_prefix})
    found = {}
    for name, function in stack.functions.items():
        body = FunctionDeployment.from_stack(function).to_json()
        body["image"] = f"{body['image'].rpartition(':')[0]}:{options.release}"
        if any(address in body.get("secrets", ()) for address in ADDRESSES):
            body["secrets"] = [*body["secrets"], AUTHORITY]
        text = json.dumps([body, values, options.secrets_version], sort_keys=True)
        body["annotations"] = body.get("annotations", {}) | {MARK: hashlib.sha256(text.encode()).hexdigest()}
        found[name] = body
    return found


def main() -> int:
    """Do it; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--image-prefix", required=True)
    parser.add_argument("--secrets-version", required=True)
    parser.add_argument("--secrets", type=Path, default=Path("/run/secrets"))
    parser.add_argument("--within-s", type=float, default=180.0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    try:
        return deploy(options, Gateway(options.gateway, options.secrets))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def deploy(options: argparse.Namespace, gateway: Gateway) -> int:
    """Bring *gateway* to what the options say, and wait until every function is ready."""
    values = {name: (options.secrets / name).read_text() for name in SECRETS}
    bodies = wanted(options, values)
    there = {row["name"]: row for row in gateway.ask("GET", "functions")}
    stale = [
        name
        for name, body in bodies.items()
        if ((there.get(name) or {}).get("annotations") or {}).get(MARK) != body["annotations"][MARK]
    ]
    for name in stale:
        sys.stdout.write(f"deploys the function {name} {options.release}\n")
    if options.check:
        unready = [name for name in bodies if name not in stale and not there[name].get("availableReplicas")]
        sys.stdout.writelines(f"the function {name} is not ready\n" for name in unready)
        return DONE if stale or unready else 0
    if stale:
        known = {row["name"] for row in gateway.ask("GET", "secrets")}
        for name, value in values.items():
            gateway.ask("PUT" if name in known else "POST", "secrets", {"name": name, "value": value})
    for name in stale:
        gateway.ask("PUT" if name in there else "POST", "functions", bodies[name])
    wait_ready(options, gateway, set(bodies))
    return DONE if stale else 0


def wait_ready(options: argparse.Namespace, gateway: Gateway, names: set[str]) -> None:
    """Raises `OSError` when one of *names* is not ready in time."""
    deadline = time.monotonic() + options.within_s
    while True:
        ready = {row["name"] for row in gateway.ask("GET", "functions") if row.get("availableReplicas")}
        missing = sorted(names - ready)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise OSError(f"not ready within {options.within_s:g} s: {', '.join(missing)}")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
