#!/usr/bin/env bash
# Says which images this repository makes: a JSON array, one object per image.
#
#   scripts/ci/matrix.sh [--only NAME,…] [--without-gpu] [--context FOLDER]     (FOLDER: another checkout with this layout)
#
#   name     repository under the prefix, as stack.yml and executor.yml say it, with -gpu for the GPU image of an algorithm
#   kind     function (a template and a handler, as faas-cli builds it) or dockerfile (the repository is the context)
#   path     what is built: a handler's folder, or the folder of the context
#   file     the Dockerfile
#   template for a function: the template's folder
#   args     build arguments as NAME=VALUE
#   base     NAME=IMAGE of the build argument that says what it is built on
#   inputs   paths whose content decides whether a new image is needed; not VERSION, which each release changes
#   check    a command inside the image that ends with 0 when it is whole
#
# BASE_IMAGE and CUDA_IMAGE replace what the Dockerfiles name. Exit codes: 0, 2 usage.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "$0"; }
only='' gpu=true context="$(dirname "$0")/../.."
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --only) only="${2:?--only needs names}"; shift 2 ;;
    --context) context="${2:?--context needs a folder}"; shift 2 ;;
    --without-gpu) gpu=false; shift ;;
    *) echo "matrix.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done

cd "$context"

# What of jangada/ an executor runs: not the gateway, the commands, or the embedded platform.
runtime_inputs() {
  local entry
  printf '%s\n' pyproject.toml
  for entry in jangada/*; do
    case "${entry#jangada/}" in
      gateway | cli | local | client | http | __pycache__) ;;
      *) printf '%s\n' "$entry" ;;
    esac
  done
}

default_of() { sed -n "s/^ARG $2=//p" "$1" | head -n 1; } # FILE ARGUMENT: its default
value_of() { sed -n "s/^$2: *//p" "$1" | head -n 1; }      # FILE KEY: of a flat YAML line
json_list() { jq -Rnc '[inputs | select(. != "")]'; }

# REFERENCE: its repository without registry and tag, also where the registry is a ${VARIABLE:-default}.
repository_of() { sed 's|.*/||; s|[:@].*||' <<<"$1"; }

functions() {
  local template file base inputs
  [ -f stack.yml ] || return 0
  # Two spaces and a name start a function in stack.yml, four its keys.
  awk '/^functions:/ {on = 1; next} /^[^ #]/ {on = 0}
       function done() {if (handler != "") print lang, handler, image; handler = ""}
       on && /^  [a-zA-Z0-9-]+:/ {done()}
       on && /^    lang:/ {lang = $2}
       on && /^    image:/ {image = $2}
       on && /^    handler:/ {handler = $2; sub("^\\./", "", handler)}
       END {done()}' stack.yml |
    while read -r lang handler image; do
      template="template/$lang" base='' inputs='[]'
      # A template from elsewhere: nobody can say here whether it changed, so the image is always built.
      if [ -d "$template" ]; then
        inputs="$(printf '%s\n' "$template" "$(readlink "$template/package" | sed 's|^\.\./\.\./||')" "$handler" | json_list)"
        base="$(default_of "$template/Dockerfile" BASE_IMAGE)"
      fi
      [ -z "${BASE_IMAGE:-$base}" ] || base="BASE_IMAGE=${BASE_IMAGE:-$base}"
      jq -nc --arg name "$(repository_of "$image")" --arg path "$handler" --arg template "$template" --arg base "$base" \
        --argjson inputs "$inputs" \
        '{name: $name, kind: "function", path: $path, file: ($template + "/Dockerfile"), template: $template,
          args: [], base: $base, inputs: $inputs, check: "python -c \"from function import handler\""}'
    done
}

dockerfile_image() { # NAME FILE BASE CHECK ARGS-JSON INPUTS-JSON
  jq -nc --arg name "$1" --arg file "$2" --arg base "$3" --arg check "$4" --argjson args "$5" --argjson inputs "$6" \
    '{name: $name, kind: "dockerfile", path: ".", file: $file, args: $args, base: $base,
      inputs: ([$file] + $inputs), check: $check}'
}

executors() {
  local spec folder name device shared inputs kind file argument default
  for spec in executors/*/executor.yml; do
    [ -f "$spec" ] || continue
    folder="${spec%/executor.yml}" name="$(repository_of "$(value_of "$spec" image)")" device="$(value_of "$spec" device)"
    shared="$(value_of "$spec" shared | tr -d '[],' | tr ' ' '\n' | sed '/^$/d; s|^|executors/|')"
    inputs="$({ runtime_inputs; printf '%s\n' "$folder" "$shared"; } | json_list)"
    for kind in cpu gpu; do
      case "+${device:-cpu}+" in *"+$kind+"*) ;; *) continue ;; esac
      file="executors/$kind.Dockerfile"
      if [ "$kind" = gpu ]; then
        "$gpu" || continue
        argument=CUDA_IMAGE default="${CUDA_IMAGE:-}" name="${name%-gpu}-gpu"
      else
        argument=PYTHON_IMAGE default="${BASE_IMAGE:-}"
      fi
      dockerfile_image "$name" "$file" "$argument=${default:-$(default_of "$file" "$argument")}" \
        "python -m jangada.executor --help" "[\"ALGORITHM=${folder#executors/}\"]" "$inputs"
    done
  done
}

gateway() {
  local file=deploy/compose/gateway.Dockerfile
  [ -f "$file" ] || return 0
  dockerfile_image jangada-gateway "$file" "BASE_IMAGE=${BASE_IMAGE:-$(default_of "$file" BASE_IMAGE)}" \
    "python -m jangada.gateway --help" '[]' '["jangada", "requirements/gateway.txt", "pyproject.toml"]'
}

{ functions; gateway; executors; } | jq -sc --arg only "$only" '
  ($only | split(",") | map(select(. != ""))) as $names
  | ([$names[] as $n | select(any(.[]; .name == $n or .name == "jangada-" + $n) | not) | $n]) as $unknown
  | if $unknown != [] then error("unknown image: " + ($unknown | join(", "))) else . end
  | map(select($names == [] or (.name as $n | any($names[]; . == $n or "jangada-" + . == $n))))' || exit 2
