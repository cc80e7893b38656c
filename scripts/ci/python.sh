#!/usr/bin/env bash
# Installs a Python project with $PYTHON_EXTRAS (default dev), lints it with ruff where it configures ruff, and runs the
# tests in $PYTHON_TESTS (default tests), counting coverage of $PYTHON_PACKAGES; below $PYTHON_MINIMUM_COVERAGE it fails.
#   scripts/ci/python.sh                       in the project's folder, in an environment of its own
# Exit codes: 0, 2 usage, else those of pip, ruff or pytest.
set -euo pipefail
if [ $# -gt 0 ]; then sed -n '2,5s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0 || exit 2; fi
[ -f pyproject.toml ] || { echo "python.sh: no pyproject.toml in $PWD" >&2; exit 2; }
pip=(python -m pip --quiet --disable-pip-version-check install)
"${pip[@]}" ".${PYTHON_EXTRAS:+[$PYTHON_EXTRAS]}" pytest
if grep -q '^\[tool\.ruff' pyproject.toml; then
  "${pip[@]}" ruff
  python -m ruff check .
  python -m ruff format --check .
fi
coverage=()
if [ -n "${PYTHON_PACKAGES:-}" ]; then
  "${pip[@]}" pytest-cov
  IFS=, read -ra packages <<<"$PYTHON_PACKAGES"
  for package in "${packages[@]}"; do coverage+=("--cov=$package"); done
  coverage+=("--cov-fail-under=${PYTHON_MINIMUM_COVERAGE:-0}")
fi
IFS=' ' read -ra tests <<<"${PYTHON_TESTS:-tests}"
python -m pytest "${tests[@]}" ${coverage[@]+"${coverage[@]}"}
