#!/usr/bin/env bash
# Puts a backup into an environment of terraform/environments that is up and has not been used (docs/deploy.md):
#   scripts/restore.sh --at latest|2026-11-21T02:30Z --into ENV --identity FILE [--from FOLDER] …      --help says more
# The private key stays on this machine. Needs age, terraform ≥ 1.11, ssh, curl and python3 ≥ 3.11.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
[ ! -x .venv/bin/python ] || python="${PYTHON:-.venv/bin/python}"
exec "$python" -m scripts.infra.restore "$@"
