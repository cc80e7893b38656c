#!/usr/bin/env bash
# Builds a tool for workflows or Terraform at its tested version into build/bin; does nothing when it is there or on PATH. Needs Go.
#   scripts/ci/install_tool.sh actionlint|act|tflint
# Exit codes: 0, 2 usage, 5 it cannot be had.
set -euo pipefail
case "${1:-}" in
  actionlint) module=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ;;
  act) module=github.com/nektos/act@v0.2.87 ;;
  tflint) module=github.com/terraform-linters/tflint@v0.55.1 ;;
  --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "install_tool.sh: unknown tool '${1:-}' (see --help)" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/../.."
if [ -x "build/bin/$1" ] || command -v "$1" >/dev/null 2>&1; then exit 0; fi
command -v go >/dev/null 2>&1 || { echo "install_tool.sh: needs Go to build $1" >&2; exit 5; }
mkdir -p build/bin
GOBIN="$PWD/build/bin" go install "$module" || { echo "install_tool.sh: could not build $1" >&2; exit 5; }
