"""The role faasd with releases that the test hands out: what is fetched, what is refused, what is repeated."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator

import pytest

from tests.integration.terraform.roles import FAKES, UNITS, Box
from tests.requires import requires_docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
# What `faasd install` does that the role relies on: units, and a note of where it was started.
FAASD = b"""#!/bin/bash
echo "faasd $* in $(ls | tr '\\n' ' ')" >>/fakes/log
touch /lib/systemd/system/faasd.service /lib/systemd/system/faasd-provider.service
"""
# curl that reads files from a folder: the last argument is the address.
CURL = """
output= ; while [ $# -gt 1 ]; do [ "$1" != --output ] || output="$2"; shift; done
case "$1" in
  */healthz) exit 0 ;;
  *) [ -f "/fakes/web/${1##*/}" ] || exit 22; cat "/fakes/web/${1##*/}" >"$output" ;;
esac
"""


def archive(**files: bytes) -> bytes:
    """A .tar.gz as the releases' are."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return kept.getvalue()


FILES = {
    "faasd": FAASD,
    "source.tar.gz": archive(
        **{"faasd-0.19.7/docker-compose.yaml": b"version: 3\n", "faasd-0.19.7/resolv.conf": b"\n"}
    ),
    "plugins.tgz": archive(bridge=b"#!/bin/sh\n"),
}
NAMES = {"FAASD": "faasd", "SOURCE": "source.tar.gz", "CNI": "plugins.tgz"}


def config(**more: str) -> dict[str, str]:
    found = {"VERSION": "0.19.7"}
    for name, file in NAMES.items():
        found[f"{name}_URL"] = f"https://releases.example.org/{file}"
        found[f"{name}_SHA256"] = hashlib.sha256(FILES[file]).hexdigest()
    return found | more


@pytest.fixture(scope="module")
def one_box() -> Iterator[Box]:
    requires_docker()
    box = Box()
    try:
        yield box
    finally:
        box.close()


@pytest.fixture
def box(one_box: Box) -> Box:
    one_box.run(
        "rm -rf /var/lib/faasd /opt/cni /usr/local/bin/faasd /lib/systemd/system/faasd*; mkdir -p /lib/systemd/system"
    )
    one_box.reset()
    one_box.fake("systemctl", UNITS)
    one_box.fake("dpkg-query", "echo install ok installed\n")
    one_box.fake("curl", CURL)
    one_box.write("/etc/jangada/secrets/gateway-password", "gateway-4711")
    for name, content in FILES.items():
        one_box.write_bytes(f"{FAKES}/web/{name}", content)
    return one_box


def test_releases_are_checked_installed_and_left_alone(box):
    box.upload("faasd", config())
    said = box.apply("faasd", "--check", expect=3)
    assert "differs: fetches https://releases.example.org/faasd" in said
    assert "differs: installs faasd 0.19.7" in said
    box.run("test ! -e /usr/local/bin/faasd && test ! -e /var/lib/jangada/downloads && test ! -e /opt/cni")
    box.apply("faasd")
    calls = box.calls()
    assert "faasd install in docker-compose.yaml resolv.conf " in calls
    assert "systemctl restart faasd" in calls
    assert box.run("cat /var/lib/faasd/secrets/basic-auth-password") == "gateway-4711"
    assert box.run("stat -c %a /var/lib/faasd/secrets/basic-auth-password").strip() == "400"
    assert not [call for call in calls if "gateway-4711" in call]
    box.run("test -x /opt/cni/bin/bridge")
    assert "changed=0" in box.apply("faasd")
    box.apply("faasd", "--check")
    assert not [call for call in box.calls() if call.startswith(("faasd", "curl")) and "healthz" not in call]


@pytest.mark.parametrize("name", list(NAMES))
def test_a_file_that_is_not_what_was_named_is_refused(box, name):
    box.write_bytes(f"{FAKES}/web/{NAMES[name]}", b"something else")
    box.upload("faasd", config())
    said = box.apply("faasd", expect=1)
    got = hashlib.sha256(b"something else").hexdigest()
    assert f"faasd on g1: https://releases.example.org/{NAMES[name]} has the sha256 {got}" in said
    assert "do not install it" in said
    box.run("test ! -e /usr/local/bin/faasd && test ! -e /opt/cni/bin/bridge")
    box.run("! grep -rq 'something else' /var/lib/jangada")
    assert not [call for call in box.calls() if call.startswith("faasd")]


def test_a_release_that_cannot_be_fetched_is_said_and_done_again(box):
    box.run(f"rm {FAKES}/web/source.tar.gz")
    box.upload("faasd", config())
    assert "cannot fetch https://releases.example.org/source.tar.gz" in box.apply("faasd", expect=1)
    box.write_bytes(f"{FAKES}/web/source.tar.gz", FILES["source.tar.gz"])
    box.calls()
    box.apply("faasd")
    # What had come already is not fetched again.
    assert not [call for call in box.calls() if call.endswith("releases.example.org/faasd")]


def test_a_program_that_somebody_exchanged_is_found_and_mended(box):
    box.upload("faasd", config())
    box.apply("faasd")
    box.run("echo '#!/bin/sh' >/usr/local/bin/faasd")
    assert "differs: installs faasd 0.19.7" in box.apply("faasd", "--check", expect=3)
    box.apply("faasd")
    assert hashlib.sha256(FAASD).hexdigest() in box.run("sha256sum /usr/local/bin/faasd")


def test_another_password_reaches_it_and_it_leaves_without_its_data(box):
    box.upload("faasd", config())
    box.apply("faasd")
    box.calls()
    box.write("/etc/jangada/secrets/gateway-password", "gateway-0815")
    box.apply("faasd")
    assert "systemctl restart faasd-provider faasd" in box.calls()
    box.apply("faasd", "--remove")
    box.run("test ! -e /usr/local/bin/faasd && test ! -e /lib/systemd/system/faasd.service && test -d /var/lib/faasd")
