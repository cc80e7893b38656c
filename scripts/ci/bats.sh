#!/usr/bin/env bash
# Runs the bats tests of our scripts, after installing bats from Debian's packages where it is missing and we may.
#   scripts/ci/bats.sh [FILE…]
# Exit codes: those of bats; 5 when bats cannot be had.
set -euo pipefail
case "${1:-}" in
  --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "bats.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/../.."
if ! command -v bats >/dev/null 2>&1; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  "${as_root[@]}" apt-get update -qq || true
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends bats bats-assert bats-support >/dev/null \
    || { echo "bats.sh: no bats, and it cannot be installed" >&2; exit 5; }
fi
[ $# -gt 0 ] || set -- tests/bats
exec bats --recursive "$@"
