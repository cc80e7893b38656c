#!/usr/bin/env bash
# What CI does with terraform/, each by hand as well:
#   scripts/ci/terraform.sh prepare              a folder in which runs share providers
#   scripts/ci/terraform.sh fmt | validate | test
#   scripts/ci/terraform.sh plan FOLDER          shows what an apply would do
#   scripts/ci/terraform.sh drift FOLDER         the same, and asks the servers (infra.sh drift): ends with 3 when anything
#                                                is to be done or is not as it was left
#   scripts/ci/terraform.sh apply FOLDER         does it
# TERRAFORM_VARIABLES (JSON) and SSH_KEY (a private key, which becomes the variable ssh_key_file) reach terraform through
# files that only this user can read and that are gone afterwards; so does the plan, which holds secrets.
# Exit codes: 0, 2 usage, 3 drift, else terraform's.
set -euo pipefail
scripts="$(cd "$(dirname "$0")/.." && pwd)"
cd "${TERRAFORM_ROOT:-$(dirname "$0")/../..}"
export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; }

# Folders with a configuration, outermost first; what init has fetched is not ours.
folders() { find terraform -name '*.tf' -not -path '*/.terraform/*' -printf '%h\n' | sort -u; }
init() { terraform -chdir="$1" init -backend=false -input=false -no-color >/dev/null; }

# with_secrets FOLDER: a folder $secrets for the files, and the arguments that name them in $variables. It is the same
# each time: the path of the key is in the state, and another one would be a change.
with_secrets() {
  umask 077
  secrets="${TMPDIR:-/tmp}/jangada-terraform-$(id -u)-$(basename "$1")"
  rm -rf "$secrets"
  mkdir "$secrets"
  trap 'rm -rf "$secrets"' EXIT
  variables=()
  if [ -n "${TERRAFORM_VARIABLES:-}" ]; then
    printf '%s' "$TERRAFORM_VARIABLES" >"$secrets/secrets.tfvars.json"
    variables+=("-var-file=$secrets/secrets.tfvars.json")
  fi
  if [ -n "${SSH_KEY:-}" ]; then
    printf '%s\n' "$SSH_KEY" >"$secrets/ssh_key"
    variables+=("-var=ssh_key_file=$secrets/ssh_key")
  fi
  unset TERRAFORM_VARIABLES SSH_KEY
}

case "${1:-}" in
  fmt | validate | test)
    [ -d terraform ] || { echo "terraform.sh: no folder terraform, nothing to check"; exit 0; }
    ;;
esac
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
  plan | drift | apply)
    [ $# -eq 2 ] && [ -d "$2" ] || { echo "terraform.sh: $1 needs a folder" >&2; exit 2; }
    with_secrets "$2"
    terraform -chdir="$2" init -input=false -no-color >/dev/null
    code=0
    terraform -chdir="$2" plan -input=false -no-color -lock-timeout=5m -detailed-exitcode -out="$secrets/plan" \
      ${variables[@]+"${variables[@]}"} || code=$?
    case "$1-$code" in
      drift-0)
        # Terraform does not see what is on a server.
        if terraform -chdir="$2" output -json | grep -q '"machines"'; then
          "$scripts/infra.sh" drift "$PWD/$2" || exit
        fi
        ;;
      *-0 | plan-2) ;;
      drift-2) exit 3 ;;
      # Ephemeral variables are in no plan: they are given again.
      apply-2)
        terraform -chdir="$2" apply -input=false -no-color -lock-timeout=5m ${variables[@]+"${variables[@]}"} "$secrets/plan"
        ;;
      *) exit "$code" ;;
    esac
    ;;
  --help | -h) usage ;;
  *) echo "terraform.sh: unknown command '${1:-}' (see --help)" >&2; exit 2 ;;
esac
