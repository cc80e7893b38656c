"""The roles for servers with GPUs, in every case, with an nvidia-smi that says what the test wants."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.terraform.roles import FILES, HEAD, Box
from tests.requires import requires_docker

pytestmark = pytest.mark.docker
IDS = ["GPU-6c61a8a4-7e3a-4f0e-9f3a-1d2b5d0a7c11", "GPU-7c61a8a4-7e3a-4f0e-9f3a-1d2b5d0a7c12"]
PACKAGES = {"INSTALL_DRIVER": "true", "DRIVER_PACKAGES": "nvidia-kernel-dkms nvidia-smi"}
# dpkg-query knows what apt-get was asked to install.
APT = 'if [ "$1" = install ]; then for name in "$@"; do touch "/fakes/package-$name"; done; fi\n'
DPKG = 'test ! -e "/fakes/package-${!#}" || echo "install ok installed"\n'
CONTAINER = 'case "$1" in image) ;; run) cat /fakes/seen ;; esac\n'


def smi(*ids: str, says: str = "") -> str:
    """A driver that knows these."""
    whole = "\n".join(f"{index}, {one}, NVIDIA L4, 23034 MiB, 550.54.14" for index, one in enumerate(ids)) or says
    short = "\n".join(ids) or says
    uuids, all_of_it = (f'cat <<"EOF"\n{text}\nEOF\n;;' for text in (short, whole))
    return f'case "$*" in *query-gpu=uuid*) {uuids} *query-gpu=*) {all_of_it} esac\n'


@pytest.fixture(scope="module")
def one_box() -> Iterator[Box]:
    requires_docker()
    found = Box()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def box(one_box: Box) -> Box:
    one_box.reset()
    one_box.fake("apt-get", APT)
    one_box.fake("dpkg-query", DPKG)
    one_box.fake("docker", CONTAINER)
    one_box.fake("modprobe", "exit 1\n")
    return one_box


def test_without_a_driver_nothing_is_installed_that_nobody_asked_for(box):
    box.upload("gpu-driver", {"GPUS": "2", "INSTALL_DRIVER": "false", "DRIVER_PACKAGES": "nvidia-smi"})
    said = box.apply("gpu-driver", expect=1)
    assert "gpu-driver on g1: nvidia-smi says nothing, and 2 GPUs are expected" in said
    assert "install_gpu_driver = true" in said
    assert box.calls() == []
    box.fake("nvidia-smi", smi(says="NVIDIA-SMI has failed because it could not communicate with the driver."))
    assert "nvidia-smi says nothing" in box.apply("gpu-driver", expect=1)


def test_a_driver_is_installed_once_and_asks_for_a_restart(box):
    source = {"source.list": "deb [signed-by=x] https://packages.example.org /\n", "source.asc": "key\n"}
    box.upload("gpu-driver", PACKAGES | {"GPUS": "1"}, source)
    assert "differs: installs nvidia-kernel-dkms nvidia-smi" in box.apply("gpu-driver", "--check", expect=3)
    box.run("test ! -e /etc/apt/sources.list.d/jangada-gpu.list && test ! -e /run/jangada-reboot-wanted")
    box.apply("gpu-driver")
    assert "apt-get install -y -qq --no-install-recommends nvidia-kernel-dkms nvidia-smi" in box.calls()
    assert "example.org" in box.run(
        "cat /etc/apt/sources.list.d/jangada-gpu.list && test -e /run/jangada-reboot-wanted"
    )
    # It was restarted, and the driver works.
    box.run("rm /run/jangada-reboot-wanted")
    box.fake("nvidia-smi", smi(IDS[0]))
    assert "changed=0" in box.apply("gpu-driver")
    box.run("test ! -e /run/jangada-reboot-wanted")
    box.apply("gpu-driver", "--check")
    box.apply("gpu-driver", "--remove")
    box.run("test ! -e /etc/apt/sources.list.d/jangada-gpu.list && test ! -e /etc/apt/keyrings/jangada-gpu.asc")


def test_a_driver_that_works_at_once_asks_for_none(box):
    box.upload("gpu-driver", PACKAGES | {"GPUS": "1"})
    box.fake(
        "modprobe", f"cat >/fakes/nvidia-smi <<'SMI'\n#!/bin/bash\necho {IDS[0]}\nSMI\nchmod +x /fakes/nvidia-smi\n"
    )
    box.apply("gpu-driver")
    box.run("test ! -e /run/jangada-reboot-wanted")


def test_what_cannot_be_installed_is_said(box):
    box.upload("gpu-driver", PACKAGES | {"GPUS": "1"})
    box.fake("apt-get", '[ "$1" != install ]\n')
    assert "gpu-driver on g1: cannot install nvidia-kernel-dkms nvidia-smi" in box.apply("gpu-driver", expect=1)


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (None, "nvidia-smi says nothing, and 2 GPUs are expected"),
        ("exit 9\n", "nvidia-smi says nothing, and 2 GPUs are expected"),
        (
            smi(says="NVIDIA-SMI has failed because it could not communicate with the driver."),
            "0 GPUs are there, and 2",
        ),
        (smi(IDS[0]), "gpu on g1: 1 GPUs are there, and 2 are expected"),
    ],
)
def test_too_few_gpus_are_refused_with_the_servers_name(box, fake, words):
    if fake is not None:
        box.fake("nvidia-smi", fake)
    box.upload("gpu", {"GPUS": "2", "TEST_IMAGE": "debian"})
    assert words in box.apply("gpu", expect=1)
    assert words in box.apply("gpu", "--check", expect=1)


def ready(box: Box, *, seen: int) -> None:
    """Two GPUs, of which a container sees *seen*."""
    box.fake("nvidia-smi", smi(*IDS))
    box.write("/fakes/seen", "".join(f"GPU {index}: NVIDIA L4 (UUID: {IDS[index]})\n" for index in range(seen)))
    box.upload("gpu", {"GPUS": "2", "TEST_IMAGE": "debian"})


def test_gpus_are_handed_to_containers_and_tried_once(box):
    ready(box, seen=2)
    assert "differs: installs nvidia-container-toolkit" in box.apply("gpu", "--check", expect=3)
    assert [call for call in box.calls() if call.startswith(("docker run", "apt-get"))] == []
    box.apply("gpu")
    calls = box.calls()
    assert "apt-get install -y -qq --no-install-recommends nvidia-container-toolkit" in calls
    tried = [call for call in calls if call.startswith("docker run")]
    assert tried == ["docker run --rm --gpus all --env NVIDIA_DRIVER_CAPABILITIES=utility debian nvidia-smi -L"]
    assert "systemctl restart docker" not in calls
    assert "systemctl restart jangada-gpu-persistence" in calls
    assert all(one in box.run("cat /etc/jangada/gpus.csv") for one in IDS)

    box.fake("nvidia-container-runtime", "")
    assert "changed=0" in box.apply("gpu")
    box.apply("gpu", "--check")
    assert not [call for call in box.calls() if call.startswith(("docker run", "apt-get"))]

    # Another driver: tried again.
    box.fake("nvidia-smi", smi(*IDS).replace("550.54.14", "570.1"))
    assert "differs: tries 2 GPUs" in box.apply("gpu", "--check", expect=3)
    box.apply("gpu")
    assert [call for call in box.calls() if call.startswith("docker run")]
    box.apply("gpu", "--remove")
    box.run("test ! -e /etc/jangada/gpus.csv && test ! -e /etc/systemd/system/jangada-gpu-persistence.service")


def test_an_engine_of_before_the_toolkit_is_restarted(box):
    ready(box, seen=2)
    box.fake("docker", '[ "$1" != run ] || { test -e /fakes/active-docker && cat /fakes/seen; }\n')
    box.apply("gpu")
    assert "systemctl restart docker" in box.calls()


def test_a_container_that_sees_too_few_is_an_error_and_is_tried_again(box):
    ready(box, seen=1)
    said = box.apply("gpu", expect=1)
    assert "gpu on g1: a container does not see 2 GPUs" in said
    assert "docker run --rm --gpus all debian nvidia-smi -L" in said
    ready(box, seen=2)
    assert "tries 2 GPUs in a container" in box.apply("gpu")


def test_nvidias_own_daemon_is_used_where_it_is(box):
    ready(box, seen=2)
    box.run("touch /fakes/unit-nvidia-persistenced.service")
    box.apply("gpu")
    assert "systemctl restart nvidia-persistenced" in box.calls()
    box.run("test ! -e /etc/systemd/system/jangada-gpu-persistence.service")


def test_nothing_asks_for_mig_or_clocks():
    text = "".join((FILES / name).read_text() for name in ("gpu.sh", "gpu-driver.sh", "reboot.sh", "node.sh"))
    calls = [line for line in text.splitlines() if "nvidia-smi -" in line or "nvidia-smi --" in line]
    assert calls
    assert [line for line in calls if not any(good in line for good in ("--query-gpu", "-pm 1", "nvidia-smi -L"))] == []
    assert "--gpu-reset" not in text


SSH = """
case "$*" in
  *boot_id*)
    count=$(( $(cat "$FOLDER/count" 2>/dev/null || echo 0) + 1 )); echo $count >"$FOLDER/count"
    # Away for two questions after the restart, then another boot.
    if [ ! -e "$FOLDER/restarted" ]; then echo first; exit 0; fi
    [ "$count" -gt 4 ] || exit 255
    cat "$FOLDER/next" ;;
  *"test -e /run/jangada-reboot-wanted"*) test -e "$FOLDER/wanted" ;;
  *reboot*) touch "$FOLDER/restarted"; exit 255 ;;
