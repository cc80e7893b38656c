#!/usr/bin/env bash
# Builds the images of one version, and publishes them once.
#
#   scripts/ci/images.sh build   [--push] [--version X.Y.Z] [options]
#   scripts/ci/images.sh digests [--version X.Y.Z] [options]             what the registry has; 4 when one is missing or wrong
#   scripts/ci/images.sh promote --to PREFIX [--version X.Y.Z] [options] copies by digest, without building
#   scripts/ci/images.sh tags    VERSION < TAGS                          the tags VERSION may move, given those there are
#
#   --prefix PREFIX    registry and namespace (default $IMAGE_PREFIX, else docker.io/$IMAGE_NAMESPACE, else docker.io/jangada)
#   --version X.Y.Z    default: the file VERSION
#   --matrix JSON      what matrix.sh says (the default), or another repository's images in the same form
#   --only NAME,…      some of this repository's; --without-gpu leaves out the GPU images
#   --context FOLDER   the repository to build (default: this one)
#   --platforms LIST   with buildx, e.g. linux/amd64,linux/arm64
#   --output FILE      the digests as JSON: {"jangada-router": "sha256:…", …}
#   --sign             sign each digest with cosign (keyless where the runner has an identity, else COSIGN_KEY)
#   --rebuild          build also what did not change
#   --no-check         do not start each new image to see that it is whole
#   --from-env         take IMAGE_MATRIX, IMAGE_VERSION, IMAGE_PUSH=true, IMAGE_PLATFORMS and IMAGE_ONLY too, where set
#   --dry-run          say the docker, skopeo and cosign commands that would be run, and run none
#
# A published X.Y.Z never changes: with the same revision label its digest is used again, with another one it is an error.
# An image whose inputs and base are those of `latest` is not built: it gets new labels, its layers stay in the registry.
# One line per image goes to stderr: its name, built | relabeled | reused | present, its digest.
# Exit codes: 0, 2 usage, 3 nothing may be published from this tree, 4 the registry holds something else, 5 a tool failed.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=scripts/ci/registry.sh
. "$here/registry.sh"
# shellcheck source=scripts/ci/image_build.sh
. "$here/image_build.sh"

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "$0"; }
fail() { local code="$1"; shift; echo "images.sh: $*" >&2; exit "$code"; }
wrong() { fail 2 "$* (see --help)"; }

command_name="${1:-}"
case "$command_name" in
  build | digests | promote) shift ;;
  tags)
    [ $# -eq 2 ] || wrong "tags takes one version"
    moving_tags "$2"
    exit 0
    ;;
  --help | -h) usage; exit 0 ;;
  *) wrong "unknown command '$command_name'" ;;
esac

prefix="${IMAGE_PREFIX:-docker.io/${IMAGE_NAMESPACE:-jangada}}"
version='' matrix='' context='' platforms='' output='' target=''
push=false sign=false rebuild=false check=true dry_run=false
choose=()
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --push) push=true ;;
    --sign) sign=true ;;
    --rebuild) rebuild=true ;;
    --no-check) check=false ;;
    --dry-run) dry_run=true ;;
    --from-env)
      matrix="${IMAGE_MATRIX:-}" version="${IMAGE_VERSION:-}" platforms="${IMAGE_PLATFORMS:-}"
      version="${version#v}"
      [ "${IMAGE_PUSH:-}" != true ] || push=true
      [ -z "${IMAGE_ONLY:-}" ] || choose+=(--only "$IMAGE_ONLY")
      ;;
    --without-gpu) choose+=("$1") ;;
    --prefix | --version | --matrix | --context | --platforms | --output | --to | --only)
      [ $# -ge 2 ] && [ -n "$2" ] || wrong "$1 needs a value"
      case "$1" in
        --prefix) prefix="${2%/}" ;;
        --version) version="${2#v}" ;;
        --matrix) matrix="$2" ;;
        --context) context="$2" ;;
        --platforms) platforms="$2" ;;
        --output) output="$2" ;;
        --to) target="${2%/}" ;;
        --only) choose+=("$1" "$2") ;;
      esac
      shift
      ;;
    *) wrong "unknown argument '$1'" ;;
  esac
  shift
done
[ "$command_name" != promote ] || [ -n "$target" ] || wrong "promote needs --to"
for tool in git jq; do command -v "$tool" >/dev/null || fail 5 "needs $tool"; done
if [ -n "$matrix" ]; then
  jq -e 'type == "array" and all(.[]; .name and .kind and .file)' <<<"$matrix" >/dev/null 2>&1 \
    || wrong "--matrix is a JSON array of objects with name, kind and file"
else
  matrix="$("$here/matrix.sh" --context "${context:-$here/../..}" ${choose[@]+"${choose[@]}"})" || exit 2
