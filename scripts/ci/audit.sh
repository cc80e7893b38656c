#!/usr/bin/env bash
# Looks for what has become unsafe, or was never allowed:
#   scripts/ci/audit.sh workflows [SARIF]   zizmor on .github/
#   scripts/ci/audit.sh python              known holes in the pinned packages (pip-audit; asks its database)
#   scripts/ci/audit.sh licences            each installed package's licence; a strong copyleft one fails
#   scripts/ci/audit.sh images [SARIF]      known holes in the published images of VERSION (trivy; asks its database)
# Exit codes: 0, 1 something was found, 2 usage, 5 a tool is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PWD/build/bin:$PATH"
needs() { command -v "$1" >/dev/null 2>&1 || { echo "audit.sh: needs $1" >&2; exit 5; }; }

case "${1:-}" in
  workflows)
    needs zizmor
    if [ -n "${2:-}" ]; then
      # With SARIF it always ends with 0; the findings go to the code-scanning page, and the run below decides.
      zizmor --offline --quiet --config .github/zizmor.yml --format sarif .github >"$2"
    fi
    zizmor --offline --quiet --config .github/zizmor.yml .github
    ;;
  python)
    needs pip-audit
    found=0
    for file in requirements/*.txt template/python3-jangada/requirements.txt; do
      pip-audit --progress-spinner off --no-deps --disable-pip --requirement "$file" || found=1
    done
    exit "$found"
    ;;
  licences) exec .venv/bin/python scripts/ci/licences.py ;;
  images)
    needs trivy
    found=0 folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    version="$(head -n 1 VERSION)"
    for name in $(scripts/ci/matrix.sh | jq -r '.[].name'); do
      trivy image --quiet --ignore-unfixed --severity HIGH,CRITICAL --exit-code 1 --format sarif \
        --output "$folder/$name.sarif" "${IMAGE_PREFIX:-docker.io/jangada}/$name:$version" || found=1
    done
    [ -z "${2:-}" ] || jq -s '.[0] + {runs: [.[].runs[]]}' "$folder"/*.sarif >"$2"
    exit "$found"
    ;;
  --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0" ;;
  *) echo "audit.sh: unknown command '${1:-}' (see --help)" >&2; exit 2 ;;
esac
