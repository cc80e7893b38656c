#!/usr/bin/env bash
# Makes .venv with the pinned packages and this checkout in it. `make install` calls it when something changed.
#   scripts/install.sh [python]
set -euo pipefail
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
fail() { echo "$*" >&2; exit 2; }

python="${1:-}"
if [ -z "$python" ]; then
  for name in python3.12 python3.11 python3.13 python3 python; do
    if command -v "$name" >/dev/null 2>&1 && new_enough "$name"; then python="$name"; break; fi
  done
fi
[ -n "$python" ] || fail "Jangada needs Python 3.11 or newer, and there is none on PATH. Name it: make install PYTHON=/path/to/python3.12"
command -v "$python" >/dev/null 2>&1 || fail "Jangada needs Python 3.11 or newer: $python is not a program"
new_enough "$python" || fail "Jangada needs Python 3.11 or newer: $python is $("$python" -V 2>&1)"

if ! [ -x .venv/bin/python ]; then
  echo "making .venv with $("$python" -V 2>&1)"
  "$python" -m venv .venv || { rm -rf .venv; fail "cannot make .venv: is Python's venv module installed (Debian: python3-venv)?"; }
fi
echo "installing the packages of requirements/dev.txt"
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install)
"${pip[@]}" -r requirements/dev.txt
"${pip[@]}" --no-deps --no-build-isolation -e .
touch .venv/.installed
