#!/usr/bin/env bash
# Brings secrets from the server that made them to those that need them. Runs where Terraform runs, with ssh.
#   FROM=n1 TO='n2 redis-password version' SSH_CONFIG=… KNOWN_HOSTS=… exchange.sh
# TO has a line for each server: its name and what it gets. SSH_CONFIG and KNOWN_HOSTS are the text of such files.
# They pass through a pipe: no file, no argument and no variable here holds one.
set -euo pipefail
umask 077
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$SSH_CONFIG" >"$folder/config"
printf '%s\n' "$KNOWN_HOSTS" >"$folder/known_hosts"
reach() { ssh -F "$folder/config" -o UserKnownHostsFile="$folder/known_hosts" "$@"; }

while read -r target names; do
  [ -n "$target" ] || continue
  # shellcheck disable=SC2086,SC2029  # several names, and they are for the server's shell
  reach "$FROM" "sudo -n tar -C /etc/jangada/secrets -c --ignore-failed-read $names" 2>/dev/null </dev/null |
    reach "$target" 'sudo -n sh -c "umask 077 && mkdir -p /etc/jangada/secrets && tar -C /etc/jangada/secrets -x --no-same-owner"' \
    || { echo "exchange.sh: cannot bring $names from $FROM to $target" >&2; exit 1; }
  echo "$target has $names"
done <<<"$TO"