esac
"""


class TestReboot:
    """reboot.sh, which runs beside Terraform, with an ssh that plays the server."""

    @pytest.fixture
    def reboot(self, tmp_path: Path):
        ssh = tmp_path / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(HEAD.replace("/fakes/log", str(tmp_path / "log")) + SSH)
        ssh.chmod(0o755)
        (tmp_path / "next").write_text("second\n")

        def run(within: int = 60) -> subprocess.CompletedProcess[str]:
            environ = {
                "PATH": f"{ssh.parent}:/usr/bin:/bin", "FOLDER": str(tmp_path), "HOST": "g1", "WITHIN": str(within),
                "PAUSE": "0.05", "SSH_CONFIG": "Host g1", "KNOWN_HOSTS": "",
            }  # fmt: skip
            command = ["bash", FILES / "reboot.sh"]
            return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)

        return run

    def test_a_server_that_does_not_ask_is_left_alone(self, reboot, tmp_path):
        assert reboot().returncode == 0
        assert not (tmp_path / "restarted").exists()

    def test_one_that_asks_is_restarted_and_waited_for(self, reboot, tmp_path):
        (tmp_path / "wanted").touch()
        done = reboot()
        assert done.returncode == 0, done.stderr
        assert "g1: gpu-driver: is back" in done.stdout
        assert int((tmp_path / "count").read_text()) > 4

    def test_the_same_boot_is_not_taken_for_another(self, reboot, tmp_path):
        (tmp_path / "wanted").touch()
        (tmp_path / "next").write_text("first\n")
        done = reboot(within=1)
        assert done.returncode == 1
        assert "g1 did not come back within 1 s" in done.stderr
