"""The real Prometheus on what Terraform and the role make, and Grafana as far as its arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.infra.terraform import Terraform
from tests.docker_engine import ROOT, docker
from tests.integration.terraform.roles import FAKES, FILES, UNITS, Box
from tests.requires import requires_docker, requires_program
from tests.servers import until

pytestmark = pytest.mark.timeout(300)
MODULES = ROOT / "terraform" / "modules"
# Everything is on the one "server": gateway, two executors, the machine itself, two instances of Redis.
HOSTS = {
    "g1": {
        "name": "g1", "address": "127.0.0.1", "private_address": "127.0.0.1", "ssh_user": "root", "ssh_port": 22,
        "host_key": None, "data_path": "/srv/jangada", "roles": ["gateway", "redis", "cpu"],
    },
}  # fmt: skip
SEEDS = ["127.0.0.1:6379", "127.0.0.1:6380"]
PORTS = {8082, 9100, 9121, 9200, 9201}
# What tells of itself on those ports, each what it is there for.
TELLING = """
import http.server, threading, urllib.parse
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        target = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("target", [""])[0]
        known = {9100: "node_load1 1", 9121: f"redis_up {int(target.startswith('redis://127.0.0.1:63'))}"}
        self.send_response(200); self.end_headers()
        self.wfile.write((known.get(self.server.server_port, "jangada_build_info 1") + "\\n").encode())
    def log_message(self, *_): pass
for port in PORTS:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
    threading.Thread(target=server.serve_forever).start()
