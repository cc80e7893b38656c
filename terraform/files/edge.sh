#!/usr/bin/env bash
# Role edge: Caddy with TLS in front of the gateway; only it is public.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ca=/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt

apply() {
  packages caddy
  local reload=''
  if [ "$TLS" = files ]; then
    local file
    for file in cert.pem key.pem; do
      [ -s "/etc/jangada/tls/$file" ] || die "/etc/jangada/tls/$file is missing, and tls = files" "put it there, readable by the group caddy"
    done
  fi
  if [ "$mode" = apply ]; then
    caddy validate --config "$here/Caddyfile" --adapter caddyfile >/dev/null 2>&1 \
      || die "caddy refuses its configuration" "caddy validate --config $here/Caddyfile --adapter caddyfile"
  fi
  put 0644 0:0 /etc/caddy/Caddyfile <Caddyfile
  [ "$wrote" = no ] || reload=reload
  running caddy "$reload"
  healthy 60 "nothing answers at https://$DOMAIN on this server" "journalctl -u caddy; is the gateway up?" answers
}

answers() {
  local trust=()
  [ "$TLS" != internal ] || trust=(--cacert "$ca")
  curl --fail --silent --max-time 10 ${trust[@]+"${trust[@]}"} --connect-to "$DOMAIN:443:$PRIVATE_ADDRESS:443" "https://$DOMAIN/healthz"
}

remove() {
  systemctl disable --quiet --now caddy 2>/dev/null || true
  rm -f /etc/caddy/Caddyfile
  # Certificates stay, as data: authorities limit how many one may ask for.
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf /var/lib/caddy/.local; fi
}

main "$@"
