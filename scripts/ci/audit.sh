#!/usr/bin/env bash
# Looks for what has become unsafe, or was never allowed:
#   scripts/ci/audit.sh workflows [SARIF]   zizmor on .github/
#   scripts/ci/audit.sh python              known holes in the pinned packages (pip-audit; asks its database)
#   scripts/ci/audit.sh licences            each installed package's licence; a strong copyleft one fails
#   scripts/ci/audit.sh images              known holes in the published images of VERSION (grype, or $GRYPE; asks its database)
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
    grype="${GRYPE:-grype}"
    needs "$grype"
    found=0 version="$(head -n 1 VERSION)"
    for name in $(scripts/ci/matrix.sh | jq -r '.[].name'); do
      echo "== $name:$version"
      "$grype" --quiet --only-fixed --fail-on high "registry:${IMAGE_PREFIX:-docker.io/jangada}/$name:$version" || found=1
    done
    exit "$found"
    ;;
  --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0" ;;
  *) echo "audit.sh: unknown command '${1:-}' (see --help)" >&2; exit 2 ;;
esac
