#!/usr/bin/env bash
# Makes .venv with the pinned packages of one extra and this checkout in it. make calls it when something changed.
#   scripts/install.sh local|dev [python]        local: what the platform needs to run; dev: and to be worked on
set -euo pipefail
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
fail() { echo "$*" >&2; exit 2; }

extra="$1"
python="${2:-}"
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
echo "installing the packages of requirements/$extra.txt"
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install)
"${pip[@]}" -r "requirements/$extra.txt"
"${pip[@]}" --no-deps --no-build-isolation -e .
touch .venv/.installed-local
if [ "$extra" = dev ]; then touch .venv/.installed-dev; fi
