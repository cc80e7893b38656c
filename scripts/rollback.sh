#!/usr/bin/env bash
# Takes the functions of an environment back to a version that was published before. Nothing is built and no tag moves.
#
#   scripts/rollback.sh ENV [VERSION] [--reason TEXT] [--prune] [--dry-run]
#
# Without VERSION it is the one that ran before the current one, as the functions' annotations tell (com.jangada.history).
# The git tag vVERSION, its stack.yml and every image of it must exist; then it is deployed from that stack.yml as
# scripts/ci/deploy.sh does: wait until ready, smoke test, and back to what runs now when one of them fails.
#
#   --reason TEXT  why, for the record: annotation com.jangada.reason, and the summary of the workflow
#   --prune        remove functions that carry our annotations and did not exist then; without it they are only named
#   --dry-run      check everything, deploy nothing
#
# Environment: OPENFAAS_URL, IMAGE_PREFIX and what scripts/ci/deploy.sh --help tells. With COSIGN_IDENTITY (a regular
# expression) the signature of each image is verified by cosign; COSIGN_ISSUER is GitHub's unless it says otherwise.
# Exit codes: 0 done; 1 failed, and what ran before runs again; 2 usage; 3 not begun (no such version, an image is missing, a
# signature is wrong); 4 failed, and so did the undoing; 5 a program is missing.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "$0"; }
say() { echo "rollback.sh: $*" >&2; }
fail() { local code="$1"; shift; say "$*"; exit "$code"; }

environment='' version='' reason='' prune='' dry_run=''
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --reason) [ $# -gt 1 ] || fail 2 "--reason needs a text"; reason="$2"; shift ;;
    --reason=*) reason="${1#*=}" ;;
    --prune) prune=yes ;;
    --dry-run) dry_run=yes ;;
    -*) fail 2 "unknown argument '$1' (see --help)" ;;
    *)
      if [ -z "$environment" ]; then environment="$1"
      elif [ -z "$version" ]; then version="${1#v}"
      else fail 2 "unknown argument '$1' (see --help)"; fi
      ;;
  esac
  shift
done
[ -n "$environment" ] || fail 2 "which environment? (see --help)"
[[ $environment =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail 2 "ENV: expected a name, found '$environment'"
[[ -z $version || $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail 2 "VERSION: expected X.Y.Z, found '$version'"
[ -n "${OPENFAAS_URL:-}" ] || fail 2 "OPENFAAS_URL must be the address of the gateway of $environment"
for program in jq git; do
  command -v "$program" >/dev/null 2>&1 || fail 5 "needs $program on PATH"
done

here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# shellcheck source=scripts/ci/registry.sh
. "$here/ci/registry.sh"
# shellcheck source=scripts/ci/deployer.sh
. "$here/ci/deployer.sh"
choose_deployer 2>"$work/said" || fail 5 "$(cat "$work/said")"

gateway_functions >"$work/now.json" 2>"$work/said" || fail 3 "the gateway does not tell what runs: $(cat "$work/said")"
elsewhere="$(jq -r --arg environment "$environment" \
  '[.[].annotations["com.jangada.environment"] // empty | select(. != $environment)] | unique | join(", ")' "$work/now.json")"
[ -z "$elsewhere" ] || fail 3 "what runs at OPENFAAS_URL says that it is $elsewhere, not $environment"

current="$(jq -r '[.[].annotations["com.jangada.version"] // empty] | unique | join(", ")' "$work/now.json")"
if [ -z "$version" ]; then
  # Of several answers (functions deployed one by one) the longest record tells most.
  version="$(jq -r '[.[].annotations["com.jangada.history"] // "" | split(",")] | max_by(length) // [] | if length > 1 then .[-2] else "" end' \
    "$work/now.json")"
  [ -n "$version" ] || fail 3 "no version before ${current:-the first} is recorded; name one"
fi
[ "$version" != "$current" ] || fail 3 "$environment runs $version already"

tag="v$version"
git rev-parse --verify --quiet "refs/tags/$tag^{commit}" >/dev/null || fail 3 "there is no tag $tag in this repository"
git show "refs/tags/$tag:stack.yml" >"$work/stack.yml" 2>/dev/null || fail 3 "$tag has no stack.yml"
stack_images "$work/stack.yml" >"$work/then" || fail 3 "stack.yml of $tag cannot be read by $deployer"

# Every image must exist, with its signature, before anything is touched.
digests="${DEPLOY_DIGESTS:-}"
if [ "$digests" != none ]; then
  found='{}'
  while read -r name image; do
    digest="$(registry_digest "$image")" || fail 3 "the registry has no $image, which function $name of $tag needs"
    repository="${image%:*}"
    known="$(jq -r --arg name "${repository##*/}" '.[$name] // ""' <<<"${digests:-{\}}")"
    [ -z "$known" ] || [ "$known" = "$digest" ] || fail 3 "$image is $digest in the registry, expected $known"
    if [ -n "${COSIGN_IDENTITY:-}" ]; then
      command -v cosign >/dev/null 2>&1 || fail 5 "needs cosign on PATH to verify signatures"
      cosign verify --certificate-identity-regexp "$COSIGN_IDENTITY" \
        --certificate-oidc-issuer "${COSIGN_ISSUER:-https://token.actions.githubusercontent.com}" \
        "$repository@$digest" >/dev/null 2>"$work/said" </dev/null || fail 3 "the signature of $image: $(tail -1 "$work/said")"
    fi
    found="$(jq -c --arg name "${repository##*/}" --arg digest "$digest" '.[$name] = $digest' <<<"$found")"
  done <"$work/then"
  digests="$found"
  [ -n "${COSIGN_IDENTITY:-}" ] || say "signatures are not verified: COSIGN_IDENTITY is not set"
fi

jq -r '.[] | select(.annotations["com.jangada.version"]) | .name' "$work/now.json" | sort >"$work/ours"
cut -d' ' -f1 "$work/then" | comm -23 "$work/ours" - >"$work/newer"
if [ -s "$work/newer" ]; then
  fate="kept (--prune removes them)"
  [ -z "$prune" ] || fate="to be removed"
  say "not in $tag, $fate: $(paste -sd' ' "$work/newer")"
fi
if [ -n "$dry_run" ]; then
  say "$environment would go from ${current:-no recorded version} to $version"
  exit 0
fi

say "$environment goes from ${current:-no recorded version} to $version"
begun=$SECONDS
DEPLOY_STACK="$work/stack.yml" DEPLOY_VERSION="$version" DEPLOY_DIGESTS="$digests" DEPLOY_ENVIRONMENT="$environment" \
  DEPLOY_REASON="${reason:-rollback from ${current:-no recorded version}}" DEPLOY_FUNCTIONS="${DEPLOY_FUNCTIONS:-}" "$here/ci/deploy.sh"
if [ -n "$prune" ]; then
  while read -r name; do
    say "removing $name"
    gateway_remove "$name" >&2 || fail 4 "$name was not removed"
  done <"$work/newer"
fi
say "$environment runs $version after $((SECONDS - begun)) s"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  printf '%s: %s → %s. %s\n' "$environment" "${current:-?}" "$version" "$reason" >>"$GITHUB_STEP_SUMMARY"
fi
