"""restore.sh without a server: which backup is meant, and what is refused before anything is touched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.infra.backups import LocalBackups, NoBackupError, choose
from scripts.infra.restore import main
from tests.requires import requires_program


def write(folder: Path, *names: str) -> LocalBackups:
    for name in names:
        facts = {
            "name": name,
            "sha256": "0" * 64,
            "bytes": 10,
            "manifest": {"documents": 3, "collections": {"jobs": 3}},
        }
        (folder / f"{name}.json").write_text(json.dumps(facts))
        (folder / f"{name}.age").write_bytes(b"0123456789")
    # Half a backup does not count.
    (folder / "jangada-20300101T000000Z.age").write_bytes(b"")
    return LocalBackups(folder)


def test_the_newest_that_is_not_younger_is_meant(tmp_path):
    backups = write(tmp_path, "jangada-20261120T023000Z", "jangada-20261121T023000Z", "jangada-20261119T023000Z").all()
    assert [one.name[8:16] for one in backups] == ["20261119", "20261120", "20261121"]
    assert choose(backups, "latest").name == "jangada-20261121T023000Z"
    assert choose(backups, "2026-11-21T02:30:00Z").name == "jangada-20261121T023000Z"
    # Without a zone it is UTC; with one it is that.
    assert choose(backups, "2026-11-21T02:29:59").name == "jangada-20261120T023000Z"
    assert choose(backups, "2026-11-20T23:30:00-03:00").name == "jangada-20261121T023000Z"
    assert choose(backups, "2026-11-20T23:29:59-03:00").name == "jangada-20261120T023000Z"
    with pytest.raises(NoBackupError, match="the oldest is 2026-11-19"):
        choose(backups, "2026-11-19")
    with pytest.raises(NoBackupError, match="expected latest, or an instant"):
        choose(backups, "yesterday")
    with pytest.raises(NoBackupError, match="there is no backup there"):
        choose([], "latest")


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    requires_program("terraform")
    requires_program("age")
    monkeypatch.setenv("TF_DATA_DIR", str(tmp_path / "data"))
    identity = tmp_path / "identity"
    always = ["--at", "latest", "--identity", str(identity), "--state", str(tmp_path / "state")]

    def refused(*arguments: str) -> str:
        assert main([*always, *arguments]) == 2
        said = capsys.readouterr().err
        assert said.startswith("restore: ")
        assert said.count("\n") == 1
        return said

    assert "there are dedicated, hetzner, lab" in refused("--into", "nowhere")
    assert "no such file" in refused("--into", "lab")
    identity.write_text("no key")
    assert "no private key of age" in refused("--into", "lab")
    identity.unlink()
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    assert "lab has not been brought up yet" in refused("--into", "lab")
