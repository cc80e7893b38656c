#!/usr/bin/env bash
# Role secrets, on one server: makes what the platform's parts know each other by. exchange.sh brings it to the others.
# An operator's own values (given-secrets) win over random ones. A higher SECRETS_VERSION makes new ones; those before
# stay valid for Redis until the next time, for MongoDB until all clients have the new ones: nothing stands still.
# It is also the authority that Redis' and MongoDB's certificates come from (certify.sh):
#   --do sign NAME ADDRESS   signs the request on stdin: an authority for that server alone
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
  # An installation from before there were versions of the user.
  [ ! -s "$secrets/mongo-password" ] || [ -s "$secrets/mongo-user" ] || (umask 377 && printf jangada >"$secrets/mongo-user")
  # Members of one replica set know each other by it, for good.
  make mongo-keyfile
  authority
  if [ "$SECRETS_VERSION" -gt "$version" ]; then
    rotate redis-password
    rotate gateway-password
    # A new user with a new password: both are good until the last client has changed.
    rotate mongo-password
    [ ! -s "$secrets/mongo-user" ] || cp -p "$secrets/mongo-user" "$secrets/mongo-user.before"
    (umask 377 && printf 'jangada-%s' "$SECRETS_VERSION" >"$secrets/mongo-user.new")
    mv -f "$secrets/mongo-user.new" "$secrets/mongo-user"
    (umask 077 && printf '%s\n' "$SECRETS_VERSION" >"$secrets/version.new")
    mv "$secrets/version.new" "$secrets/version"
    changed "has version $SECRETS_VERSION"
  fi
}

checked() {
  local name
  for name in redis-password mongo-password mongo-user mongo-keyfile gateway-password data-authority.key data-ca; do
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

# Ten years for a server's authority, twenty for this one: those who renew are the servers, see the role tls.
authority() {
  [ ! -s "$secrets/data-ca" ] || return 0
  local new
  new="$(mktemp -d)"
  (umask 377 && openssl ecparam -name prime256v1 -genkey -noout -out "$secrets/data-authority.key.new")
  printf '%s\n' '[req]' distinguished_name=name '[name]' '[authority]' basicConstraints=critical,CA:TRUE \
    keyUsage=critical,keyCertSign,cRLSign subjectKeyIdentifier=hash authorityKeyIdentifier=keyid >"$new/config"
  openssl req -x509 -new -config "$new/config" -extensions authority -key "$secrets/data-authority.key.new" -sha256 \
    -days 7300 -subj "/CN=Jangada data $(openssl rand -hex 4)" -out "$new/data-ca"
  mv -f "$secrets/data-authority.key.new" "$secrets/data-authority.key"
  install -m 0400 "$new/data-ca" "$secrets/data-ca"
  rm -rf "$new"
  changed "makes the authority for Redis' and MongoDB's certificates"
}

do_sign() {
  local name="$1" address="$2" new mask=255.255.255.255
  [[ $address != *:* ]] || mask=ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
  new="$(mktemp -d)"
  cat >"$new/request"
  printf '%s\n' basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign \
    subjectKeyIdentifier=hash authorityKeyIdentifier=keyid \
    "nameConstraints=critical,permitted;IP:$address/$mask,permitted;IP:127.0.0.1/255.255.255.255,permitted;DNS:$name" \
    >"$new/extensions"
  openssl x509 -req -in "$new/request" -CA "$secrets/data-ca" -CAkey "$secrets/data-authority.key" -sha256 -days 3650 \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$new/extensions" -out "$new/signed" 2>/dev/null \
    || die "cannot sign what $name asks for" "apply again; if it stays, --check of the roles secrets and tls"
  cat "$new/signed"
  rm -rf "$new"
}

# What was made stays with the data, unless that goes too: see the role node.
remove() { :; }

main "$@"
