#!/usr/bin/env bash
# What deploys: the questions and orders that scripts have for a gateway, for deploy.sh, rollback.sh and faas_login.sh to source.
# DEPLOY_WITH says which program does it: faas-cli, or jangada (`jangada function`), which comes with this package. The
# default is faas-cli where it is on PATH. Both keep the login in the same file. Needs OPENFAAS_URL and a folder $work.
# shellcheck disable=SC2154

# In CI faas-cli keeps the login in the current folder, and ours changes: it is to be found again.
export OPENFAAS_CONFIG="${OPENFAAS_CONFIG:-$HOME/.openfaas}"

# choose_deployer: sets $deployer; 1, and why on stderr, when there is none.
choose_deployer() {
  local root
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
  jangada_program="$(command -v jangada || true)"
  [ -n "$jangada_program" ] || [ ! -x "$root/.venv/bin/jangada" ] || jangada_program="$root/.venv/bin/jangada"
  deployer="${DEPLOY_WITH:-}"
  if [ -z "$deployer" ]; then
    deployer=jangada
    if command -v faas-cli >/dev/null 2>&1; then deployer=faas-cli; fi
  fi
  case "$deployer" in
    faas-cli)
      command -v faas-cli >/dev/null 2>&1 && return 0
      echo "needs faas-cli on PATH (scripts/ci/install_faas_cli.sh builds it), or DEPLOY_WITH=jangada" >&2
      ;;
    jangada)
      [ -z "$jangada_program" ] || return 0
      echo "needs faas-cli or jangada on PATH (scripts/ci/install_faas_cli.sh, or make install)" >&2
      ;;
    *) echo "DEPLOY_WITH: expected faas-cli or jangada, found '$deployer'" >&2 ;;
  esac
  return 1
}

# faas-cli takes a stack file in the current folder before its own arguments: it always runs in an empty one.
faas() { (mkdir -p "$work/empty" && cd "$work/empty" && exec faas-cli "$@"); }
ours() { "$jangada_program" function "$@"; }

gateway_login() { # USER, password on stdin
  case "$deployer" in
    faas-cli) faas-cli login --gateway "$OPENFAAS_URL" --username "$1" --password-stdin ;;
    jangada) ours login --gateway "$OPENFAAS_URL" --username "$1" ${FAAS_INSECURE:+--insecure} ;;
  esac
}

gateway_functions() { # what runs, as a JSON array
  case "$deployer" in
    faas-cli)
      local said
      said="$(faas list --json --gateway "$OPENFAAS_URL")" || return 1
      # With nothing deployed it prints no array.
      jq -e 'type == "array"' >/dev/null 2>&1 <<<"$said" || said='[]'
      printf '%s\n' "$said"
      ;;
    jangada) ours list --json --gateway "$OPENFAAS_URL" ;;
  esac
}

gateway_describe() { # NAME: for people, and annotations that start with status.jangada.io/
  case "$deployer" in
    faas-cli) faas describe "$1" --gateway "$OPENFAAS_URL" ;;
    jangada) ours describe "$1" --gateway "$OPENFAAS_URL" ;;
  esac
}

# gateway_runs NAME IMAGE: it is what is wished for, answers, and no replica of an earlier deployment is left.
gateway_runs() {
  local said row
  case "$deployer" in
    faas-cli)
      said="$(gateway_functions 2>/dev/null)" || return 1
      row="$(jq --arg name "$1" '.[] | select(.name == $name)' <<<"$said")"
      said="$(gateway_describe "$1" 2>/dev/null)" || return 1
      ;;
    jangada)
      row="$(gateway_describe "$1" 2>/dev/null)" || return 1
      said="$row"
      ;;
  esac
  jq -e --arg image "$2" '.image == $image and (.availableReplicas // 0) > 0' <<<"$row" >/dev/null 2>&1 || return 1
  [[ $said != *status.jangada.io/updating* ]]
}

gateway_set_secret() { # NAME, value on stdin
  local verb=create said
  if [ "$deployer" = jangada ]; then
    ours secret "$1" --gateway "$OPENFAAS_URL"
    return
  fi
  if faas secret list --gateway "$OPENFAAS_URL" 2>/dev/null </dev/null | grep -qw -- "$1"; then verb=update; fi
  # It ends with 0 even when the gateway refuses, so what it says decides.
  said="$(faas secret "$verb" "$1" --gateway "$OPENFAAS_URL" 2>&1)" && grep -qE '20[0-9]|Created|Updated' <<<"$said" && return 0
  printf '%s\n' "$said" >&2
  return 1
}

gateway_deploy() { # STACK NAME [--annotation KEY=VALUE…]: one function; does not wait
  local stack="$1" name="$2"
  shift 2
  case "$deployer" in
    faas-cli) faas deploy --yaml "$stack" --filter "$name" --read-template=false --gateway "$OPENFAAS_URL" "$@" </dev/null ;;
    jangada) ours deploy --stack "$stack" --filter "$name" --wait 0 --gateway "$OPENFAAS_URL" "$@" </dev/null ;;
  esac
}

gateway_remove() { # NAME
  case "$deployer" in
    faas-cli) faas remove "$1" --gateway "$OPENFAAS_URL" </dev/null ;;
    jangada) ours remove "$1" --gateway "$OPENFAAS_URL" </dev/null ;;
  esac
}

# stack_images STACK: "name image" of each function, sorted, as the deployer reads the file; variables are filled in.
stack_images() {
  case "$deployer" in
    faas-cli)
      faas generate --yaml "$1" >"$work/generated" || return 1
      awk '/^spec:/ {spec = 1} /^---/ {spec = 0} spec && $1 == "name:" {name = $2}
           spec && $1 == "image:" {print name, $2; spec = 0}' "$work/generated" | sort
      ;;
    jangada)
      ours deploy --stack "$1" --dry-run >"$work/generated" || return 1
      jq -r '.[] | "\(.service) \(.image)"' "$work/generated" | sort
      ;;
  esac
}
