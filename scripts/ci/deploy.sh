#!/usr/bin/env bash
# Deploys a published version of the functions of a stack file: secrets, deploy by tag, ready, smoke test. What ran before is
# deployed again when one of them fails. Nothing is built. Log in first (scripts/ci/faas_login.sh).
#
#   OPENFAAS_URL=https://faas.example.org DEPLOY_VERSION=1.4.0 IMAGE_PREFIX=docker.io/acme scripts/ci/deploy.sh
#
#   OPENFAAS_URL        address of the gateway
#   DEPLOY_VERSION      X.Y.Z; images of ours (…/jangada-NAME) get it as their tag, others keep what the file says
#   DEPLOY_STACK        the stack file (default stack.yml); IMAGE_PREFIX and others that it names are filled in
#   DEPLOY_FUNCTIONS    names, comma-separated (default all)
#   DEPLOY_DIGESTS      JSON object, name of the image to digest; without it the registry is asked; "none": no digests
#   DEPLOY_ENVIRONMENT  name of the environment, for the record
#   DEPLOY_REASON       why, for the record
#   DEPLOY_TIMEOUT_S    seconds until every function is ready (default 300)
#   DEPLOY_SMOKE        false: no smoke test; what scripts/ci/smoke.sh reads is passed on
#   REDIS_URL MONGO_URL values of the secrets redis-url and mongo-url (default: left as they are, and never undone)
#   DEPLOY_WITH         faas-cli, or jangada (`jangada function`); default: faas-cli where it is on PATH
#
# Each function carries annotations com.jangada.version, .digest, .environment, .reason and .history: the versions that this
# environment ran, oldest first. The result goes to stdout as JSON and, as result=, to the file that GITHUB_OUTPUT names.
#
# Exit codes: 0 deployed; 1 failed, and what ran before runs again; 2 usage; 3 not begun (an image is missing, the gateway does
# not answer); 4 failed, and so did the undoing; 5 a program is missing.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "$0"; }
say() { echo "deploy.sh: $*" >&2; }
fail() { local code="$1"; shift; say "$*"; exit "$code"; }

case "${1:-}" in
  '') ;;
  --help | -h) usage; exit 0 ;;
  *) fail 2 "takes no arguments (see --help)" ;;
esac
[ -n "${OPENFAAS_URL:-}" ] || fail 2 "OPENFAAS_URL must be the address of the gateway"
version="${DEPLOY_VERSION:-}"
version="${version#v}"
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail 2 "DEPLOY_VERSION: expected X.Y.Z, found '$version'"
stack="${DEPLOY_STACK:-stack.yml}" timeout_s="${DEPLOY_TIMEOUT_S:-300}" digests="${DEPLOY_DIGESTS:-}"
[ -f "$stack" ] || fail 2 "DEPLOY_STACK: there is no $stack"
[[ $timeout_s =~ ^[1-9][0-9]*$ ]] || fail 2 "DEPLOY_TIMEOUT_S: expected seconds, found '$timeout_s'"
for program in jq curl; do
  command -v "$program" >/dev/null 2>&1 || fail 5 "needs $program on PATH"
done
[ -z "$digests" ] || [ "$digests" = none ] || jq -e 'type == "object"' >/dev/null 2>&1 <<<"$digests" ||
  fail 2 "DEPLOY_DIGESTS: expected a JSON object, or none"

here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# shellcheck source=scripts/ci/deployer.sh
. "$here/deployer.sh"
choose_deployer 2>"$work/said" || fail 5 "$(cat "$work/said")"

# The images of ours get the version as their tag; what they are built from is of no concern here.
sed -E 's#^([[:space:]]*image:[[:space:]]*"?([^"[:space:]]*/)?jangada-[a-z0-9._-]+):[A-Za-z0-9_][A-Za-z0-9._-]*#\1:'"$version"'#' \
  "$stack" >"$work/stack.yml"
stack_images "$work/stack.yml" >"$work/wanted" || fail 2 "$stack cannot be read by $deployer"
if [ -n "${DEPLOY_FUNCTIONS:-}" ]; then
  tr ',' '\n' <<<"$DEPLOY_FUNCTIONS" | tr -d ' ' | sed '/^$/d' | sort -u >"$work/chosen"
  unknown="$(cut -d' ' -f1 "$work/wanted" | comm -13 - "$work/chosen" | paste -sd, -)"
  [ -z "$unknown" ] || fail 2 "DEPLOY_FUNCTIONS: $stack has no $unknown"
  join "$work/wanted" "$work/chosen" >"$work/picked"
  mv "$work/picked" "$work/wanted"
fi
[ -s "$work/wanted" ] || fail 2 "$stack has no functions"

