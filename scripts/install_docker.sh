#!/usr/bin/env bash
# Installs Docker Engine, compose and what base images are made with from Debian's packages, and starts the Engine.
#   scripts/install_docker.sh [PIDFILE]      PIDFILE gets the process id of an Engine that was started here
# Does only what is missing. Ends with 1 and a reason where there is no Engine afterwards.
set -euo pipefail

pidfile="${1:-}"
fail() { echo "install_docker.sh: $*" >&2; exit 1; }
answers() { docker info >/dev/null 2>&1; }

wanted=()
command -v dockerd >/dev/null 2>&1 || answers || wanted+=(docker.io)
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null 2>&1 || wanted+=(docker-compose)
command -v debootstrap >/dev/null 2>&1 || wanted+=(debootstrap)
if [ "${#wanted[@]}" -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  echo "installing ${wanted[*]}"
  apt-get update -qq || true
  apt-get install -y -qq --no-install-recommends "${wanted[@]}" iptables ca-certificates >/dev/null 2>&1 \
    || echo "install_docker.sh: could not install ${wanted[*]}" >&2
fi

if ! answers; then
  command -v dockerd >/dev/null 2>&1 || fail "no Docker Engine, and it could not be installed"
  [ "$(id -u)" -eq 0 ] || fail "no Docker Engine answers, and only root can start one"
  log="${TMPDIR:-/tmp}/dockerd.$$.log"
  setsid dockerd >"$log" 2>&1 </dev/null &
  started=$!
  for _ in $(seq 100); do
    answers && break
    kill -0 "$started" 2>/dev/null || { tail -3 "$log" >&2; fail "dockerd ended"; }
    sleep 0.3
  done
  answers || { kill "$started" 2>/dev/null; fail "dockerd does not answer; see $log"; }
  [ -z "$pidfile" ] || echo "$started" >"$pidfile"
  echo "started Docker Engine, process $started"
fi
docker version --format 'Docker Engine {{.Server.Version}}'
