#!/usr/bin/env bash
# Questions to an image registry, for images.sh to source. Needs skopeo and jq; credentials are those of `docker login`.
# A registry on this machine may speak plain HTTP; REGISTRY_INSECURE=1 allows it for another one.

# Whether PREFIX may be reached without TLS.
registry_is_plain() {
  case "$1" in
    127.* | localhost/* | localhost:*) return 0 ;;
    *) [ "${REGISTRY_INSECURE:-}" = 1 ] ;;
  esac
}

# What registry_inspect prints, one line each: digest, version, revision, inputs. An absent label is an empty line.
REGISTRY_FORMAT='{{.Digest}}
{{with index .Labels "org.opencontainers.image.version"}}{{.}}{{end}}
{{with index .Labels "org.opencontainers.image.revision"}}{{.}}{{end}}
{{with index .Labels "io.jangada.inputs"}}{{.}}{{end}}'

# registry_inspect REFERENCE: 0 and its lines, 1 when there is no such image, 2 (and why, on stderr) when nobody knows.
registry_inspect() {
  local verify=true answer
  registry_is_plain "$1" && verify=false
  if answer="$(skopeo inspect --no-tags --tls-verify="$verify" --retry-times 3 --format "$REGISTRY_FORMAT" \
    "docker://$1" 2>&1)"; then
    printf '%s\n' "$answer"
    return 0
  fi
  case "$answer" in
    # Docker Hub answers "denied" for a repository that does not exist yet; a push with wrong credentials says so itself.
    *"manifest unknown"* | *"name unknown"* | *"name not known"* | *"access to the resource is denied"*) return 1 ;;
  esac
  printf '%s\n' "$answer" >&2
  return 2
}

# registry_digest REFERENCE: like registry_inspect, its first line only.
registry_digest() {
  local answer code=0
  answer="$(registry_inspect "$1")" || code=$?
  [ "$code" -ne 0 ] || printf '%s\n' "${answer%%$'\n'*}"
  return "$code"
}

# registry_tags REPOSITORY: its tags, one per line; none when it does not exist.
registry_tags() {
  local verify=true answer
  registry_is_plain "$1" && verify=false
  if answer="$(skopeo list-tags --tls-verify="$verify" --retry-times 3 "docker://$1" 2>&1)"; then
    jq -r '.Tags[]?' <<<"$answer"
    return 0
  fi
  case "$answer" in
    *"name unknown"* | *"name not known"* | *"404 (Not Found)"* | *"access to the resource is denied"*) return 0 ;;
  esac
  printf '%s\n' "$answer" >&2
  return 2
}

# registry_copy SOURCE TARGET: by bytes, all platforms; the digest stays what it is.
registry_copy() {
  local from=true to=true
  registry_is_plain "$1" && from=false
  registry_is_plain "$2" && to=false
  skopeo copy --quiet --all --preserve-digests --retry-times 3 --src-tls-verify="$from" --dest-tls-verify="$to" \
    "docker://$1" "docker://$2"
}

# moving_tags VERSION: the tags beside VERSION itself that it may take, given the repository's tags on stdin. A
# pre-release takes none; X.Y, X and latest go to the highest version of their line only, so a fix of an old line moves
# nothing that is newer; 0.x has no X.
moving_tags() {
  local version="$1" line highest
  [[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || return 0
  local known minor="${version%.*}" major="${version%%.*}"
  known="$(grep -E '^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$' || true)"
  for line in "$minor" "$major" latest; do
    case "$line" in
      0) continue ;;
      latest) highest="$(printf '%s\n' "$known" "$version" | sort -V | tail -n 1)" ;;
      *) highest="$(printf '%s\n' "$known" "$version" | grep -F "$line." | awk -v p="$line." 'index($0, p) == 1' | sort -V | tail -n 1)" ;;
    esac
    [ "$highest" = "$version" ] && printf '%s\n' "$line"
  done
  return 0
}
