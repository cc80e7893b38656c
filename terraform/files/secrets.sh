#!/usr/bin/env bash
# Role secrets, on one server: makes what the platform's parts know each other by. exchange.sh brings it to the others.
# An operator's own values (given-secrets) win over random ones. A higher SECRETS_VERSION makes new ones; those before
# stay valid for Redis until the next time, so that nothing stands still meanwhile.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

apply() {
  folder 0755 0:0 /etc/jangada
  folder 0700 0:0 "$secrets"
  [ "$mode" = apply ] || { checked; return 0; }
  local version
  version="$(cat "$secrets/version" 2>/dev/null || echo 0)"
  if [ "$SECRETS_VERSION" -lt "$version" ]; then
    die "secrets_version is $SECRETS_VERSION, this server has version $version" "set it to $version or higher"
  fi
  # The data of MongoDB is bound to this one: it is made once.
  make mongo-password
  if [ "$SECRETS_VERSION" -gt "$version" ]; then
    rotate redis-password
    rotate gateway-password
    (umask 077 && printf '%s\n' "$SECRETS_VERSION" >"$secrets/version.new")
    mv "$secrets/version.new" "$secrets/version"
    changed "has version $SECRETS_VERSION"
  fi
}

checked() {
  local name
  for name in redis-password mongo-password gateway-password; do
    [ -s "$secrets/$name" ] || changed "$name is missing" || true
  done
  [ "$(cat "$secrets/version" 2>/dev/null)" = "$SECRETS_VERSION" ] || changed "has another version" || true
}

given() { sed -n "s/^$1=//p" "$here/given-secrets" 2>/dev/null | tail -1; }

# make NAME: unless it is there.
make() {
  [ -s "$secrets/$1" ] || write "$1"
}

rotate() {
  [ ! -s "$secrets/$1" ] || cp -p "$secrets/$1" "$secrets/$1.before"
  write "$1"
}

write() {
  local value
  value="$(given "$1")"
  # It stands in addresses.
  [[ $value =~ ^[A-Za-z0-9_-]*$ ]] || die "the given secret $1 has other characters than letters, digits, - and _" "change it"
  [ -n "$value" ] || value="$(openssl rand -hex 24)"
  (umask 377 && rm -f "$secrets/$1.new" && printf '%s' "$value" >"$secrets/$1.new")
  mv -f "$secrets/$1.new" "$secrets/$1"
  changed "makes $1"
}

# What was made stays with the data, unless that goes too: see the role node.
remove() { :; }

main "$@"