fi
cd "${context:-$here/../..}"
[ -n "$version" ] || version="$(head -n 1 VERSION)"
# A build number ("+…") cannot be in a tag.
[[ "$version" =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] \
  || wrong "'$version' is no version (MAJOR.MINOR.PATCH, or with -rc.1 after it)"

revision="$(git rev-parse HEAD)"
created="$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)"
source_url="${GITHUB_REPOSITORY:+${GITHUB_SERVER_URL:-https://github.com}/$GITHUB_REPOSITORY}"
dirty=false
[ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=true

may_publish() {
  "$dirty" && fail 3 "tracked files differ from the commit: commit them first"
  [ "$(git rev-parse --quiet --verify "refs/tags/v$version^{commit}" || true)" = "$revision" ] \
    || fail 3 "tag v$version is not at this commit: only a tagged commit is published (scripts/bump_version.sh)"
  command -v skopeo >/dev/null || fail 5 "needs skopeo to publish"
}

# say NAME ACTION DIGEST: for people on stderr, and remembered for --output.
digests=''
say() {
  printf '%-28s %-10s %s\n' "$1" "$2" "$3" >&2
  [ -z "$3" ] || digests+="$(jq -nc --arg name "$1" --arg digest "$3" '{($name): $digest}')"$'\n'
}

# run COMMAND…: or, with --dry-run, its words. In a workflow one sees what it says, elsewhere its end when it fails.
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
run() {
  if "$dry_run"; then
    printf '%q ' "$@"
    echo
  elif [ -n "${GITHUB_ACTIONS:-}" ]; then
    "$@" >&2
  else
    "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; return 1; }
  fi
}

# published NAME: 0 when X.Y.Z is in the registry and of this revision ($found: its digest), 1 when it is not there.
published() {
  local answer code=0
  answer="$(registry_inspect "$prefix/$1:$version")" || code=$?
  [ "$code" -ne 1 ] || return 1
  [ "$code" -eq 0 ] || fail 5 "$prefix/$1:$version: the registry does not say whether it exists"
  local lines=()
  mapfile -t lines <<<"$answer"
  [ "${lines[2]:-}" = "$revision" ] \
    || fail 4 "$prefix/$1:$version was built from ${lines[2]:-an unknown revision}, this is $revision; publish a new version"
  [ "${lines[1]:-}" = "$version" ] \
    || fail 4 "$prefix/$1:$version says that it is version ${lines[1]:-unknown}; publish a new version"
  found="${lines[0]}"
}

# move_tags NAME DIGEST: lets the moving tags of X.Y.Z, and sha-<12>, point to it. Says nothing and does nothing when they do.
move_tags() {
  local name="$1" digest="$2" tag tags=()
  mapfile -t tags < <(registry_tags "$prefix/$name" | moving_tags "$version")
  [[ "$version" == *-* ]] || tags+=("sha-${revision:0:12}")
  for tag in "${tags[@]}"; do
    [ "$(registry_digest "$prefix/$name:$tag" || true)" = "$digest" ] && continue
    run registry_copy "$prefix/$name@$digest" "$prefix/$name:$tag" || fail 5 "$prefix/$name:$tag: cannot be moved"
  done
}

sign_digest() {
  "$sign" || return 0
  command -v cosign >/dev/null || fail 5 "--sign needs cosign"
  run cosign sign --yes ${COSIGN_KEY:+--key "$COSIGN_KEY"} "$1" || fail 5 "$1: cannot be signed"
}

# predecessor NAME INPUTS: name@digest of `latest` when it was made from the same; 1 otherwise.
predecessor() {
  [ -n "$2" ] && ! "$rebuild" || return 1
  local answer lines=()
  answer="$(registry_inspect "$prefix/$1:latest")" || return 1
  mapfile -t lines <<<"$answer"
  [ "${lines[3]:-}" = "$2" ] || return 1
  printf '%s@%s\n' "$prefix/$1" "${lines[0]}"
}

build_image() {
  local entry="$1" name inputs action=built old='' digest=''
  name="$(jq -r .name <<<"$entry")"
  if "$push" && published "$name"; then
    move_tags "$name" "$found"
    say "$name" reused "$found"
    return
  fi
  inputs="$(inputs_of "$entry")"
  if "$push" && old="$(predecessor "$name" "$inputs")"; then action=relabeled; fi
  if [ "$action" = built ] && ! "$push" && is_built "$prefix/$name:$version" "$inputs"; then
    say "$name" present ''
    return
  fi
  make_image "$entry" "$prefix/$name:$version" "$inputs" "$old"
  if "$push" && ! "$dry_run"; then
    digest="$(registry_digest "$prefix/$name:$version")" || fail 5 "$prefix/$name:$version is not there after the push"
    move_tags "$name" "$digest"
    sign_digest "$prefix/$name@$digest"
  fi
  say "$name" "$action" "$digest"
}

# promote_image NAME DIGEST: the same bytes under --to, with the tags they may have there.
promote_image() {
  local name="$1" digest="$2" home="$prefix"
  prefix="$target"
  if published "$name"; then
    [ "$found" = "$digest" ] || fail 4 "$target/$name:$version is $found, and $home has $digest"
  else
    run registry_copy "$home/$name@$digest" "$target/$name:$version" || fail 5 "$target/$name:$version: cannot be copied"
  fi
  move_tags "$name" "$digest"
  prefix="$home"
}

case "$command_name" in
  build)
    command -v docker >/dev/null || fail 5 "needs docker"
    if "$push"; then may_publish; fi
    ;;
  *) command -v skopeo >/dev/null || fail 5 "needs skopeo" ;;
esac
mapfile -t entries < <(jq -c '.[]' <<<"$matrix")
for entry in "${entries[@]}"; do
  name="$(jq -r .name <<<"$entry")"
  case "$command_name" in
    build) build_image "$entry" ;;
    digests)
      published "$name" || fail 4 "$prefix/$name:$version is not in the registry"
      say "$name" published "$found"
      ;;
    promote)
      published "$name" || fail 4 "$prefix/$name:$version is not in the registry"
      promote_image "$name" "$found"
      say "$name" promoted "$found"
      ;;
  esac
done
result="$(jq -sc 'add // {}' <<<"$digests")"
[ -z "$output" ] || printf '%s\n' "$result" >"$output"
if [ -n "${GITHUB_OUTPUT:-}" ]; then
  subjects="$(jq -c --arg prefix "$prefix" '[to_entries[] | {name: ($prefix + "/" + .key), digest: .value}]' <<<"$result")"
  printf 'digests=%s\nsubjects=%s\nversion=%s\n' "$result" "$subjects" "$version" >>"$GITHUB_OUTPUT"
fi