# shellcheck source=scripts/ci/registry.sh
. "$here/registry.sh"
digest_of() { # IMAGE
  local repository="${1%:*}" digest=''
  if [ "$digests" = none ]; then return 0; fi
  if [ -n "$digests" ]; then
    digest="$(jq -r --arg full "$repository" --arg name "${repository##*/}" '.[$full] // .[$name] // ""' <<<"$digests")"
  fi
  if [ -z "$digest" ]; then digest="$(registry_digest "$1")" || return 1; fi
  printf '%s\n' "$digest"
}

: >"$work/plan" # name, image, digest
while read -r name image; do
  digest="$(digest_of "$image")" || fail 3 "the registry has no $image"
  printf '%s %s %s\n' "$name" "$image" "$digest" >>"$work/plan"
done <"$work/wanted"

gateway_functions >"$work/before.json" 2>"$work/said" || fail 3 "the gateway does not tell what runs: $(cat "$work/said")"

annotation() { # NAME ANNOTATION: what the function had before
  jq -r --arg name "$1" --arg key "com.jangada.$2" '.[] | select(.name == $name) | .annotations[$key] // ""' "$work/before.json"
}

# The versions that ran, oldest first; going back to one forgets what came after it.
history_of() { # NAME
  local past
  past="$(annotation "$1" history)"
  [ -n "$past" ] || past="$(annotation "$1" version)"
  jq -rn --arg past "$past" --arg version "$version" \
    '($past / "," | map(select(. != ""))) as $all | ($all | index($version)) as $at |
     (if $at == null then $all else $all[:$at] end + [$version])[-20:] | join(",")'
}

wait_ready() { # NAME IMAGE DEADLINE
  until gateway_runs "$1" "$2"; do
    if [ "$SECONDS" -ge "$3" ]; then
      say "$1 is not ready after $timeout_s s: $(gateway_describe "$1" 2>&1 | grep -F status.jangada.io || true)"
      return 1
    fi
    sleep 0.3
  done
}

set_secret() { # NAME VALUE
  printf '%s' "$2" | gateway_set_secret "$1" >"$work/said" 2>&1 && return 0
  say "the secret $1 was not set: $(cat "$work/said")"
  return 1
}

deploy_all() {
  local name image digest deadline words
  if [ -n "${REDIS_URL:-}" ]; then set_secret redis-url "$REDIS_URL" || return 1; fi
  if [ -n "${MONGO_URL:-}" ]; then set_secret mongo-url "$MONGO_URL" || return 1; fi
  while read -r name image digest; do
    words=(--annotation "com.jangada.version=$version" --annotation "com.jangada.history=$(history_of "$name")")
    [ -z "$digest" ] || words+=(--annotation "com.jangada.digest=$digest")
    [ -z "${DEPLOY_ENVIRONMENT:-}" ] || words+=(--annotation "com.jangada.environment=$DEPLOY_ENVIRONMENT")
    [ -z "${DEPLOY_REASON:-}" ] || words+=(--annotation "com.jangada.reason=$(tr -s '[:cntrl:]' ' ' <<<"$DEPLOY_REASON")")
    say "$name: $image"
    printf '%s\n' "$name" >>"$work/touched"
    gateway_deploy "$work/stack.yml" "$name" "${words[@]}" >&2 || return 1
  done <"$work/plan"
  deadline=$((SECONDS + timeout_s))
  while read -r name image digest; do
    wait_ready "$name" "$image" "$deadline" </dev/null || return 1
  done <"$work/plan"
}

smoke() {
  local names
  [ "${DEPLOY_SMOKE:-true}" != false ] || return 0
  mapfile -t names < <(cut -d' ' -f1 "$work/plan")
  "$here/smoke.sh" "${names[@]}"
}

# What ran before, from what the gateway told of it; JSON is YAML, and a doubled dollar sign stands for itself.
undo() {
  local name image deadline code=0
  jq '{version: "1.0", provider: {name: "openfaas"}, functions: (map({key: .name, value: ({image, lang: "dockerfile", handler: "./empty",
      fprocess: .envProcess, environment: .envVars, secrets, labels, annotations, constraints, limits, requests,
      readonly_root_filesystem: .readOnlyRootFilesystem} | with_entries(select(.value != null and .value != "")))}) | from_entries)}' \
    "$work/before.json" | sed 's/\$/$$/g' >"$work/undo.yml"
  while read -r name; do
    image="$(jq -r --arg name "$name" '.[] | select(.name == $name) | .image' "$work/before.json")"
    if [ -z "$image" ]; then
      say "undoing: $name did not run before, it is removed"
      gateway_remove "$name" >&2 || code=1
      continue
    fi
    say "undoing: $name: $image"
    gateway_deploy "$work/undo.yml" "$name" >&2 || code=1
  done <"$work/touched"
  deadline=$((SECONDS + timeout_s))
  while read -r name; do
    image="$(jq -r --arg name "$name" '.[] | select(.name == $name and (.replicas // 0) > 0) | .image' "$work/before.json")"
    if [ -n "$image" ]; then wait_ready "$name" "$image" "$deadline" </dev/null || code=1; fi
  done <"$work/touched"
  return "$code"
}

: >"$work/touched"
if ! deploy_all || ! smoke; then
  say "version $version failed; what ran before is deployed again"
  undo || fail 4 "undoing failed too: look at what the gateway lists"
  fail 1 "version $version failed, what ran before runs again"
fi

result="$(jq -Rnc --arg version "$version" --arg environment "${DEPLOY_ENVIRONMENT:-}" \
  '{version: $version, environment: $environment, functions: [inputs / " " | {name: .[0], image: .[1], digest: .[2]}]}' <"$work/plan")"
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'result=%s\n' "$result" >>"$GITHUB_OUTPUT"
printf '%s\n' "$result"
