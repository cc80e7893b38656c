# shellcheck shell=bash
# What every role's apply.sh stands on. On a server it lies beside apply.sh in /var/lib/jangada/roles/ROLE, which is
# run there as root:
#   apply.sh             brings the server to what config.env and the files beside it say; prints changed=N
#   apply.sh --check     changes nothing; exit code 3 when an apply would
#   apply.sh --confirm   called over a new connection after an apply; most roles have nothing to confirm
#   apply.sh --do STEP … one step of what concerns several servers, such as a cluster: a function do_STEP of the role
#   apply.sh --remove    takes the role off the server; its data stays unless JANGADA_WIPE_DATA=yes
# A role defines `apply`, `remove` and, if it must, `confirm` and do_STEP, and ends with `main "$@"`.
set -euo pipefail
# So that `… | put` counts in this shell.
shopt -s lastpipe
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
role="$(basename "$here")"
state=/var/lib/jangada
secrets=/etc/jangada/secrets
mode=apply
changes=0
manifest=()
last_container=''

say() { printf '%s: %s: %s\n' "$(hostname)" "$role" "$*"; }
# die WHAT [WHAT TO DO]
die() {
  printf 'jangada: %s on %s: %s\n' "$role" "$(hostname)" "$1" >&2
  [ $# -lt 2 ] || printf '  to do: %s\n' "$2" >&2
  exit 1
}

# changed WHAT: counts it. Returns 0 where it is to be done, 1 under --check.
changed() {
  changes=$((changes + 1))
  if [ "$mode" = check ]; then
    say "differs: $*"
    return 1
  fi
  say "$*"
}

# put MODE OWNER:GROUP PATH: the file is what stdin says. Writes beside it and moves, so nobody reads half of it.
# Sets $wrote to yes or no.
put() {
  local mode_wanted="$1" owner="$2" path="$3" new
  # shellcheck disable=SC2034  # for the caller
  wrote=no
  manifest+=("$path")
  new="$(mktemp)"
  cat >"$new"
  if ! cmp -s "$new" "$path" || [ "$(stat -c '%a %u:%g' "$path" 2>/dev/null)" != "$((10#$mode_wanted)) $owner" ]; then
    if changed "writes $path"; then
      mkdir -p "$(dirname "$path")"
      install -m "$mode_wanted" -o "${owner%:*}" -g "${owner#*:}" "$new" "$path.jangada-new"
      mv -f "$path.jangada-new" "$path"
      # shellcheck disable=SC2034  # for the caller
      wrote=yes
    fi
  fi
  rm -f "$new"
}

# folder MODE OWNER:GROUP PATH
folder() {
  if [ "$(stat -c '%a %u:%g' "$3" 2>/dev/null)" != "$((10#$1)) $2" ]; then
    changed "makes $3" || return 0
    install -d -m "$1" -o "${2%:*}" -g "${2#*:}" "$3"
  fi
}

# packages NAME…: installed from the system's packages where they are missing.
packages() {
  local name missing=()
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  changed "installs ${missing[*]}" || return 0
  apt-get update -qq >/dev/null || say "apt-get update failed; going on with the lists there are"
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
    || die "cannot install ${missing[*]}" "see apt-get install on that server; its mirror must be reachable"
}

# running UNIT [restart|reload]: enabled and active; the second word says what a changed configuration asks for.
running() {
  if ! systemctl is-enabled --quiet "$1" 2>/dev/null; then
    if changed "enables $1"; then systemctl enable --quiet "$1"; fi
  fi
  if ! systemctl is-active --quiet "$1"; then
    if changed "starts $1"; then systemctl restart "$1" || die "$1 does not start" "journalctl -u $1"; fi
  elif [ -n "${2:-}" ] && [ "$mode" = apply ]; then
    say "${2}s $1"
    systemctl "$2" "$1" || die "$1 does not $2" "journalctl -u $1"
  fi
}

# container NAME IMAGE [docker run's options…] -- [command…]: one that runs as this says; made anew when this, the
# image or $container_depends (any text, such as a digest of its configuration) changed. $container_grace seconds to end.
container() {
  local name="$1" image="$2" options=() wanted found
  last_container="$name"
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  [ $# -eq 0 ] || shift
  image_here "$image" || return 0
  wanted="$(printf '%s\0' "$(docker image inspect -f '{{.Id}}' "$image")" ${options[@]+"${options[@]}"} -- "$@" "${container_depends:-}" | sha256sum | cut -d' ' -f1)"
  found="$(docker container inspect -f '{{index .Config.Labels "io.jangada.digest"}} {{.State.Running}}' "$name" 2>/dev/null || true)"
  [ "$found" != "$wanted true" ] || return 0
  changed "starts the container $name" || return 0
  if [ -n "$found" ]; then
    docker stop --time "${container_grace:-30}" "$name" >/dev/null || true
    docker rm --force "$name" >/dev/null
  fi
  docker run --detach --name "$name" --restart unless-stopped --label io.jangada.digest="$wanted" \
    --label io.jangada.role="$role" ${options[@]+"${options[@]}"} "$image" "$@" >/dev/null \
    || die "cannot start the container $name" "docker logs $name"
}

# image_here IMAGE: on this server; fetched where it is missing.
image_here() {
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  changed "fetches $1" || return 1
  docker pull --quiet "$1" >/dev/null || die "cannot fetch the image $1" "docker pull $1 on that server shows why"
}

# no_container NAME…
no_container() {
  local name
  for name in "$@"; do
    docker container inspect "$name" >/dev/null 2>&1 || continue
    changed "ends the container $name" || continue
    docker stop --time "${container_grace:-30}" "$name" >/dev/null || true
    docker rm --force "$name" >/dev/null
  done
}

# healthy SECONDS WHAT TO-DO COMMAND…: waits until COMMAND succeeds.
healthy() {
  local within="$1" what="$2" todo="$3" deadline
  shift 3
  deadline=$((SECONDS + within))
  until "$@" >/dev/null 2>&1; do
    if [ "$mode" = check ]; then
      changed "$what" || true
      return 0
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      [ -z "$last_container" ] || docker logs --tail 3 "$last_container" 2>&1 | cut -c1-300 >&2 || true
      die "$what (asked for $within s)" "$todo"
    fi
    sleep 0.5
  done
}

# secret NAME: what is in it. The roles that need one come after the role secrets.
secret() { cat "$secrets/$1" 2>/dev/null || die "the secret $1 is missing" "apply again: the role secrets brings it"; }

# redis_url, mongo_url: with user and password, made of config.env's addresses and the secrets; for files, never for argv.
# Containers find the authority at $data_ca: it is given to them as a secret beside these two.
data_ca=/var/openfaas/secrets/data-ca
redis_url() {
  local query="ssl_ca_certs=$data_ca"
  [ "$REDIS_CLUSTER" != true ] || query+='&cluster=true'
  printf 'rediss://:%s@%s/0?%s' "$(secret redis-password)" "$REDIS_SEEDS" "$query"
}
mongo_url() {
  if [ "$MONGO_AUTHENTICATION" = true ]; then
    local query="authSource=admin&tls=true&tlsCAFile=$data_ca"
    [ "$MONGO_REPLICA_SET" != true ] || query+='&replicaSet=jangada'
    printf 'mongodb://%s:%s@%s/?%s' "$(secret mongo-user)" "$(secret mongo-password)" "$MONGO_HOSTS" "$query"
  else
    printf 'mongodb://%s' "$MONGO_HOSTS"
  fi
}

confirm() { :; }

# Files that an earlier apply wrote and this one does not want any more.
_forget_old() {
  local path old="$state/manifest/$role"
  [ -f "$old" ] || return 0
  while read -r path; do
    [ -n "$path" ] && [ -e "$path" ] || continue
    printf '%s\n' ${manifest[@]+"${manifest[@]}"} | grep -qxF "$path" && continue
    if changed "removes $path"; then rm -f "$path"; fi
  done <"$old"
}

_remove() {
  remove
  local path
  if [ -f "$state/manifest/$role" ]; then
    while read -r path; do rm -f "$path"; done <"$state/manifest/$role"
  fi
  rm -rf "$state/manifest/$role" "$here"
  rmdir "$state/manifest" "$state/roles" "$state" 2>/dev/null || true
  say "removed"
}

main() {
  [ "$(id -u)" -eq 0 ] || die "needs root"
  exec 9>/run/lock/jangada.lock
  flock -w 900 9 || die "another apply has been running for 15 minutes" "look for apply.sh among that server's processes"
  cd "$here"
  # shellcheck source=/dev/null
  . ./config.env
  case "${1:-}" in
    "" | --apply) mode=apply ;;
    --check) mode=check ;;
    --confirm) confirm; return 0 ;;
    --do)
      declare -F "do_${2:-}" >/dev/null || die "has no step ${2:-}"
      "do_$2" "${@:3}"
      return 0
      ;;
    --remove) _remove; return 0 ;;
    *) die "unknown argument $1" ;;
  esac
  # What came as an upload does not stay, whatever happens.
  [ "$mode" = check ] || trap 'rm -f "$here/given-secrets"' EXIT
  if [ "$mode" = check ] && ! sha256sum --check --quiet .sums >/dev/null 2>&1; then
    changed "the files in $here" || true
  fi
  apply
  _forget_old
  if [ "$mode" = apply ]; then
    mkdir -p "$state/manifest"
    printf '%s\n' ${manifest[@]+"${manifest[@]}"} >"$state/manifest/$role.new"
    mv "$state/manifest/$role.new" "$state/manifest/$role"
  fi
  say "changed=$changes"
  [ "$mode" = apply ] || [ "$changes" -eq 0 ] || exit 3
}
