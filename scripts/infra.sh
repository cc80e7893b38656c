#!/usr/bin/env bash
# Brings an environment of terraform/environments up, and looks after it (docs/deploy.md):
#   scripts/infra.sh up|plan|drift|status|key|unlock|destroy ENV [--yes] [--hosts a,b] [--var-file FILE]…
# --help says more.
# Needs terraform ≥ 1.11, ssh, curl and python3 ≥ 3.11.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
[ ! -x .venv/bin/python ] || python="${PYTHON:-.venv/bin/python}"
exec "$python" -m scripts.infra "$@"
