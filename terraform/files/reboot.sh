#!/usr/bin/env bash
# Restarts a server that asks for it, and waits until it is back as another boot. Runs where Terraform runs, with ssh.
#   HOST=n1 WITHIN=600 SSH_CONFIG=… KNOWN_HOSTS=… reboot.sh      the last two are the text of such files
# A server asks by /run/jangada-reboot-wanted, which a restart takes away.
set -euo pipefail
umask 077
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$SSH_CONFIG" >"$folder/config"
printf '%s\n' "$KNOWN_HOSTS" >"$folder/known_hosts"
reach() { ssh -F "$folder/config" -o UserKnownHostsFile="$folder/known_hosts" "$HOST" "$@" </dev/null; }
boot() { reach cat /proc/sys/kernel/random/boot_id 2>/dev/null; }

before="$(boot)" || { echo "reboot.sh: $HOST cannot be reached" >&2; exit 1; }
if ! reach test -e /run/jangada-reboot-wanted; then exit 0; fi
echo "$HOST: gpu-driver: restarts"
# The connection is cut: what it ends with says nothing.
reach 'sudo -n systemctl reboot' >/dev/null 2>&1 || true
deadline=$((SECONDS + WITHIN))
until now="$(boot)" && [ -n "$now" ] && [ "$now" != "$before" ]; do
  [ "$SECONDS" -lt "$deadline" ] || { echo "reboot.sh: $HOST did not come back within $WITHIN s: look at its console" >&2; exit 1; }
  sleep "${PAUSE:-3}"
done
echo "$HOST: gpu-driver: is back"
