#!/usr/bin/env bash
# Has a server's authority signed by the platform's. Runs where Terraform runs, with ssh; only the request and what is
# signed travel.
#   AUTHORITY=n1 SERVER='n2 10.0.0.2' SSH_CONFIG=… KNOWN_HOSTS=… certify.sh
set -euo pipefail
umask 077
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$SSH_CONFIG" >"$folder/config"
printf '%s\n' "$KNOWN_HOSTS" >"$folder/known_hosts"
read -r name address <<<"$SERVER"
step() { # HOST ROLE STEP…
  local host="$1" role="$2"
  shift 2
  # shellcheck disable=SC2029  # it is for the server's shell
  ssh -F "$folder/config" -o UserKnownHostsFile="$folder/known_hosts" "$host" \
    "sudo -n bash /var/lib/jangada/roles/$role/apply.sh --do $*"
}

step "$name" tls request </dev/null >"$folder/request"
step "$AUTHORITY" secrets sign "$name" "$address" <"$folder/request" >"$folder/signed"
step "$name" tls install <"$folder/signed"
# What runs already shows it from now on.
ssh -F "$folder/config" -o UserKnownHostsFile="$folder/known_hosts" "$name" "sudo -n systemctl start jangada-tls.service" </dev/null