"""
# systemctl that starts what the unit's drop-in says, where the program is there.
STARTING = """
if [ "$1" = restart ] || [ "$1" = reload ]; then
  file="/etc/systemd/system/${!#}.service.d/jangada.conf"
  line="$(sed -n 's/^ExecStart=//p' "$file" 2>/dev/null | tail -1)"
  if [ -n "$line" ] && [ -x "${line%% *}" ]; then
    [ ! -s "/fakes/pid-${!#}" ] || { kill "$(cat "/fakes/pid-${!#}")"; sleep 1; }
    # The role's lock is not the server's to keep.
    nohup $line >"/fakes/out-${!#}" 2>&1 </dev/null 9>&- &
    echo $! >"/fakes/pid-${!#}"
  fi
fi
"""
CURL = """
exec python3 -c 'import sys, urllib.request as ask; print(ask.urlopen(sys.argv[-1], timeout=5).read().decode())' "$@"
"""
PASSWORD = "redis-secret-0815"


def planned(folder: Path, tmp_path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Outputs of the module at *folder* for *values*."""
    requires_program("terraform")
    file = tmp_path / f"{folder.name}.tfvars.json"
    file.write_text(json.dumps(values))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ["TF_DATA_DIR"] = str(tmp_path / f"data-{folder.name}")
    made = Terraform(folder, var_files=[file], state=tmp_path / f"{folder.name}.state", environ=environ)
    made.init()
    made.plan(tmp_path / "plan")
    outputs = made.show(tmp_path / "plan")["planned_values"]["outputs"]
    return {name: one.get("value") for name, one in outputs.items()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> dict[str, Any]:
    """What the modules make of `HOSTS`: the configuration, and how the exporter is to ask Redis."""
    folder = tmp_path_factory.mktemp("rendered")
    executors = {"g1": {"ocr": {"replicas": 2}}}
    targets = planned(
        MODULES / "observability" / "targets", folder,
        {"hosts": HOSTS, "executors": executors, "redis_seeds": SEEDS, "watcher": "g1"},
    )  # fmt: skip
    module = planned(
        MODULES / "observability", folder,
        {
            "hosts": HOSTS, "ssh": {"key_file": "/dev/null", "timeout": "1s", "bastion": None}, "watcher": "g1",
            "scrapes": targets["scrapes"], "redis": targets["redis"],
        },
    )  # fmt: skip
    return targets | module


@pytest.fixture(scope="module")
def one_box() -> Iterator[Box]:
    requires_docker()
    box = Box()
    try:
        yield box
    finally:
        box.close()


@pytest.fixture
def box(one_box: Box, rendered) -> Box:
    one_box.run("rm -rf /srv/jangada")
    one_box.reset()
    one_box.fake("systemctl", STARTING + UNITS)
    one_box.fake("dpkg-query", "echo install ok installed\n")
    one_box.fake("docker", "exit 1\n")
    one_box.fake("curl", "")
    one_box.fake("promtool", "")
    one_box.write("/etc/jangada/secrets/redis-password", PASSWORD)
    one_box.write("/etc/jangada/secrets/data-ca", "a certificate")
    return one_box


def upload(box: Box, rendered: dict[str, Any], **more: str) -> None:
    config = {
        "DATA_PATH": "/srv/jangada", "PRIVATE_ADDRESS": "127.0.0.1", "WATCHES": "true", "GRAFANA_IMAGE": "-",
        "RETENTION_DAYS": "30", "REDIS_TARGETS": " ".join(rendered["redis"]["g1"]), "REDIS_ARGUMENTS": "",
    }  # fmt: skip
    deploy = ROOT / "deploy"
    box.upload(
        "observability",
        config | more,
        {
            "prometheus.yml": rendered["configuration"],
            "rules.yml": (deploy / "prometheus" / "rules.yml").read_text(),
            "servers.yml": (FILES / "servers.rules.yml").read_text(),
            "datasource.yml": "datasources: []\n",
            "dashboards.yml": "providers: []\n",
            "jangada.json": "{}\n",
        },
    )


@pytest.mark.docker
def test_prometheus_sees_gateway_executors_servers_and_redis(box, rendered):
    for name in ("prometheus", "promtool"):
        docker("cp", requires_program(name), f"{box.name}:/usr/bin/{name}")
    box.no_fake("promtool")
    box.fake("curl", CURL)
    box.write(f"{FAKES}/telling.py", f"PORTS = {sorted(PORTS)}\n{TELLING}")
    box.run(f"nohup python3 {FAKES}/telling.py >{FAKES}/telling 2>&1 &")
    until(lambda: "node_load1" in box.run("curl http://127.0.0.1:9100/metrics || true"), 30, 0.3)
    upload(box, rendered)
    box.apply("observability")
    try:

        def targets() -> dict[str, list[dict[str, Any]]]:
            said = json.loads(box.run("curl http://127.0.0.1:9090/api/v1/targets"))["data"]["activeTargets"]
            found: dict[str, list[dict[str, Any]]] = {}
            for one in said:
                found.setdefault(one["labels"]["job"], []).append(one)
            return found

        until(lambda: [one["health"] for ones in targets().values() for one in ones] == ["up"] * 6, 120, 1)
        counted = {job: len(ones) for job, ones in targets().items()}
        assert counted == {"jangada-gateway": 1, "jangada-executors": 2, "jangada-servers": 1, "jangada-redis": 2}
        said = json.loads(box.run("curl http://127.0.0.1:9090/api/v1/query?query=redis_up"))["data"]["result"]
        assert {one["metric"]["instance"]: one["value"][1] for one in said} == dict.fromkeys(SEEDS, "1")
        groups = json.loads(box.run("curl http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
        assert {"jangada-queues", "jangada-servers"} <= {group["name"] for group in groups}
        box.apply("observability", "--check")
        assert "changed=0" in box.apply("observability")

        # Rules that promtool refuses do not reach the one that runs.
        upload(box, rendered | {"configuration": "scrape_configs: nothing\n"})
        assert "promtool refuses the configuration" in box.apply("observability", expect=1)
        assert "jangada-redis" in box.run("cat /etc/jangada/observability/prometheus.yml")
    finally:
        box.run(f"kill $(cat {FAKES}/pid-prometheus)")


@pytest.mark.docker
def test_redis_password_is_in_a_file_of_the_exporters_alone(box, rendered):
    upload(box, rendered)
    box.apply("observability")
    file = "/etc/jangada/observability/redis-passwords.json"
    assert json.loads(box.run(f"cat {file}")) == dict.fromkeys(rendered["redis"]["g1"], PASSWORD)
    assert box.run(f"stat -c %a {file}").strip() == "400"
    assert PASSWORD not in box.run("cat /etc/systemd/system/*/jangada.conf /fakes/log")
    box.calls()
    box.write("/etc/jangada/secrets/redis-password", "another")
    assert "differs: writes /etc/jangada/observability/redis-passwords.json" in box.apply(
        "observability", "--check", expect=3
    )
    box.apply("observability")
    assert "systemctl restart prometheus-redis-exporter" in box.calls()


@pytest.mark.docker
def test_what_somebody_changed_is_found_and_mended(box, rendered):
    upload(box, rendered)
    assert "differs" in box.apply("observability", "--check", expect=3)
    box.run("test ! -e /etc/jangada/observability")
    box.apply("observability")
    box.apply("observability", "--check")
    box.run("echo 'groups: []' >/etc/jangada/observability/rules.yml; rm /fakes/active-prometheus-node-exporter")
    said = box.apply("observability", "--check", expect=3)
    assert "differs: writes /etc/jangada/observability/rules.yml" in said
    assert "differs: starts prometheus-node-exporter" in said
    box.calls()
    box.apply("observability")
    calls = box.calls()
    assert "systemctl reload prometheus" in calls
    assert "systemctl restart prometheus" not in calls

    # Another server watches from now on.
    upload(box, rendered, WATCHES="false")
    box.apply("observability")
    assert "systemctl disable --quiet --now prometheus" in box.calls()
    box.run("test ! -e /etc/systemd/system/prometheus.service.d/jangada.conf")
    box.apply("observability", "--check")
    box.run("test -d /srv/jangada/prometheus")
    box.apply("observability", "--remove")
    box.run("test ! -e /etc/jangada/observability && test -d /srv/jangada/prometheus")
    box.run("! ls /etc/systemd/system/prometheus*/jangada.conf")


@pytest.mark.docker
def test_grafanas_password_is_made_there_once_and_is_in_no_argument(box, rendered):
    box.fake("docker", 'case "$1 $2" in "container inspect") exit 1 ;; esac\n')
    upload(box, rendered, GRAFANA_IMAGE="grafana/grafana:12.0.0")
    box.apply("observability")
    password = box.run("cat /srv/jangada/grafana/admin-password")
    assert len(password) == 32
    assert box.run("stat -c '%a %u' /srv/jangada/grafana/admin-password").strip() == "400 472"
    calls = box.calls()
    (started,) = [call for call in calls if call.startswith("docker run")]
    assert "GF_SERVER_HTTP_ADDR=127.0.0.1" in started
    assert "GF_SECURITY_ADMIN_PASSWORD__FILE=/var/lib/grafana/admin-password" in started
    assert not [call for call in calls if password in call]
    box.apply("observability")
    assert box.run("cat /srv/jangada/grafana/admin-password") == password


@pytest.mark.docker
def test_executors_tell_of_themselves_in_the_private_network_where_somebody_watches(box):
    lines = "ocr\tours/jangada-doc-ocr:1\tcpu\t2\t1\t-\t-\t1\nlang\tours/jangada-text-langid:1\tcpu\t1\t1\t-\t-\t1\n"
    redis = {"REDIS_SEEDS": "10.0.0.2:6379", "REDIS_CLUSTER": "false"}
    stores = redis | {"MONGO_HOSTS": "10.0.0.2:27017", "MONGO_AUTHENTICATION": "false"}
    box.fake("docker", 'case "$1 $2" in "container inspect") exit 1 ;; esac\n')
    for watched in ({}, {"METRICS_PORT": "9200", "PRIVATE_ADDRESS": "10.0.0.3"}):
        box.upload("executor", stores | watched, {"executors": lines})
        box.apply("executor")
        started = [call for call in box.calls() if call.startswith("docker run")]
        ports = [word for call in started for word in call.split() if word.endswith(":8081") and word.startswith("10.")]
        assert len(started) == 3
        assert ports == ([f"10.0.0.3:{9200 + number}:8081" for number in range(3)] if watched else [])


def test_operators_are_told_of_every_alert():
    rules = yaml.safe_load((FILES / "servers.rules.yml").read_text())["groups"]
    told = (ROOT / "docs" / "operate.md").read_text()
    alerts = [rule["alert"] for group in rules for rule in group["rules"]]
    assert alerts
    assert [name for name in alerts if f"| `{name}` |" not in told] == []


def test_the_alerts_on_servers_fire_when_they_must(tmp_path):
    promtool = requires_program("promtool")
    shutil.copy(FILES / "servers.rules.yml", tmp_path / "servers.yml")

    def fires(alert: str, at: str, series: dict[str, str], count: int) -> dict[str, Any]:
        expected = {"expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)', "eval_time": at}
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [expected | {"exp_samples": [{"labels": "{}", "value": count}]}],
        }

    def disk(free: int) -> dict[str, str]:
        where = '{fstype="ext4", mountpoint="/", instance="n1:9100"}'
        return {f"node_filesystem_avail_bytes{where}": f"{free}x30", f"node_filesystem_size_bytes{where}": "100x30"}

    def redis(limit: int) -> dict[str, str]:
        where = '{instance="n1:6379"}'
        return {f"redis_memory_used_bytes{where}": "95x9", f"redis_memory_max_bytes{where}": f"{limit}x9"}

    up = 'up{job="jangada-redis", instance="n1"}'
    cases = [
        fires("JangadaServerDown", "5m", {up: "1 0x9"}, 1),
        fires("JangadaServerDown", "1m", {up: "1 0x9"}, 0),
        fires("JangadaServerDiskAlmostFull", "15m", disk(5), 1),
        fires("JangadaServerDiskAlmostFull", "15m", disk(50), 0),
        fires(
            "JangadaServerMemoryAlmostFull",
            "15m",
            {"node_memory_MemAvailable_bytes": "4x30", "node_memory_MemTotal_bytes": "100x30"},
            1,
        ),
        fires(
            "JangadaServerClockIsWrong",
            "40m",
            {"node_timex_offset_seconds": "-2x60", "node_timex_sync_status": "1x60"},
            1,
        ),
        fires(
            "JangadaServerClockIsWrong",
            "40m",
            {"node_timex_offset_seconds": "0.01x60", "node_timex_sync_status": "1x60"},
            0,
        ),
        fires("JangadaRedisDown", "3m", {'redis_up{instance="n1:6379"}': "0x9"}, 1),
        fires("JangadaRedisDown", "3m", {'redis_up{instance="n1:6379"}': "1x9"}, 0),
        fires("JangadaRedisMemoryAlmostFull", "9m", redis(100), 1),
        # No limit is no alert.
        fires("JangadaRedisMemoryAlmostFull", "9m", redis(0), 0),
        fires("JangadaRedisNotWritten", "9m", {"redis_aof_last_write_status": "0x9"}, 1),
        fires("JangadaBackupFailed", "1m", {"jangada_backup_failed": "1x9"}, 1),
        fires("JangadaBackupFailed", "1m", {"jangada_backup_failed": "0x9"}, 0),
        fires("JangadaBackupTooOld", "37h", {"jangada_backup_verified_timestamp_seconds": "0x2400"}, 1),
        fires("JangadaBackupTooOld", "35h", {"jangada_backup_verified_timestamp_seconds": "0x2400"}, 0),
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["servers.yml"], "evaluation_interval": "1m", "tests": cases}))
    for arguments in (
        ["check", "rules", "--lint=all", "--lint-fatal", tmp_path / "servers.yml"],
        ["test", "rules", file],
    ):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
