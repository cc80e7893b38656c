#!/usr/bin/env bash
# Role tls, on the servers with data: the certificate that Redis and MongoDB show. Every server has an authority of its
# own, good for its own address alone and signed once by the platform's (role secrets); no key leaves the server that
# made it. So the certificate is renewed here, by a timer, without asking anybody.
#   --do request         prints the request for the server's authority
#   --do install         takes the signed authority from stdin, and makes the certificate
#   --do renew           the timer: a new certificate when the old one has less than RENEW_BEFORE seconds left
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# What containers see; the authority's key is not among it.
shown=/etc/jangada/data-tls
authority=/etc/jangada/data-authority
user=999:999

apply() {
  folder 0700 0:0 "$authority"
  folder 0755 0:0 "$shown"
  secret data-ca | put 0444 0:0 "$shown/root.crt"
  key 0400 0:0 "$authority/authority.key"
  key 0400 "$user" "$shown/server.key"
  if ! authorized; then
    # The exchange that follows an apply has it signed.
    changed "has no authority that the platform's signed" || true
  else
    renew_if_needed
  fi
  units
}

key() {
  [ ! -s "$3" ] || return 0
  changed "makes $3" || return 0
  (umask 377 && openssl ecparam -name prime256v1 -genkey -noout -out "$3.new")
  chmod "$1" "$3.new"
  chown "$2" "$3.new"
  mv "$3.new" "$3"
}

# Signed by the platform's authority, for this server's key, and good for another year.
authorized() {
  [ -s "$authority/authority.crt" ] \
    && openssl verify -CAfile "$secrets/data-ca" "$authority/authority.crt" >/dev/null 2>&1 \
    && openssl x509 -in "$authority/authority.crt" -noout -checkend 31536000 >/dev/null \
    && [ "$(openssl x509 -in "$authority/authority.crt" -noout -pubkey)" = "$(openssl pkey -in "$authority/authority.key" -pubout)" ] \
    && openssl x509 -in "$authority/authority.crt" -noout -subject | grep -qF "$PRIVATE_ADDRESS"
}

# Whether what is shown is right, and for long enough.
current() {
  [ -s "$shown/server.crt" ] && [ -s "$shown/server.pem" ] \
    && openssl verify -CAfile "$secrets/data-ca" -untrusted "$authority/authority.crt" -verify_ip "$PRIVATE_ADDRESS" \
      "$shown/server.crt" >/dev/null 2>&1 \
    && openssl x509 -in "$shown/server.crt" -noout -checkend "$RENEW_BEFORE" >/dev/null
}

renew_if_needed() {
  current && return 0
  changed "makes a certificate for $CERTIFICATE_DAYS days" || return 0
  local new
  new="$(mktemp -d)"
  openssl req -new -key "$shown/server.key" -subj "/CN=${NAME:?}" -out "$new/request"
  # Redis and MongoDB are clients of each other as well.
  printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
    extendedKeyUsage=serverAuth,clientAuth subjectKeyIdentifier=hash authorityKeyIdentifier=keyid \
    "subjectAltName=IP:$PRIVATE_ADDRESS,IP:127.0.0.1,DNS:$NAME" >"$new/extensions"
  openssl x509 -req -in "$new/request" -CA "$authority/authority.crt" -CAkey "$authority/authority.key" \
    -set_serial "0x$(openssl rand -hex 16)" -days "$CERTIFICATE_DAYS" -sha256 -extfile "$new/extensions" \
    -out "$new/leaf" 2>/dev/null
  cat "$new/leaf" "$authority/authority.crt" >"$new/chain"
  install -m 0444 "$new/chain" "$shown/server.crt.new"
  # MongoDB wants key and certificate in one file.
  (umask 377 && cat "$shown/server.key" "$new/chain" >"$shown/server.pem.new")
  chown "$user" "$shown/server.pem.new"
  mv -f "$shown/server.pem.new" "$shown/server.pem"
  mv -f "$shown/server.crt.new" "$shown/server.crt"
  rm -rf "$new"
}

# After a renewal the servers read it again, without a restart. Each of these takes the server's lock by itself.
units() {
  local service timer
  put 0644 0:0 /etc/systemd/system/jangada-tls.service <<UNIT
[Unit]
Description=Renews the certificate of Redis and MongoDB

[Service]
Type=oneshot
ExecStart=/bin/bash $here/apply.sh --do renew
ExecStartPost=/bin/sh -c 'for role in redis mongodb; do script=$state/roles/\$\$role/apply.sh; [ ! -f \$\$script ] || bash \$\$script --do reload || exit 1; done'
UNIT
  service="$wrote"
  put 0644 0:0 /etc/systemd/system/jangada-tls.timer <<'UNIT'
[Unit]
Description=Renews the certificate of Redis and MongoDB

[Timer]
OnCalendar=daily
RandomizedDelaySec=2h
Persistent=true

[Install]
WantedBy=timers.target
UNIT
  timer="$wrote"
  [ "$service$timer" = nono ] || systemctl daemon-reload
  running jangada-tls.timer
}

do_request() { openssl req -new -key "$authority/authority.key" -subj "/CN=$NAME $PRIVATE_ADDRESS"; }

do_install() {
  (umask 077 && cat >"$authority/authority.crt.new")
  mv "$authority/authority.crt.new" "$authority/authority.crt"
  authorized || die "the authority that came back is not for this server" "apply again"
  renew_if_needed
  say "certified"
}

do_renew() {
  authorized || die "the platform's authority does not vouch for this server (any more)" "make infra-up"
  renew_if_needed
}

remove() {
  systemctl disable --quiet --now jangada-tls.timer 2>/dev/null || true
  # Made anew whenever it is needed: no data depend on them.
  rm -rf "$shown" "$authority"
}

main "$@"
