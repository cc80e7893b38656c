"""``scripts/restore.sh``: a backup into an environment, with its platform standing still meanwhile."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from scripts.infra.__main__ import FAILED, USAGE, Environment, RefusalError
from scripts.infra.backups import Backup, LocalBackups, NoBackupError, RemoteBackups, choose, opens
from scripts.infra.servers import Servers
from scripts.infra.terraform import TerraformError

_PIECE = 1024 * 1024
# The gateway first: it would start again what is stopped.
_STOP = {
    "gateway": "docker stop --time 40 jangada-gateway && docker ps --quiet --filter label=io.jangada.gateway "
    "| xargs -r docker stop --time 20",
    "executor": "docker ps --quiet --filter label=io.jangada.role=executor | xargs -r docker stop --time 60",
}
_START = {
    "gateway": "docker ps --all --quiet --filter label=io.jangada.gateway | xargs -r docker start; "
    "docker start jangada-gateway",
    "executor": "docker ps --all --quiet --filter label=io.jangada.role=executor | xargs -r docker start",
}
_JANGADA = (
    "docker run --rm --interactive --network host --volume /etc/jangada/gateway:/run/secrets:ro "
    "--volume /etc/jangada/gateway:/var/openfaas/secrets:ro "
    "--entrypoint jangada $(docker inspect -f '{{.Image}}' jangada-gateway) backup restore"
)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 failed, 2 usage or refused."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Restore(options, Path(folder)).restore()
        except (RefusalError, NoBackupError) as error:
            print(f"restore: {error}", file=sys.stderr)
            return USAGE
        except (TerraformError, OSError) as error:
            print(f"restore: {error}", file=sys.stderr)
            return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/restore.sh", description="Puts a backup into an environment.")
    parser.add_argument("--at", required=True, help="latest, or an instant: the newest backup that is not younger")
    parser.add_argument("--into", dest="environment", required=True, help="a folder in terraform/environments")
    parser.add_argument("--identity", type=Path, required=True, help="the file with age's private key")
    parser.add_argument(
        "--from", dest="source", type=Path, help="a folder here; default: ENV's server with the role backup"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what a platform that has been used holds")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--var-file", type=Path, action="append", default=[], help="as for infra.sh")
    parser.add_argument("--state", type=Path, help="a local state file, for labs")
    parser.set_defaults(hosts="", command="restore")
    return parser


class Restore(Environment):
    """An environment that gets what a backup holds."""

    def restore(self) -> int:
        """Stop, fill, count, start, try. When it cannot be filled the platform stands still."""
        identity = self._identity()
        self._begin()
        outputs = self._outputs()
        servers = self._servers(outputs)
        backups = self._backups(servers, outputs)
        backup = choose(backups.all(), self._options.at)
        if not outputs["hosts"]["gateway"]:
            raise RefusalError("there is no gateway of ours here; `jangada backup restore` by hand does it")
        gateway = outputs["hosts"]["gateway"][0]
        if not self._options.overwrite:
            self._refuse_used(servers, gateway)
        print(f"{backup.name}: {backup.documents:,} documents, {backup.size:,} bytes")
        self._ask(f"Stop {self._name} and replace what its store holds?")
        started = time.monotonic()
        self._tell_all(servers, outputs, _STOP)
        print("the platform stands still")
        try:
            self._fill(servers, gateway, backups.reading(backup), backup, identity)
        except OSError as error:
            raise OSError(f"{error}. The platform stands still, half filled: repeat with --overwrite") from error
        self._tell_all(servers, outputs, _START)
        self._smoke(servers, outputs)
        print(f"restored {backup.documents:,} documents as of {backup.began_at.isoformat()}")
        print(f"keys and tenants are those of then; done in {time.monotonic() - started:.0f} s")
        return 0

    def _identity(self) -> Path:
        for program in ("age", "age-keygen"):
            if shutil.which(program) is None:
                raise RefusalError(f"no {program} on PATH; Debian's package age has it")
        identity: Path = self._options.identity
        if not identity.is_file():
            raise RefusalError(f"--identity {identity}: no such file")
        opens(identity)
        return identity

    def _backups(self, servers: Servers, outputs: Mapping[str, Any]) -> LocalBackups | RemoteBackups:
        if self._options.source is not None:
            if not self._options.source.is_dir():
                raise RefusalError(f"--from {self._options.source}: no such folder")
            return LocalBackups(self._options.source)
        hosts = outputs["hosts"].get("backup") or []
        if not hosts or not outputs.get("backup"):
            raise RefusalError(f"{self._name} has no server with the role backup; --from names a folder with backups")
        if opens(self._options.identity) != outputs["backup"]["public_key"]:
            raise RefusalError(f"--identity is not the key that {self._name}'s backups are for")
        return RemoteBackups(servers, hosts[0], outputs["backup"]["path"])

    def _refuse_used(self, servers: Servers, gateway: str) -> None:
        done = servers.run(gateway, f"{_JANGADA} --check </dev/null")
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason told"])[-1]
            raise RefusalError(f"{gateway}: {last.removeprefix('jangada: ')}")

    def _tell_all(self, servers: Servers, outputs: Mapping[str, Any], commands: Mapping[str, str]) -> None:
        for host in outputs["hosts"]["gateway"]:
            _must(servers, host, commands["gateway"])
        for host in sorted(outputs["applied"].get("executor") or {}):
            _must(servers, host, commands["executor"])

    def _fill(self, servers: Servers, gateway: str, reading: list[str], backup: Backup, identity: Path) -> None:
        """The private key decrypts here; over SSH goes what the store is to hold."""
        overwrite = " --overwrite" if self._options.overwrite else ""
        with (
            subprocess.Popen(reading, stdout=subprocess.PIPE) as source,
            subprocess.Popen(
                ["age", "--decrypt", "--identity", str(identity)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as decrypting,
            subprocess.Popen(
                servers.line(gateway, _JANGADA + overwrite), stdin=decrypting.stdout, stderr=subprocess.PIPE, text=True
            ) as loading,
        ):
            said: list[str] = []
            listening = threading.Thread(target=_listen, args=(loading.stderr, said))
            listening.start()
            digest = _pump(source.stdout, decrypting.stdin, backup)
            # Ours; the other process has its own end.
            if decrypting.stdout is not None:
                decrypting.stdout.close()
            codes = [process.wait() for process in (source, decrypting, loading)]
            listening.join()
        if any(codes):
            raise OSError(said[-1] if said else f"{backup.name} cannot be decrypted")
        if digest != backup.sha256:
            raise OSError(f"{backup.name} is not what was written: its SHA-256 is {digest}")


def _pump(source: IO[bytes] | None, target: IO[bytes] | None, backup: Backup) -> str:
    """Everything from *source* to *target*, showing how far it is; its SHA-256."""
    assert source is not None and target is not None  # noqa: PT018, S101 - both are pipes
    digest, passed, shown = hashlib.sha256(), 0, -1
    # What reads it may have ended, and says why.
    with contextlib.suppress(BrokenPipeError):
        while piece := source.read(_PIECE):
            digest.update(piece)
            target.write(piece)
            passed += len(piece)
            percent = 100 * passed // max(backup.size, 1)
            if percent // 10 != shown:
                shown = percent // 10
                print(f"{percent:3} %  {passed:,} of {backup.size:,} bytes", flush=True)
    with contextlib.suppress(BrokenPipeError):
        target.close()
    return digest.hexdigest()


def _listen(lines: IO[str] | None, said: list[str]) -> None:
    for line in lines or ():
        said.append(line.strip())
        print(f"       {line.strip()}", flush=True)


def _must(servers: Servers, host: str, command: str) -> None:
    done = servers.run(host, command)
    if done.returncode != 0:
        raise OSError(f"{host}: {done.stderr.strip() or done.stdout.strip()}")


if __name__ == "__main__":
    sys.exit(main())
