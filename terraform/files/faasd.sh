#!/usr/bin/env bash
# Role faasd, engine faasd: genuine OpenFaaS on one server, from its makers' own releases. Every file is named with its
# sha256 by the operator, who has accepted its licence; nothing else is run or unpacked. It fetches images as it starts,
# and does not start without internet.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
work=/var/lib/faasd
downloads=$state/downloads

apply() {
  packages containerd runc iptables bridge-utils curl ca-certificates
  # The same password as for our own gateway; faasd makes one only where there is none.
  folder 0755 0:0 "$work"
  folder 0700 0:0 "$work/secrets"
  printf admin | put 0400 0:0 "$work/secrets/basic-auth-user"
  local restart="$wrote"
  secret gateway-password | put 0400 0:0 "$work/secrets/basic-auth-password"
  [ "$wrote" = no ] || restart=yes
  fetch "$FAASD_URL" "$FAASD_SHA256"
  fetch "$SOURCE_URL" "$SOURCE_SHA256"
  fetch "$CNI_URL" "$CNI_SHA256"
  plugins
  program
  running containerd
  running faasd-provider
  running faasd
  if [ "$restart" = yes ] && [ "$mode" = apply ]; then systemctl restart faasd-provider faasd; fi
  healthy 300 "faasd's gateway does not answer on 127.0.0.1:8080" "journalctl -u faasd; it needs the internet to start" \
    curl --fail --silent --max-time 5 http://127.0.0.1:8080/healthz
}

# fetch URL SHA256: into $downloads, under its checksum. One that is there is checked as well.
fetch() {
  local file="$downloads/$2" got
  if [ -f "$file" ] && [ "$(digest "$file")" = "$2" ]; then return 0; fi
  changed "fetches $1" || return 0
  mkdir -p "$downloads"
  rm -f "$file"
  curl --fail --silent --show-error --location --max-time 600 --output "$file.new" "$1" \
    || die "cannot fetch $1" "curl --location $1 on that server shows why"
  got="$(digest "$file.new")"
  if [ "$got" != "$2" ]; then
    rm -f "$file.new"
    die "$1 has the sha256 $got, and $2 is expected" "do not install it; compare openfaas.sha256 with the release's own page"
  fi
  mv "$file.new" "$file"
}

digest() { sha256sum "$1" | cut -d' ' -f1; }

plugins() {
  [ "$(cat /opt/cni/bin/.jangada 2>/dev/null)" != "$CNI_SHA256" ] || return 0
  changed "unpacks network plugins" || return 0
  mkdir -p /opt/cni/bin
  tar -xzf "$downloads/$CNI_SHA256" -C /opt/cni/bin --no-same-owner
  printf '%s\n' "$CNI_SHA256" >/opt/cni/bin/.jangada
}

# faasd's own installer writes its units and what it starts from the files of its release.
program() {
  local wanted="$FAASD_SHA256 $SOURCE_SHA256" folder
  [ "$(cat "$work/.jangada" 2>/dev/null)" = "$wanted" ] && [ "$(digest /usr/local/bin/faasd 2>/dev/null)" = "$FAASD_SHA256" ] \
    && [ -e /lib/systemd/system/faasd.service ] && return 0
  changed "installs faasd $VERSION" || return 0
  folder="$(mktemp -d)"
  tar -xzf "$downloads/$SOURCE_SHA256" -C "$folder" --strip-components=1 --no-same-owner
  systemctl stop faasd faasd-provider 2>/dev/null || true
  install -m 0755 "$downloads/$FAASD_SHA256" /usr/local/bin/faasd
  (cd "$folder" && /usr/local/bin/faasd install >/dev/null) || { rm -rf "$folder"; die "faasd install failed" "journalctl -u faasd"; }
  rm -rf "$folder"
  printf '%s\n' "$wanted" >"$work/.jangada"
}

remove() {
  systemctl disable --quiet --now faasd faasd-provider 2>/dev/null || true
  rm -rf /lib/systemd/system/faasd.service /lib/systemd/system/faasd-provider.service /usr/local/bin/faasd "$work/.jangada" \
    "$downloads" /opt/cni/bin/.jangada
  systemctl daemon-reload
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$work" /var/lib/faasd-provider; fi
}

main "$@"
