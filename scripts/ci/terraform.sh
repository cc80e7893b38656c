#!/usr/bin/env bash
# What CI does with terraform/, each by hand as well:
#   scripts/ci/terraform.sh prepare              a folder in which runs share providers
#   scripts/ci/terraform.sh fmt | validate | test
#   scripts/ci/terraform.sh plan FOLDER          shows a plan; 0 when nothing is to do, 2 when something is
# A saved plan holds secrets, so none is written. Exit codes: 0, 2 usage or a plan with changes, else terraform's.
set -euo pipefail
cd "${TERRAFORM_ROOT:-$(dirname "$0")/../..}"
export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }

# Folders with a configuration, outermost first; what init has fetched is not ours.
folders() { find terraform -name '*.tf' -not -path '*/.terraform/*' -printf '%h\n' | sort -u; }
init() { terraform -chdir="$1" init -backend=false -input=false -no-color >/dev/null; }

case "${1:-}" in
  prepare)
    cache="${TF_PLUGIN_CACHE_DIR:-$HOME/.terraform.d/plugin-cache}"
    mkdir -p "$cache"
    [ -z "${GITHUB_ENV:-}" ] || printf 'TF_PLUGIN_CACHE_DIR=%s\n' "$cache" >>"$GITHUB_ENV"
    ;;
  fmt) terraform fmt -check -recursive -diff terraform ;;
  validate)
    for folder in $(folders); do
      echo "== $folder"
      init "$folder"
      terraform -chdir="$folder" validate -no-color
    done
    ;;
  test)
    for folder in $(find terraform -name '*.tftest.hcl' -not -path '*/.terraform/*' -printf '%h\n' | sed 's|/tests$||' | sort -u); do
      echo "== $folder"
      init "$folder"
      terraform -chdir="$folder" test -no-color
    done
    ;;
  plan)
    [ $# -eq 2 ] && [ -d "$2" ] || { echo "terraform.sh: plan needs a folder" >&2; exit 2; }
    terraform -chdir="$2" init -input=false -no-color >/dev/null
    terraform -chdir="$2" plan -input=false -no-color -lock-timeout=5m -detailed-exitcode
    ;;
  --help | -h) usage ;;
  *) echo "terraform.sh: unknown command '${1:-}' (see --help)" >&2; exit 2 ;;
esac
