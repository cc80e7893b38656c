#!/usr/bin/env bash
# Builds faas-cli at the tested version into FOLDER (default ~/.local/bin), unless it is on PATH. Needs Go.
#   scripts/ci/install_faas_cli.sh [FOLDER]
# The commit stands for the version; Go's checksum database vouches for the source. Exit codes: 0, 2 usage, 5 no Go.
set -euo pipefail
version=0.18.12 commit=c8191b71e7edf10be3b660ddcaee52c11de79238
case "${1:-}" in
  --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "install_faas_cli.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
esac
if command -v faas-cli >/dev/null 2>&1; then exit 0; fi
command -v go >/dev/null 2>&1 || { echo "install_faas_cli.sh: needs Go to build faas-cli $version" >&2; exit 5; }
folder="${1:-$HOME/.local/bin}"
mkdir -p "$folder"
GOBIN="$(cd "$folder" && pwd)" go install -trimpath -ldflags "-X github.com/openfaas/faas-cli/version.Version=$version" \
  "github.com/openfaas/faas-cli@$commit"
[ -z "${GITHUB_PATH:-}" ] || printf '%s\n' "$folder" >>"$GITHUB_PATH"
