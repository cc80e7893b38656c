#!/usr/bin/env bash
# How one image is made, for images.sh to source: from a matrix entry, labeled, checked, pushed. Reads images.sh's
# settings ($here, $version, $revision, $created, $source_url, $dirty, $push, $check, $platforms) and its run and fail.
# shellcheck disable=SC2154

has_buildx() { docker buildx version >/dev/null 2>&1; }

# base_identity IMAGE: what the image that others are built on is right now: its id, after a pull where it is not here.
base_identity() {
  docker image inspect --format '{{.Id}}' "$1" 2>/dev/null && return
  docker pull --quiet "$1" >/dev/null 2>&1 && docker image inspect --format '{{.Id}}' "$1"
}

# inputs_of ENTRY: a digest of what the image is made from: files as committed, build arguments, base image. Empty when
# nobody can say, which means "build it".
inputs_of() {
  local base identity='' paths=()
  "$dirty" && return
  mapfile -t paths < <(jq -r '(.inputs // [])[]' <<<"$1")
  [ "${#paths[@]}" -gt 0 ] || return 0
  base="$(jq -r '.base // "" | sub("^[^=]*="; "")' <<<"$1")"
  if [ -n "$base" ]; then identity="$(base_identity "$base")" || return 0; fi
  {
    printf '%s\n' "$identity" "$platforms"
    jq -c '[.kind, .path, .file, .args]' <<<"$1"
    git ls-tree -r HEAD -- "${paths[@]}" | grep -v '/executor\.yml$' || true
    # A release writes its own tag into executor.yml; that alone is no reason to build.
    git ls-tree -r --name-only HEAD -- "${paths[@]}" | { grep '/executor\.yml$' || true; } |
      while read -r file; do git show "HEAD:$file" | sed '/^image:/d'; done
  } | sha256sum | cut -d ' ' -f 1
}

# is_built REFERENCE INPUTS: whether this machine has it already, made of the same for the same version and revision.
is_built() {
  local there
  [ -n "$2" ] || return 1
  there="$(docker image inspect --format '{{index .Config.Labels "io.jangada.inputs"}} {{index .Config.Labels "org.opencontainers.image.version"}} {{index .Config.Labels "org.opencontainers.image.revision"}}' "$1" 2>/dev/null)" || return 1
  [ "$there" = "$2 $version $revision" ]
}

# context_of ENTRY FOLDER: the build context in FOLDER: for a function what faas-cli assembles, template and handler.
context_of() {
  local template path
  template="$(jq -r '.template' <<<"$1")" path="$(jq -r '.path' <<<"$1")"
  # A repository without templates of its own gets those that lie beside these scripts.
  [ -d "$template" ] || template="$here/../../$template"
  cp -RL "$template/." "$2"
  rm -rf "$2/function"
  mkdir "$2/function"
  cp -RL "$path/." "$2/function"
  find "$2" -name __pycache__ -type d -prune -exec rm -rf {} +
}

# make_image ENTRY REFERENCE INPUTS OLD: builds it, or gives OLD (name@digest) new labels; checks it; pushes it with --push.
make_image() {
  local entry="$1" reference="$2" inputs="$3" old="$4" kind file folder path words=() argument dirt=''
  "$dirty" && dirt=-dirty
  kind="$(jq -r .kind <<<"$entry")" file="$(jq -r .file <<<"$entry")" path="$(jq -r '.path // "."' <<<"$entry")"
  folder="$(mktemp -d)"
  while read -r argument; do words+=(--build-arg "$argument"); done \
    < <(jq -r '(.args // [])[], (.base // "" | select(. != ""))' <<<"$entry")
  words+=(
    --label "org.opencontainers.image.version=$version"
    --label "org.opencontainers.image.revision=$revision$dirt"
    --label "org.opencontainers.image.created=$created"
    --label "io.jangada.inputs=$inputs"
  )
  [ -z "$source_url" ] || words+=(--label "org.opencontainers.image.source=$source_url")
  if [ -n "$old" ]; then
    printf 'FROM %s\n' "$old" >"$folder/Dockerfile"
    words+=("$folder")
  elif [ "$kind" = function ]; then
    context_of "$entry" "$folder"
    words+=("$folder")
  else
    words+=(--file "$path/$file" "$path")
  fi
  if has_buildx; then
    with_buildx "$entry" "$reference" "$old" "${words[@]}"
  else
    with_legacy_builder "$entry" "$reference" "$old" "${words[@]}"
  fi
  rm -rf "$folder"
}

# buildx loads the image of this machine's platform, which is checked, then pushes all platforms from the same cache,
# with what it was made of (SBOM) and how (provenance).
with_buildx() {
  local entry="$1" reference="$2" old="$3"
  shift 3
  if [ -z "$old" ]; then
    run docker buildx build --load --tag "$reference" "$@" || fail 5 "$reference: the build failed"
    check_image "$entry" "$reference"
  fi
  "$push" || return 0
  run docker buildx build --push --provenance mode=max --sbom true ${platforms:+--platform "$platforms"} \
    --tag "$reference" "$@" || fail 5 "$reference: the push failed"
}

# The legacy builder knows one platform, and neither SBOM nor provenance.
with_legacy_builder() {
  local entry="$1" reference="$2" old="$3"
  shift 3
  [ -z "$platforms" ] || fail 5 "--platforms needs docker buildx"
  [ -z "$old" ] || run docker pull --quiet "$old" || fail 5 "$old: cannot be pulled"
  run docker build --tag "$reference" "$@" || fail 5 "$reference: the build failed"
  [ -n "$old" ] || check_image "$entry" "$reference"
  "$push" || return 0
  run docker push --quiet "$reference" || fail 5 "$reference: the push failed"
}

# check_image ENTRY REFERENCE: its own command says whether it is whole, before anybody can pull it.
check_image() {
  local command
  command="$(jq -r '.check // ""' <<<"$1")"
  "$check" && [ -n "$command" ] || return 0
  run docker run --rm --network none --entrypoint sh "$2" -c "$command" || fail 5 "$2 is not whole: $command"
}
