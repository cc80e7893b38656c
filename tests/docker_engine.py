"""Docker Engine for tests: the base image that our Dockerfiles are built on here, images, and cleaning up."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.requires import requires, requires_docker

ROOT = Path(__file__).resolve().parents[1]
BASE_IMAGES = ("jangada/base:bookworm", "python:3.12-slim")


def docker(*arguments: str, within_s: float = 300.0) -> str:
    """What ``docker *arguments`` says; fails the test when it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=within_s)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}{done.stdout[-2000:]}"
    return done.stdout.strip()


def has_image(name: str) -> bool:
    """Whether the Engine has it."""
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=30).returncode == 0


def base_image() -> str:
    """An image with Python that is here: ``TEST_BASE_IMAGE``, else what scripts/base_image.sh makes, else the usual."""
    requires_docker()
    wanted = [os.environ["TEST_BASE_IMAGE"]] if os.environ.get("TEST_BASE_IMAGE") else list(BASE_IMAGES)
    found = next(filter(has_image, wanted), None)
    requires(found, f"no base image ({', '.join(wanted)}); scripts/base_image.sh makes one", "base-image")
    return str(found)


def build(folder: Path, tag: str, **arguments: str) -> str:
    """Build *folder*'s Dockerfile; returns *tag*."""
    flags = [text for name, value in arguments.items() for text in ("--build-arg", f"{name}={value}")]
    docker("build", "--quiet", *flags, "--tag", tag, str(folder))
    return tag


def build_function(handler: Path, tag: str) -> str:
    """What ``faas-cli build`` does for a function of the template python3-jangada [contract §6.2]; returns *tag*."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        shutil.copytree(ROOT / "template" / "python3-jangada", context)
        shutil.copytree(handler, context / "function", dirs_exist_ok=True)
        return build(context, tag, BASE_IMAGE=base_image(), ADDITIONAL_PACKAGE="")


def remove_containers(label: str) -> None:
    """Remove every container with *label*, as a test's last act."""
    found = docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
    if found:
        docker("rm", "--force", "--volumes", *found)


def remove_network(name: str) -> None:
    """Remove it where it is."""
    subprocess.run(["docker", "network", "rm", name], capture_output=True, timeout=30)
