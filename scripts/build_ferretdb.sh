#!/usr/bin/env bash
# Builds FerretDB 1.24 with its SQLite backend, for the contract tests: one more server that speaks MongoDB's protocol.
#   scripts/build_ferretdb.sh build/ferretdb        then: JANGADA_TEST_FERRETDB=build/ferretdb make test-contract
# Its SQLite backend never answers a bulk write of 100 updates or more (20 work), so suites with such groups leave it out.
# Needs Go. The module carries no version file of its own, so it is built from a copy that has one.
set -euo pipefail
version=v1.24.2
target="$(mkdir -p "$(dirname "$1")" && cd "$(dirname "$1")" && pwd)/$(basename "$1")"
command -v go >/dev/null 2>&1 || { echo "no go on PATH" >&2; exit 2; }
folder="$(mktemp -d)"
trap 'chmod -R u+w "$folder" && rm -rf "$folder"' EXIT
cd "$folder"
go mod init build >/dev/null 2>&1
go mod edit -require "github.com/FerretDB/FerretDB@$version"
source="$(go mod download -json "github.com/FerretDB/FerretDB@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')"
cp -r "$source" copy && chmod -R u+w copy && cd copy
echo "$version" > build/version/version.txt
CGO_ENABLED=0 go build -trimpath -o "$target" ./cmd/ferretdb
echo "$target"
