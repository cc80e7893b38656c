#!/usr/bin/env bash
# Logs docker in to $REGISTRY (default docker.io) as $REGISTRY_USERNAME with $REGISTRY_TOKEN; skopeo and cosign read the same
# file. Without a user it does nothing, so that public images can be pulled. Exit codes: 0, 2 usage, else docker's.
set -euo pipefail
if [ $# -gt 0 ]; then sed -n '2,3s/^# //p' "$0"; [ "$1" = --help ] && exit 0 || exit 2; fi
if [ -z "${REGISTRY_USERNAME:-}" ]; then
  echo "docker_login.sh: no REGISTRY_USERNAME, going on without" >&2
  exit 0
fi
[ -n "${REGISTRY_TOKEN:-}" ] || { echo "docker_login.sh: REGISTRY_USERNAME is set, REGISTRY_TOKEN is not" >&2; exit 2; }
printf '%s' "$REGISTRY_TOKEN" | docker login "${REGISTRY:-docker.io}" --username "$REGISTRY_USERNAME" --password-stdin
