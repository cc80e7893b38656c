"""What a test needs from the machine: missing, it is skipped with its reason on a laptop and fails in CI."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def requires(available: object, reason: str, name: str = "") -> None:
    """
    Go on when *available*; else skip saying *reason*, or fail where ``CI=true``.

    CI says in ``CI_LACKS`` (words) which programs it tried to get and could not; a
    test that needs one of them, its *name*, is skipped there too.
    """
    if available:
        return
    if name and name in os.environ.get("CI_LACKS", "").split():
        pytest.skip(f"{reason}, and it cannot be had here")
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(f"CI must have this: {reason}", pytrace=False)
    pytest.skip(reason)


def requires_program(name: str) -> str:
    """The path of program *name*."""
    path = shutil.which(name)
    requires(path, f"no {name} on PATH", name)
    return str(path)


def requires_docker() -> None:
    """A Docker Engine that answers."""
    docker = requires_program("docker")
    answers = subprocess.run([docker, "info"], capture_output=True, timeout=20).returncode == 0
    requires(answers, "no Docker Engine answers", "docker")
